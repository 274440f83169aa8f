//! A profile of `config.json`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::checked;
use crate::exit::{Exit, Failure};
use crate::net::credential::StoreKind;
use crate::net::http::{BaseUrl, Timeouts, USER_AGENT, limit};
use crate::provider::{self, OauthSettings, Provider, Rate};
use crate::secret::is_secret_name;
use crate::shell::is_shell_name;

/// How a profile authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// OAuth 2.0 device grant (RFC 8628).
    Oauth,
    /// An API key.
    ApiKey,
}

impl Method {
    /// Returns the name that `config.json` uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Oauth => "oauth",
            Self::ApiKey => "api-key",
        }
    }
}

/// Where a profile's key comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "KeyForm")]
pub enum KeySetting {
    /// `{"store": "keyring"}` or `{"store": "file"}`; with OAuth too.
    Store(StoreKind),
    /// `{"env": "NAME"}`.
    Env(String),
    /// `{"command": ["pass", "show", "x"]}`.
    Command(KeyCommand),
}

/// A command that prints a key on its first line. It is run without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCommand {
    /// The program and its arguments; never empty.
    pub words: Vec<String>,
    /// How long the key is good; `None` until it is refused.
    pub ttl: Option<Duration>,
}

impl KeyCommand {
    /// Returns the program as it is written. It alone is shown: the arguments may hold a secret.
    #[must_use]
    pub fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// `key` as written: exactly one member, and `ttl` beside a command.
#[derive(Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with one of 'store', 'env' and 'command'"
)]
struct KeyForm {
    #[schemars(with = "Option<String>")]
    store: Option<StoreKind>,
    env: Option<String>,
    command: Option<Vec<String>>,
    #[serde(default, deserialize_with = "seconds")]
    #[schemars(with = "Option<f64>")]
    ttl: Option<Duration>,
}

impl TryFrom<KeyForm> for KeySetting {
    type Error = &'static str;

    fn try_from(form: KeyForm) -> Result<Self, Self::Error> {
        let ttl = form.ttl;
        if ttl.is_some() && form.command.is_none() {
            return Err("\"ttl\" of 'key' is for a \"command\" alone");
        }
        match (form.store, form.env, form.command) {
            (Some(store), None, None) => Ok(Self::Store(store)),
            (None, Some(name), None) if is_shell_name(&name) => Ok(Self::Env(name)),
            // The name is not repeated: it may be a misplaced key.
            (None, Some(_), None) => Err("\"env\" of 'key' is not the name of a variable"),
            (None, None, Some(words)) if words.first().is_some_and(|program| !program.is_empty()) => {
                Ok(Self::Command(KeyCommand { words, ttl }))
            }
            _ => Err("'key' takes exactly one of \"store\", \"env\" and \"command\""),
        }
    }
}

/// The limits of a request. `None` leaves a limit to the tool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object")]
pub struct TimeoutSettings {
    /// As [`Timeouts::connect`].
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Option<f64>")]
    pub connect: Option<Duration>,
    /// As [`Timeouts::first_byte`].
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Option<f64>")]
    pub first_byte: Option<Duration>,
    /// As [`Timeouts::idle`].
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Option<f64>")]
    pub idle: Option<Duration>,
    /// The time since the last event that said something.
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Option<f64>")]
    pub progress: Option<Duration>,
    /// As [`Timeouts::total`].
    #[serde(deserialize_with = "seconds")]
    #[schemars(with = "Option<f64>")]
    pub total: Option<Duration>,
}

impl TimeoutSettings {
    /// Fills what is not set from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            connect: self.connect.or(other.connect),
            first_byte: self.first_byte.or(other.first_byte),
            idle: self.idle.or(other.idle),
            progress: self.progress.or(other.progress),
            total: self.total.or(other.total),
        }
    }

    /// Fills what is not set from a tool's defaults.
    #[must_use]
    pub fn with_defaults(self, defaults: Timeouts) -> Timeouts {
        Timeouts {
            connect: self.connect.unwrap_or(defaults.connect),
            first_byte: self.first_byte.unwrap_or(defaults.first_byte),
            idle: self.idle.unwrap_or(defaults.idle),
            progress: self.progress.unwrap_or(defaults.progress),
            total: self.total.or(defaults.total),
        }
    }
}

