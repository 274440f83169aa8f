//! Settings as they are used, each value with its source.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::profile::TimeoutSettings;
use super::resolver::Resolver;
use crate::dotenv::Trust;
use crate::exit::{Exit, Failure};
use crate::net::credential::StoreKind;
use crate::net::http::BaseUrl;
use crate::provider::{self, OauthSettings, Provider, Rate};
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
    Stored(StoreKind),
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
        store: StoreKind,
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
    pub base_url: Sourced<BaseUrl>,
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
    /// The limits of a request, as far as the profile sets them.
    pub timeouts: TimeoutSettings,
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
        let mut origins = vec![
            shown("method", self.method().to_owned(), &self.access.source),
            shown(
                "provider",
                self.provider.value.name.clone(),
                &self.provider.source,
            ),
            shown("base_url", self.base_url.value.to_string(), &self.base_url.source),
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

/// The place that gave a value, from the strongest to the weakest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag on the command line.
    Flag(&'static str),
    /// A variable of the process environment.
    Environment(String),
    /// A line of a `.env` file.
    EnvFile {
        /// The variable.
        name: String,
        /// The file.
        path: PathBuf,
        /// The line of the assignment, from 1.
        line: u32,
        /// Whether the file is the user's own or came with a project.
        trust: Trust,
    },
    /// A profile of `config.json`.
    Profile(String),
    /// Qwen Code's `settings.json`.
    QwenCode(PathBuf),
    /// The provider catalogue.
    Provider(String),
    /// Built in.
    Default,
}

impl Source {
    /// True when a person said it for this run or this directory: by flag, environment or chain.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        matches!(self, Self::Flag(_) | Self::Environment(_) | Self::EnvFile { .. })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::EnvFile { path, line, .. } => write!(f, "{}:{line}", path.display()),
            Self::Profile(name) => write!(f, "profile '{name}'"),
            Self::QwenCode(path) => f.write_str(&path.to_string_lossy()),
            Self::Provider(name) => write!(f, "provider '{name}'"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub source: Source,
}

impl<T> Sourced<T> {
    /// Pairs a value with its place.
    pub const fn new(value: T, source: Source) -> Self {
        Self { value, source }
    }

    /// Changes the value, keeps the place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced {
            value: change(self.value),
            source: self.source,
        }
    }
}

/// Nothing says how to authenticate.
pub(super) fn no_method() -> Failure {
    Failure::new(
        Exit::NoAuth,
        "no credential: neither an API key nor a login is configured",
    )
    .hint("run 'qwen-login'")
    .hint("or set OPENAI_API_KEY, and OPENAI_BASE_URL and OPENAI_MODEL where they are not OpenAI's")
}

/// The profile does not exist or says nothing that authenticates.
pub(super) fn no_credential(profile: &str) -> Failure {
    Failure::new(Exit::NoAuth, format!("no credential for profile '{profile}'"))
        .hint(format!("run 'qwen-login --profile {profile}'"))
        .hint("or set OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL")
}

/// A profile that somebody named is not configured.
pub(super) fn no_profile(named: &Sourced<String>) -> Failure {
    naming(&named.source, no_credential(&named.value))
}

/// Adds to the fault of a profile's name who gave it, where that is not what was just typed.
pub(super) fn naming(source: &Source, mut failure: Failure) -> Failure {
    if matches!(source, Source::Environment(_) | Source::EnvFile { .. }) {
        failure.message.push_str(&format!(" (from {source})"));
    }
    failure
}

/// A profile takes its key from a variable that is not set.
pub(super) fn unset_key_variable(profile: Option<&Sourced<String>>, variable: &str) -> Failure {
    let profile = profile.map_or("default", |profile| &profile.value);
    Failure::new(
        Exit::NoAuth,
        format!("profile '{profile}' takes its key from {variable}, which is not set"),
    )
    .hint(format!("set {variable}, or run 'qwen-login --profile {profile}'"))
}

/// A profile names a provider that the catalogue does not have.
#[must_use]
pub fn unknown_provider(profile: &Source, name: &str) -> Failure {
    let known: Vec<&str> = provider::all()
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    Failure::new(Exit::Config, format!("{profile}: no provider is called '{name}'"))
        .hint(format!("known are {}", known.join(", ")))
}

/// The embedded catalogue lacks an entry that the code counts on.
pub(super) fn broken_catalogue() -> Failure {
    Failure::new(
        Exit::Bug,
        "the provider catalogue is incomplete; please report it",
    )
}
