//! The provider catalogue: how each provider's API differs, as data.
//!
//! `catalogue.json` is embedded in the programs; to add a provider, add an entry. Its order is the order of menus.
//! `refusals.json` beside it says what errors mean, in general and by provider; an error that is not understood is added
//! to `tests/data/refusals.json` first.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::net::Ipv4Addr;

use url::{Host, Url};

use crate::checked;

mod catalogue;

pub use catalogue::{all, is_key_variable, named};

/// Returns the provider whose endpoint this is; `custom` for one that is not in the catalogue. A name goes before a pattern
/// that covers it too.
#[must_use]
pub fn recognise(url: &Url) -> Option<&'static Provider> {
    let mut own = all().filter(|provider| provider.oauth.is_none());
    own.clone()
        .find(|provider| provider.is_region(url))
        .or_else(|| own.find(|provider| provider.is_covered(url)))
        .or_else(|| named("custom"))
}

/// How many requests a provider takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "net", derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct Rate {
    /// Requests in any 60 seconds.
    #[serde(default, deserialize_with = "not_zero")]
    pub per_minute: Option<u32>,
    /// Requests in a day.
    #[serde(default, deserialize_with = "not_zero")]
    pub per_day: Option<u32>,
}

impl Rate {
    /// Says it in words; `None` where there is no limit.
    #[must_use]
    pub fn in_words(self) -> Option<String> {
        let of_minute = self.per_minute.map(|limit| format!("{limit} a minute"));
        let of_day = self.per_day.map(|limit| format!("{limit} a day"));
        let words: Vec<String> = of_minute.into_iter().chain(of_day).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// Reads a number of requests. 0 is an error: it could mean no request, or no limit.
fn not_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    match Option::<u32>::deserialize(deserializer)? {
        Some(0) => Err(D::Error::custom("a rate is more than 0")),
        count => Ok(count),
    }
}

/// What a provider's Batch API takes in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct BatchLimits {
    /// The most requests.
    pub requests: u64,
    /// The largest file, in MiB.
    pub file_mib: u64,
    /// The longest line, in MiB; without it only the file is limited.
    pub line_mib: Option<u64>,
}

impl BatchLimits {
    /// Returns the size of the largest file, in bytes.
    #[must_use]
    pub const fn file_bytes(&self) -> u64 {
        self.file_mib << 20
    }

    /// Returns the length of the longest line, in MiB.
    #[must_use]
    pub fn longest_line_mib(&self) -> u64 {
        self.line_mib.unwrap_or(self.file_mib)
    }
}

/// An authorization server and this client's registration there.
///
/// Either `issuer`, from which the endpoints are discovered (RFC 8414), or the endpoints themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "net", derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct OauthSettings {
    /// The issuer identifier, as it is written: its document must name the very same text (RFC 8414, section 3.3).
    pub issuer: Option<String>,
    /// RFC 8628, section 3.1.
    #[serde(default, deserialize_with = "endpoint")]
    #[cfg_attr(feature = "net", schemars(with = "Option<String>"))]
    pub device_authorization_endpoint: Option<Url>,
    /// RFC 6749, section 3.2.
    #[serde(default, deserialize_with = "endpoint")]
    #[cfg_attr(feature = "net", schemars(with = "Option<String>"))]
    pub token_endpoint: Option<Url>,
    /// RFC 7009; absent where the server has none.
    #[serde(default, deserialize_with = "endpoint")]
    #[cfg_attr(feature = "net", schemars(with = "Option<String>"))]
    pub revocation_endpoint: Option<Url>,
    /// The public client's identifier. Not a secret (RFC 8252, section 8.5).
    pub client_id: Option<String>,
    /// Scopes, separated by blanks.
    pub scope: Option<String>,
    /// PKCE with S256 (RFC 7636); on unless said otherwise.
    pub pkce: Option<bool>,
    /// Hosts that may be sent the access token: exact names, or `*.example.org` for a name and all below it.
    #[serde(default)]
    pub allowed_hosts: Vec<String>,
    /// Further parameters of device and refresh requests, such as `audience` (RFC 6749, section 8.2).
    #[serde(default, deserialize_with = "parameters")]
    pub parameters: BTreeMap<String, String>,
}