/// Reads a positive, finite number of seconds.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let Some(seconds) = Option::<f64>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let invalid = |reason| D::Error::custom(format!("a time-out of {seconds} s {reason}"));
    limit(seconds).map(Some).map_err(invalid)
}

/// How answers begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reasoning {
    /// In thought, which ends at the first `</think>`.
    Open,
}

/// The members of a profile that say how requests are made. They are bound to the profile's endpoint: another one gets no
/// header that authenticates, and has a quota and limits of its own.
pub const BOUND_MEMBERS: [&str; 7] = [
    "headers",
    "query",
    "body",
    "rate",
    "timeouts",
    "reasoning",
    "allow_http",
];

/// Headers that a client sets by itself: of the message's framing and of one connection (RFC 9110, section 7.6.1; RFC 9112),
/// and what says how the body is written. Another value breaks the request, or smuggles a second one.
const OWN_HEADERS: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// True for a header that the tools set, whatever its case; a profile's is not sent.
pub(super) fn is_own_header(name: &str) -> bool {
    OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// A profile. Unknown members are ignored here and kept in the file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(expecting = "an object")]
pub struct Profile {
    /// The provider's name in the catalogue.
    #[serde(default, deserialize_with = "unless_blank")]
    pub provider: Option<String>,
    /// How it authenticates.
    pub method: Option<Method>,
    /// The endpoint.
    #[serde(default, deserialize_with = "base_url")]
    #[schemars(with = "Option<String>")]
    pub base_url: Option<BaseUrl>,
    /// The model.
    #[serde(default, deserialize_with = "unless_blank")]
    pub model: Option<String>,
    /// Where the credential comes from.
    #[schemars(with = "Option<KeyForm>")]
    pub key: Option<KeySetting>,
    /// Headers of every request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Query parameters of every request.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Members merged into the body of every request.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub body: Map<String, Value>,
    /// The quota, instead of the provider's.
    pub rate: Option<Rate>,
    /// The limits of a request.
    #[serde(default)]
    pub timeouts: TimeoutSettings,
    /// The authorization server, or how it differs from the provider's: see [`OauthSettings::completed_by`].
    pub oauth: Option<OauthSettings>,
    /// Allows plain `http` to other machines.
    #[serde(default)]
    pub allow_http: bool,
    /// How answers begin, where that is not known from the answer.
    pub reasoning: Option<Reasoning>,
}

impl Profile {
    /// Returns the authorization server: the profile's, completed by the provider's; the provider's; else qwen.ai's.
    #[must_use]
    pub fn login_server(&self) -> Option<OauthSettings> {
        let named = |name: &str| provider::named(name).and_then(|provider| provider.oauth.clone());
        let provider = self.provider.as_deref().and_then(named);
        match (self.oauth.clone(), provider) {
            (Some(own), Some(provider)) => Some(own.completed_by(&provider)),
            (own, provider) => own.or(provider).or_else(|| named("qwen")),
        }
    }

    /// True for a login at qwen.ai, or the server that a profile of provider `qwen` has instead: its file is Qwen Code's.
    fn is_qwen_login(&self) -> bool {
        match (self.provider.as_deref(), &self.oauth) {
            (Some(name), _) => name == "qwen",
            (None, own) => own.is_none(),
        }
    }

    /// True when it authenticates by OAuth: it says so, or names a server to log in at and neither a method nor a key.
    #[must_use]
    pub fn uses_oauth(&self) -> bool {
        match self.method {
            Some(method) => method == Method::Oauth,
            None => self.oauth.is_some() && self.key.is_none(),
        }
    }

    /// True for a profile without a key and a login whose headers or query authenticate: one of them is called as a secret
    /// is.
    #[must_use]
    pub fn authenticates_by_members(&self) -> bool {
        let mut names = self.headers.keys().chain(self.query.keys());
        self.key.is_none() && !self.uses_oauth() && names.any(|name| is_secret_name(name))
    }

    /// Returns the store of the profile's credential: the one that `QWEN_CREDENTIAL_STORE` names, else
    /// [`Profile::remembered_store`]; `None` when the key is not in a store.
    ///
    /// # Errors
    /// As [`StoreKind::from_environment`].
    pub fn store(&self) -> Result<Option<StoreKind>, Failure> {
        let Some(remembered) = self.remembered_store() else {
            return Ok(None);
        };
        let named = StoreKind::from_environment()?;
        Ok(Some(named.map_or(remembered, |kind| self.file_kind(kind))))
    }

    /// Returns the store that the last login wrote into `key`; for OAuth a file when it wrote none.
    #[must_use]
    pub fn remembered_store(&self) -> Option<StoreKind> {
        match self.key {
            Some(KeySetting::Store(kind)) => Some(self.file_kind(kind)),
            _ if self.uses_oauth() => Some(self.file_kind(StoreKind::File)),
            _ => None,
        }
    }

    /// The file of a login at qwen.ai is Qwen Code's.
    fn file_kind(&self, kind: StoreKind) -> StoreKind {
        match kind {
            StoreKind::File if self.uses_oauth() && self.is_qwen_login() => StoreKind::QwenCode,
            kind => kind,
        }
    }

    /// Returns the headers of a request: the provider's, replaced by the profile's of the same name. What the tools set
    /// themselves is not taken from the profile.
    #[must_use]
    pub fn headers_for(&self, provider: &Provider) -> BTreeMap<String, String> {
        let mut headers: BTreeMap<String, String> = provider
            .headers
            .iter()
            .map(|(name, template)| (name.clone(), provider::expand(template, USER_AGENT)))
            .collect();
        for (name, value) in self.headers.iter().filter(|(name, _)| !is_own_header(name)) {
            headers.retain(|known, _| !known.eq_ignore_ascii_case(name));
            headers.insert(name.clone(), value.clone());
        }
        headers
    }
}

/// Blank counts as absent. No variable and no argument can hold a NUL.
fn unless_blank<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    if text.as_ref().is_some_and(|text| text.contains('\0')) {
        return Err(D::Error::custom("a text with a NUL in it (\\u0000) is no name"));
    }
    Ok(text.filter(|text| !text.trim().is_empty()))
}

