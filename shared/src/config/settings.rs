//! What was typed and what is configured, resolved once into what it means.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use url::Url;

use super::profile::StoreName;
use super::resolve::Resolver;
use super::source::{Source, Sourced};
use crate::failure::Failure;
use crate::http::Timeouts;
use crate::provider::{OauthSettings, Provider, Rate};
use crate::secret::Secret;

/// What was said on the command line.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--profile`.
    pub profile: Option<String>,
    /// `--openai-api-key`.
    pub api_key: Option<Secret<String>>,
    /// `--openai-base-url`.
    pub base_url: Option<String>,
    /// `--model`.
    pub model: Option<String>,
    /// True when the user switched to the profile here and now (`/auth`): then what the profile says beats
    /// environment and chain, because a switch that changes nothing is what people complain about.
    pub profile_first: bool,
}

/// Where the API key is.
#[derive(Clone, Debug)]
pub enum Key {
    /// It is here.
    Given(Secret<String>),
    /// A command prints it.
    Command(Vec<String>),
    /// It is in the profile's store.
    Stored(StoreName),
}

/// How requests are authenticated.
#[derive(Clone, Debug)]
pub enum Access {
    /// By an API key.
    ApiKey(Key),
    /// By an OAuth access token, which is in the profile's store.
    Oauth {
        /// The server that issued it.
        server: Box<OauthSettings>,
        /// Where it is kept.
        store: StoreName,
        /// True for the login at qwen.ai, or at what a profile of provider `qwen` puts in its place: kept in a file,
        /// it is Qwen Code's, and both share it.
        is_qwen: bool,
    },
    /// Not at all: the server asks for no key.
    Open,
}

/// The resolved settings of one run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The profile in use; `None` when no profile takes part.
    pub profile: Option<Sourced<String>>,
    /// The provider.
    pub provider: Sourced<&'static Provider>,
    /// How requests are authenticated, and who said so.
    pub access: Sourced<Access>,
    /// The endpoint. Under OAuth a `resource_url` of the credential goes before a provider's default.
    pub base_url: Sourced<Url>,
    /// The model.
    pub model: Sourced<String>,
    /// The API version that a provider's query asks for.
    pub api_version: Option<Sourced<String>>,
    /// Headers of every request, the provider's first. The profile's come from the user: they may hold secrets.
    pub headers: BTreeMap<String, String>,
    /// Query parameters of every request.
    pub query: BTreeMap<String, String>,
    /// Members merged into every body.
    pub body: Map<String, Value>,
    /// The quota.
    pub rate: Option<Rate>,
    /// The limits of a request.
    pub timeouts: Timeouts,
    /// True when the profile allows plain `http` to other machines.
    pub allow_http: bool,
    /// What the user ought to know about how this was decided.
    pub notices: Vec<String>,
}

impl Settings {
    /// Resolves the settings of this process.
    ///
    /// # Errors
    /// 77 when nothing says how to authenticate, or the profile does not exist; 78 for invalid or contradictory
    /// settings, and when a project's file would have a secret sent elsewhere (SPEC: where a secret may go).
    pub fn resolve(overrides: &Overrides) -> Result<Self, Failure> {
        Resolver::new(overrides)?.settle()
    }

    /// Returns the method's name for people and JSON.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self.access.value {
            Access::ApiKey(_) => "api-key",
            Access::Oauth { .. } => "oauth",
            Access::Open => "none",
        }
    }

    /// Returns the name under which the profile's credential is kept.
    #[must_use]
    pub fn profile_name(&self) -> &str {
        self.profile.as_ref().map_or("default", |profile| &profile.value)
    }

    /// Says one of [`Settings::origins`] in a line.
    #[must_use]
    pub fn origin(name: &str, value: &str, source: &str) -> String {
        format!("{name} '{value}' from {source}")
    }

    /// Returns name, value and source of each setting, for people. No secret is among them.
    #[must_use]
    pub fn origins(&self) -> Vec<(&'static str, String, String)> {
        let shown = |name, value: String, source: &Source| (name, value, source.to_string());
        let base_url = crate::http::without_user_info(&self.base_url.value);
        let mut origins = vec![
            shown("method", self.method().to_owned(), &self.access.source),
            shown(
                "provider",
                self.provider.value.name.clone(),
                &self.provider.source,
            ),
            shown("base_url", base_url, &self.base_url.source),
            shown("model", self.model.value.clone(), &self.model.source),
        ];
        if let Some(profile) = &self.profile {
            origins.insert(0, shown("profile", profile.value.clone(), &profile.source));
        }
        if let Some(version) = &self.api_version {
            origins.push(shown("api_version", version.value.clone(), &version.source));
        }
        origins
    }
}