/// Blank counts as absent.
fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    checked::text(deserializer, |text| {
        Url::parse(text).map_err(|_| "this is not a URL: one begins with 'https://'")
    })
}

/// Reads parameters, none of which may be one that the standards define for these requests.
fn parameters<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    // `response_type` is none of them: OpenAM's server asks for it.
    const OURS: [&str; 13] = [
        "client_assertion",
        "client_assertion_type",
        "client_id",
        "client_secret",
        "code",
        "code_challenge",
        "code_challenge_method",
        "code_verifier",
        "device_code",
        "grant_type",
        "redirect_uri",
        "refresh_token",
        "scope",
    ];
    let parameters = BTreeMap::<String, String>::deserialize(deserializer)?;
    let is_ours = |name: &&String| name.trim().is_empty() || OURS.contains(&name.trim());
    match parameters.keys().find(is_ours) {
        Some(name) => Err(D::Error::custom(format!("\"parameters\" must not hold '{name}'"))),
        None => Ok(parameters),
    }
}

impl OauthSettings {
    /// Completes a profile's settings by its provider's.
    ///
    /// `client_id`, `scope`, `pkce` and `parameters` are taken member by member. Endpoints and the hosts that may get the token belong to
    /// one server: they are the provider's only where the profile names no server of its own.
    #[must_use]
    pub fn completed_by(self, provider: &Self) -> Self {
        let mut own = self;
        let provider = provider.clone();
        let names_server = own.issuer.is_some()
            || own.device_authorization_endpoint.is_some()
            || own.token_endpoint.is_some();
        own.client_id = own.client_id.or(provider.client_id);
        own.scope = own.scope.or(provider.scope);
        own.pkce = own.pkce.or(provider.pkce);
        for (name, value) in provider.parameters {
            own.parameters.entry(name).or_insert(value);
        }
        if names_server {
            return own;
        }
        own.issuer = provider.issuer;
        own.device_authorization_endpoint = provider.device_authorization_endpoint;
        own.token_endpoint = provider.token_endpoint;
        own.revocation_endpoint = own.revocation_endpoint.or(provider.revocation_endpoint);
        own.allowed_hosts.extend(provider.allowed_hosts);
        own
    }
}

/// A region of a provider.
#[derive(Clone, Debug, Deserialize)]
pub struct Region {
    /// Its name in menus.
    pub name: String,
    /// Its base URL. One that contains `RESOURCE` is a pattern that the user completes.
    pub base_url: String,
}

/// A pattern of endpoints that are a provider's.
#[derive(Clone, Debug, Deserialize)]
struct EndpointPattern {
    /// See [`host_matches`].
    host: String,
    /// How the path begins.
    #[serde(default)]
    path: String,
}

/// One provider.
#[derive(Clone, Debug, Deserialize)]
pub struct Provider {
    /// The name that profiles and flags use.
    pub name: String,
    /// The name in menus.
    pub title: String,
    /// The regions, the default first.
    pub regions: Vec<Region>,
    /// Endpoints that are the provider's besides those of the regions.
    #[serde(default, rename = "match")]
    patterns: Vec<EndpointPattern>,
    /// The variable that holds this provider's key.
    pub key_variable: Option<String>,
    /// True where other programs read that variable too, so that a project's file does not set it without consent.
    #[serde(default)]
    pub key_variable_shared: bool,
    /// The address where a person makes a key.
    pub key_page: Option<String>,
    /// False for servers that take requests without a key.
    #[serde(default = "yes")]
    pub needs_key: bool,
    /// The header that carries the key: `bearer` (RFC 6750) or a header's name.
    #[serde(default = "bearer")]
    pub key_header: String,
    /// True where no other server has models of these names, so that `OPENAI_MODEL` is not meant for it.
    #[serde(default)]
    pub own_models: bool,
    /// The model when none is given.
    pub default_model: String,
    /// The path of chat completions, below the base URL; `{model}` is replaced.
    #[serde(default = "chat_path")]
    pub chat_path: String,
    /// The path of the list of models.
    #[serde(default = "models_path")]
    pub models_path: String,
    /// Query parameters of every request; `{OPENAI_API_VERSION}` is replaced.
    #[serde(default)]
    pub query: Map<String, Value>,
    /// The API version when `OPENAI_API_VERSION` is not set.
    pub default_version: Option<String>,
    /// Headers of every request; `{user_agent}` is replaced.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// Members merged into every request.
    #[serde(default)]
    pub body: Map<String, Value>,
    /// The published quota.
    pub rate: Option<Rate>,
    /// The limits of `/files` and `/batches`, where they exist as OpenAI documents them.
    pub batch: Option<BatchLimits>,
    /// The authorization server of the device-flow login.
    pub oauth: Option<OauthSettings>,
    /// A notice to print before logging in.
    pub notice: Option<String>,
}

