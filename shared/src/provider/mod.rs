//! The provider catalogue: quirks are data.
//!
//! `catalogue.json` is part of the program; adding a provider is adding an entry. Order is the order of menus.

mod catalogue;
mod endpoint;

pub use catalogue::{all, named, recognise};
pub use endpoint::{chat_url, expand, host_matches, join, models_url};

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use url::Url;

/// How many requests a provider takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(expecting = "an object")]
pub struct Rate {
    /// Requests in any 60 seconds.
    #[serde(default, deserialize_with = "not_zero")]
    pub per_minute: Option<u32>,
    /// Requests in a day.
    #[serde(default, deserialize_with = "not_zero")]
    pub per_day: Option<u32>,
}

/// Reads a number of requests. Of none, nobody could tell whether it means no request or no limit.
fn not_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    match Option::<u32>::deserialize(deserializer)? {
        Some(0) => Err(D::Error::custom(
            "a rate is more than 0; leave it out for no limit",
        )),
        count => Ok(count),
    }
}

/// How much a provider's batch engine takes in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct BatchLimits {
    /// The most requests.
    pub requests: u64,
    /// The largest file, in MiB.
    pub file_mib: u64,
    /// The longest line, in MiB; as long as the file may be where there is none.
    pub line_mib: Option<u64>,
}

/// An authorization server and this client's registration there.
///
/// Either `issuer`, from which the endpoints are discovered (RFC 8414), or the endpoints themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(expecting = "an object")]
pub struct OauthSettings {
    /// The issuer identifier, as it is written: its document must name the very same text (RFC 8414, section 3.3).
    pub issuer: Option<String>,
    /// RFC 8628, section 3.1.
    pub device_authorization_endpoint: Option<Url>,
    /// RFC 6749, section 3.2.
    pub token_endpoint: Option<Url>,
    /// RFC 7009; absent where the server has none.
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
}

impl OauthSettings {
    /// Returns these settings of a profile, what they leave out taken from its provider's.
    ///
    /// Who we are (`client_id`, `scope`, `pkce`) is taken member by member. Endpoints and the hosts that may get the
    /// token belong to one server: they are the provider's only where the profile names no server of its own.
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

/// By what an endpoint is recognised as a provider's.
#[derive(Clone, Debug, Deserialize)]
pub struct Match {
    /// An exact host, or `*.example.org` for all hosts below that name.
    pub host: String,
    /// What the path has to begin with.
    #[serde(default)]
    pub path: String,
}

/// One provider.
#[derive(Clone, Debug, Deserialize)]
pub struct Provider {
    /// The name that profiles and flags use.
    #[serde(skip)]
    pub name: String,
    /// The name that people read.
    pub title: String,
    /// Base URLs by region, the default first. One that holds `RESOURCE` is a pattern that the user completes.
    pub base_urls: Map<String, Value>,
    /// More places by which an endpoint is recognised.
    #[serde(default, rename = "match")]
    matches: Vec<Match>,
    /// The variable that holds this provider's key.
    pub key_variable: Option<String>,
    /// False for servers that take requests without a key.
    #[serde(default = "yes")]
    pub needs_key: bool,
    /// The header that carries the key: `bearer` (RFC 6750) or a header's name.
    #[serde(default = "bearer")]
    pub key_header: String,
    /// True where the names of models are the server's alone, so that `OPENAI_MODEL` is not meant for it.
    #[serde(default)]
    pub own_models: bool,
    /// The model when nobody named one.
    pub default_model: String,
    /// Where chat completions are, below the base URL; `{model}` is replaced.
    #[serde(default = "chat_path")]
    pub chat_path: String,
    /// Where the list of models is.
    #[serde(default = "models_path")]
    pub models_path: String,
    /// True where everybody may see that list, so that it proves no key.
    #[serde(default)]
    pub public_models: bool,
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
    /// The quota, where the provider publishes one.
    pub rate: Option<Rate>,
    /// What may be handed in where `/files` and `/batches` exist as OpenAI documents them.
    pub batch: Option<BatchLimits>,
    /// The device-flow login, where the provider has one.
    pub oauth: Option<OauthSettings>,
    /// What a user should know before logging in.
    pub notice: Option<String>,
}

const fn yes() -> bool {
    true
}

fn bearer() -> String {
    "bearer".to_owned()
}

fn chat_path() -> String {
    "/chat/completions".to_owned()
}

fn models_path() -> String {
    "/models".to_owned()
}

impl Provider {
    /// Returns the base URL of the first region, if there is one that needs no completion by the user.
    #[must_use]
    pub fn default_base_url(&self) -> Option<Url> {
        self.complete_urls().next()
    }

    /// True when a key meant for this provider may go to `url`: it has the origin of one of the base URLs.
    #[must_use]
    pub fn owns(&self, url: &Url) -> bool {
        self.complete_urls().any(|own| own.origin() == url.origin())
    }

    /// Splits the path of a URL below which one model is into what is common to all and that model: people copy the
    /// whole address of an Azure deployment.
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

    fn complete_urls(&self) -> impl Iterator<Item = Url> + '_ {
        self.base_urls
            .values()
            .filter_map(Value::as_str)
            .filter(|url| !url.contains("RESOURCE"))
            .filter_map(|url| Url::parse(url).ok())
    }

    pub(super) fn recognises(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        self.matches
            .iter()
            .any(|known| host_matches(&known.host, host) && url.path().starts_with(&known.path))
            || self.complete_urls().any(|own| {
                match (
                    crate::provider::endpoint::is_local(&own),
                    crate::provider::endpoint::is_local(url),
                ) {
                    (true, true) => own.port_or_known_default() == url.port_or_known_default(),
                    _ => own.host_str().is_some_and(|name| host_matches(name, host)),
                }
            })
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests;