/// Blank counts as absent.
fn base_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BaseUrl>, D::Error> {
    checked::text(deserializer, BaseUrl::parse)
}

/// A key of `profiles`, which [`check_name`] accepts.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ProfileName(pub(super) String);

impl TryFrom<String> for ProfileName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match check_name(&name) {
            Ok(()) => Ok(Self(name)),
            Err(failure) => Err(failure.message),
        }
    }
}

/// Checks a profile's name, which is part of a file name too.
///
/// # Errors
/// 78.
pub fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if is_plain && !name.is_empty() && name.len() <= 64 && !name.starts_with(['.', '-']) {
        return Ok(());
    }
    let shown = crate::text::clip(name, 64);
    Err(
        Failure::new(Exit::Config, format!("'{shown}' cannot be a profile's name"))
            .hint("use up to 64 of A-Z, a-z, 0-9, dots, dashes and underscores, a letter or digit first"),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Profile, TimeoutSettings};
    use crate::net::http::Timeouts;

    #[test]
    fn a_limit_that_equals_a_default_is_set_all_the_same() {
        let profile: Profile =
            serde_json::from_str(r#"{"timeouts": {"first_byte": 120, "idle": 1.5}}"#).unwrap();
        let defaults = Timeouts {
            first_byte: Duration::from_secs(600),
            ..Timeouts::default()
        };
        let given = TimeoutSettings {
            idle: Some(Duration::from_secs(2)),
            ..TimeoutSettings::default()
        };
        let timeouts = given.or(profile.timeouts).with_defaults(defaults);
        assert_eq!(
            timeouts,
            Timeouts {
                first_byte: Duration::from_secs(120),
                idle: Duration::from_secs(2),
                ..defaults
            }
        );
        assert_eq!(Profile::default().timeouts.with_defaults(defaults), defaults);
    }
}