const fn yes() -> bool {
    true
}

fn bearer() -> String {
    "bearer".to_owned()
}

/// What the path of chat completions ends in, with every provider.
const CHAT_PATH: &str = "/chat/completions";

fn chat_path() -> String {
    CHAT_PATH.to_owned()
}

fn models_path() -> String {
    "/models".to_owned()
}

impl Provider {
    /// Returns the first base URL that the user need not complete.
    #[must_use]
    pub fn default_base_url(&self) -> Option<Url> {
        self.complete_urls().next()
    }

    /// True when a key for this provider may be sent to `url`: it has the origin of one of the base URLs, or is a host of the
    /// provider by its whole name.
    #[must_use]
    pub fn owns(&self, url: &Url) -> bool {
        let is_plain = url.scheme() == "https" && url.port().is_none();
        let host = url.host_str().filter(|_| is_plain);
        self.complete_urls().any(|own| own.origin() == url.origin())
            || self
                .patterns
                .iter()
                .any(|known| Some(known.host.as_str()) == host && url.path().starts_with(&known.path))
    }

    /// Splits the URL of one model into the path of the base URL and the model: people copy the whole address of an Azure
    /// deployment.
    #[must_use]
    pub fn split_model(&self, url: &Url) -> Option<(String, String)> {
        let (before, after) = self.chat_path.split_once("{model}")?;
        let (base, rest) = url.path().split_once(before)?;
        let model = rest.strip_suffix(after).unwrap_or(rest).trim_end_matches('/');
        if model.is_empty() || model.contains('/') {
            return None;
        }
        Some((base.to_owned(), model.to_owned()))
    }

    /// True unless the model is part of the path and a server could read it as another path.
    #[must_use]
    pub fn can_address(&self, model: &str) -> bool {
        let is_name = |part: &str| !part.is_empty() && part != "." && !part.trim().starts_with("..");
        let is_plain = |c: char| !(c.is_control() || matches!(c, '\\' | '%' | ';' | '?' | '#'));
        !self.chat_path.contains("{model}") || model.split('/').all(is_name) && model.chars().all(is_plain)
    }

    /// Returns the URL of chat completions for a model.
    #[must_use]
    pub fn chat_url(&self, base: &Url, model: &str, version: Option<&str>) -> Url {
        let encoded: String = url::form_urlencoded::byte_serialize(model.as_bytes()).collect();
        let path = self.chat_path.replace("{model}", &encoded.replace('+', "%20"));
        self.with_query(join(base, &path), version)
    }

    /// Returns the URL of another service than chat completions for a model, by its path below the base URL (`/embeddings`).
    #[must_use]
    pub fn model_url(&self, base: &Url, path: &str, model: &str, version: Option<&str>) -> Url {
        match self.chat_path.strip_suffix(CHAT_PATH) {
            Some(before) if before.contains("{model}") => {
                let encoded: String = url::form_urlencoded::byte_serialize(model.as_bytes()).collect();
                let before = before.replace("{model}", &encoded.replace('+', "%20"));
                self.with_query(join(base, &format!("{before}{path}")), version)
            }
            _ => self.with_query(join(base, path), version),
        }
    }

    /// True where the model is part of the path.
    #[must_use]
    pub fn has_model_in_path(&self) -> bool {
        self.chat_path.contains("{model}")
    }

    /// Returns the URL of the list of models.
    #[must_use]
    pub fn models_url(&self, base: &Url, version: Option<&str>) -> Url {
        self.with_query(join(base, &self.models_path), version)
    }

    fn with_query(&self, mut url: Url, version: Option<&str>) -> Url {
        let version = version.or(self.default_version.as_deref()).unwrap_or_default();
        for (name, value) in &self.query {
            let value = value
                .as_str()
                .unwrap_or_default()
                .replace("{OPENAI_API_VERSION}", version);
            if !url.query_pairs().any(|(known, _)| known == name.as_str()) {
                url.query_pairs_mut().append_pair(name, &value);
            }
        }
        url
    }

    /// The base URLs that the user need not complete.
    fn complete_urls(&self) -> impl Iterator<Item = Url> + '_ {
        self.regions
            .iter()
            .filter(|region| !region.base_url.contains("RESOURCE"))
            .filter_map(|region| Url::parse(&region.base_url).ok())
    }

    /// True for the host of one of the regions; on this machine, for the port.
    fn is_region(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        self.complete_urls()
            .any(|own| match (is_loopback(&own), is_loopback(url)) {
                (true, true) => own.port_or_known_default() == url.port_or_known_default(),
                _ => own.host_str().is_some_and(|name| host_matches(name, host)),
            })
    }

    /// True for an endpoint that a pattern covers.
    fn is_covered(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        self.patterns
            .iter()
            .any(|known| host_matches(&known.host, host) && url.path().starts_with(&known.path))
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// True when `host` is the pattern itself or, for `*.example.org`, that name or any below it.
#[must_use]
pub fn host_matches(pattern: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    match pattern.strip_prefix("*.") {
        None => host.eq_ignore_ascii_case(pattern),
        Some(parent) => {
            let host = host.to_ascii_lowercase();
            let parent = parent.to_ascii_lowercase();
            host == parent || host.strip_suffix(&parent).is_some_and(|rest| rest.ends_with('.'))
        }
    }
}

/// True when the URL's host is this machine by its own name: `localhost`, 127.0.0.0/8 or `::1`.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// True for another machine of a private network: an address of RFC 1918, RFC 6598, RFC 3927 or RFC 4193, a name without a
/// dot, as in a Compose file, or one below a domain that is never public (RFC 6762 with its appendix G, RFC 8375).
///
/// `0.0.0.0`, where a server listens, counts too: people copy it from there.
#[must_use]
pub fn is_private_network(url: &Url) -> bool {
    const DOMAINS: [&str; 8] = [
        "local",
        "localhost",
        "internal",
        "lan",
        "home",
        "private",
        "intranet",
        "corp",
    ];
    let is_private_v4 = |address: Ipv4Addr| {
        let [first, second, ..] = address.octets();
        address.is_private()
            || address.is_link_local()
            || address.is_unspecified()
            || (first == 100 && second & 0xc0 == 64)
    };
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            match name.rsplit_once('.') {
                Some((rest, domain)) => {
                    DOMAINS.contains(&domain) || domain == "arpa" && rest.ends_with(".home")
                }
                None => !name.is_empty(),
            }
        }
        Some(Host::Ipv4(address)) => is_private_v4(address),
        Some(Host::Ipv6(address)) => match address.to_ipv4_mapped() {
            Some(address) => is_private_v4(address),
            None => address.is_unique_local() || address.is_unicast_link_local() || address.is_unspecified(),
        },
        None => false,
    }
}

/// True for an endpoint that is asked without a key unless one is given: loopback, and plain `http` in a private network.
#[must_use]
pub fn is_own_server(url: &Url) -> bool {
    is_loopback(url) || url.scheme() == "http" && is_private_network(url)
}

/// Returns `base` with `path` below it. A slash at the end of the base is dropped; nothing is added, not even `/v1`.
#[must_use]
pub fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let joined = format!("{}{path}", base.path().trim_end_matches('/'));
    url.set_path(&joined);
    url
}

/// Fills in a header's template.
#[must_use]
pub fn expand(template: &Value, user_agent: &str) -> String {
    template
        .as_str()
        .unwrap_or_default()
        .replace("{user_agent}", user_agent)
}

#[cfg(test)]
mod tests;
