//! Settings as they are used, each value with its source.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use url::Url;

use super::binding::Binding;
use super::profile::{KeyCommand, Profile, TimeoutSettings};
use crate::dotenv::Trust;
use crate::exit::{Exit, Failure};
use crate::net::credential::{StoreKind, StoredFor};
use crate::net::http::{BaseUrl, check_endpoint};
use crate::net::oauth::is_allowed;
use crate::output::Reporter;
use crate::provider::{OauthSettings, Provider, Rate};
use crate::secret::{Secret, mask};

/// What was given by flags.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--profile`.
    pub profile: Option<String>,
    /// `--openai-api-key`.
    pub api_key: Option<Secret<String>>,
    /// `--openai-base-url`.
    pub base_url: Option<String>,
    /// `--model`, or the model of the conversation.
    pub model: Option<Sourced<String>>,
    /// True when the user switched to the profile within the program (`/auth`): then the profile goes before
    /// environment and chain.
    pub profile_first: bool,
}

impl Overrides {
    /// Returns what `--model` names, as [`Overrides::model`] has it.
    #[must_use]
    pub fn model_of_flag(model: Option<&String>) -> Option<Sourced<String>> {
        let source = Source::Flag("--model");
        model.map(|model| Sourced::new(model.clone(), source))
    }
}

/// Where the API key is.
#[derive(Clone, Debug)]
pub enum Key {
    /// It was given by a flag, a variable or Qwen Code's settings.
    Given(Secret<String>),
    /// A command prints it.
    Command(KeyCommand),
    /// It is in the profile's store.
    Stored(StoreKind),
}

/// How requests are authenticated.
#[derive(Clone, Debug)]
pub enum Auth {
    /// By an API key.
    ApiKey(Key),
    /// By an OAuth access token.
    Oauth {
        /// The server that issued it.
        server: Box<OauthSettings>,
        /// Where it is stored.
        store: StoreKind,
    },
    /// Not at all: the server asks for no key.
    None,
}

/// The resolved settings of one run.
///
/// What a profile says about requests is here only where the endpoint is the profile's own.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The profile in use; `None` when no profile takes part.
    pub profile: Option<Sourced<String>>,
    /// The provider.
    pub provider: Sourced<&'static Provider>,
    /// How requests are authenticated.
    pub auth: Sourced<Auth>,
    /// The endpoint. Under OAuth a `resource_url` of the credential goes before a provider's default.
    pub base_url: Sourced<BaseUrl>,
    /// Where the secret may go: the profile's endpoint for what is the profile's, else [`Settings::base_url`].
    pub binding: Binding,
    /// Where a secret in the profile's store may go, as it has to stand beside it.
    pub stored_for: StoredFor,
    /// True when the login's `resource_url` may name an endpoint: the profile names none.
    pub follows_resource_url: bool,
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
    /// Who says so.
    pub rate_source: Source,
    /// The limits of a request, as far as the profile sets them.
    pub timeouts: TimeoutSettings,
    /// True when the profile allows plain `http` to other machines.
    pub allow_http: bool,
    /// True when the profile says that answers begin in thought.
    pub starts_in_reasoning: bool,
    /// What is surprising in all this.
    pub notices: Vec<String>,
}

impl Settings {
    /// Returns the method's name for people and JSON.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        self.auth.value.method()
    }

    /// True when requests carry an OAuth access token.
    #[must_use]
    pub const fn uses_oauth(&self) -> bool {
        matches!(self.auth.value, Auth::Oauth { .. })
    }

    /// Returns the name under which the profile's credential is stored.
    #[must_use]
    pub fn profile_name(&self) -> &str {
        self.profile.as_ref().map_or("default", |profile| &profile.value)
    }

    /// Returns the flag that names the profile to another program, a blank before it; nothing for the one that it would take
    /// by itself.
    #[must_use]
    pub fn profile_flag(&self) -> String {
        self.chosen_profile()
            .map_or_else(String::new, |name| format!(" --profile {name}"))
    }

    /// Returns the profile that was chosen, by a flag or a variable; none for the one that is taken by itself.
    #[must_use]
    pub fn chosen_profile(&self) -> Option<&str> {
        let named = self.profile.as_ref();
        named
            .filter(|profile| !matches!(profile.source, Source::DefaultProfile | Source::OnlyProfile))
            .map(|profile| profile.value.as_str())
    }

    /// Returns name, value and source of each setting. No secret is among them.
    #[must_use]
    pub fn origins(&self) -> Vec<(&'static str, String, String)> {
        let origin =
            |name, value: &dyn fmt::Display, source: &Source| (name, value.to_string(), source.to_string());
        let mut origins = Vec::with_capacity(6);
        if let Some(profile) = &self.profile {
            origins.push(origin("profile", &profile.value, &profile.source));
        }
        origins.extend([
            origin("method", &self.method(), &self.auth.source),
            origin("provider", &self.provider.value.name, &self.provider.source),
            origin("base_url", &self.base_url.value, &self.base_url.source),
            origin("model", &self.model.value, &self.model.source),
        ]);
        if let Some(version) = &self.api_version {
            origins.push(origin("api_version", &version.value, &version.source));
        }
        if let Some(key) = self.auth.value.shown_key() {
            origins.push(origin("key", &key, &self.auth.source));
        }
        let profile = Source::Profile(self.profile_name().to_owned());
        for (name, members) in self.masked_members() {
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            origins.push(origin(name, &members.join(" "), &profile));
        }
        if let Some(rate) = self.rate.and_then(Rate::in_words) {
            origins.push(origin("rate", &rate, &self.rate_source));
        }
        origins
    }

    /// Returns what the profile sends with every request, each value masked: headers and query, as far as there are any.
    #[must_use]
    pub fn masked_members(&self) -> Vec<(&'static str, BTreeMap<String, String>)> {
        let masked = |(name, value): (&str, &str)| (name.to_owned(), mask(value));
        let headers: BTreeMap<_, _> = self.profile_headers().map(masked).collect();
        let query = self.query.iter();
        let query = query.map(|(name, value)| masked((name, value))).collect();
        let mut members = vec![("headers", headers), ("query", query)];
        members.retain(|(_, members)| !members.is_empty());
        members
    }

    /// Returns the headers that are the profile's: they may hold secrets.
    pub fn profile_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let of_provider = Profile::default().headers_for(self.provider.value);
        let own = self
            .headers
            .iter()
            .filter(move |(name, value)| of_provider.get(*name) != Some(value));
        own.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Checks that the secret may be sent to `url`. `base_url` is the endpoint that it is used for.
    ///
    /// # Errors
    /// 78 where `url` is neither below that endpoint nor below one that the secret is bound to, and for plain `http` to
    /// another machine.
    pub fn check_destination(&self, base_url: &BaseUrl, url: &Url) -> Result<(), Failure> {
        check_endpoint(url, self.allow_http)?;
        let endpoint = Binding::to(base_url.clone(), self.provider.value);
        if endpoint.covers(url) || self.auth.value.may_go(&self.binding, url) {
            return Ok(());
        }
        let kind = match self.auth.value {
            Auth::Oauth { .. } => "token",
            Auth::ApiKey(_) | Auth::None => "key",
        };
        let mut asked = url.clone();
        asked.set_query(None);
        let source = &self.auth.source;
        let message = format!("the {kind} of {source} is not for '{asked}': it belongs to '{base_url}'");
        let given = [&self.auth.source, &self.base_url.source].into_iter();
        let given = given.filter_map(|source| match source {
            Source::Environment(name) | Source::Exported { name, .. } => Some(name.as_str()),
            _ => None,
        });
        let mut names: Vec<&str> = given.collect();
        names.dedup();
        let failure = Failure::new(Exit::Config, message);
        Err(match (&self.profile, names.as_slice()) {
            (Some(profile), [_, ..]) => {
                let (names, profile) = (names.join(" "), &profile.value);
                failure.hint(format!("run 'unset {names}' to use those of profile '{profile}'"))
            }
            (Some(_), []) => failure
                .hint("choose the profile of that endpoint with --profile NAME; 'qwen-auth list' shows them"),
            (None, _) => {
                failure.hint("set OPENAI_BASE_URL to that endpoint, and OPENAI_API_KEY to a key of it")
            }
        })
    }

    /// Prints the notices, and with `--verbose` the source of each setting.
    pub fn report(&self, reporter: &Reporter) {
        for notice in &self.notices {
            reporter.notice(notice);
        }
        if reporter.is_verbose() {
            for (name, value, source) in self.origins() {
                reporter.detail(&format!("{name} '{value}' from {source}"));
            }
        }
    }
}

impl Auth {
    /// True when `url` is at or below an endpoint of `binding` and, for a token, at a host that its server allows.
    #[must_use]
    pub fn may_go(&self, binding: &Binding, url: &Url) -> bool {
        let is_allowed = match self {
            Self::Oauth { server, .. } => {
                // A profile that names server and endpoint, and no hosts, allows its own endpoint.
                server.allowed_hosts.is_empty() || is_allowed(url, &server.allowed_hosts)
            }
            Self::ApiKey(_) | Self::None => true,
        };
        is_allowed && binding.covers(url)
    }

    /// Returns where the key is, or its ends; `None` where there is none.
    #[must_use]
    pub fn shown_key(&self) -> Option<String> {
        match self {
            Self::ApiKey(Key::Given(key)) => Some(key.masked()),
            Self::ApiKey(Key::Command(command)) => Some(format!("command '{}'", command.program())),
            Self::ApiKey(Key::Stored(store)) => Some(format!("stored in {store}")),
            Self::Oauth { .. } | Self::None => None,
        }
    }

    /// Returns the method's name for people and JSON.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::ApiKey(_) => "api-key",
            Self::Oauth { .. } => "oauth",
            Self::None => "none",
        }
    }
}

/// The place that gave a value, from the strongest to the weakest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag on the command line.
    Flag(&'static str),
    /// The conversation: a saved one goes on with its model, and `/model` chooses another.
    Conversation,
    /// A variable of the process environment.
    Environment(String),
    /// A variable of the process environment that `qwen-env` exported from a project's file without consent.
    Exported {
        /// The variable.
        name: String,
        /// The file, where it is known.
        path: Option<PathBuf>,
    },
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
    /// `default_profile` of `config.json`.
    DefaultProfile,
    /// There is one profile alone in `config.json`.
    OnlyProfile,
    /// A profile of `config.json`.
    Profile(String),
    /// Qwen Code's files.
    QwenCode {
        /// The file.
        path: PathBuf,
        /// What of it: `security.auth.apiKey`, `modelProviders.openai 'm1'`, …; empty for the whole file.
        member: String,
    },
    /// The provider catalogue.
    Provider(String),
    /// Built in.
    Default,
}

impl Source {
    /// True for a flag, the conversation, the environment and the chain, which go before a profile.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        matches!(
            self,
            Self::Flag(_)
                | Self::Conversation
                | Self::Environment(_)
                | Self::Exported { .. }
                | Self::EnvFile { .. }
        )
    }

    /// True for a project's file to which the user has not consented, and for what was exported from one: whoever wrote
    /// the project said so, not the user.
    #[must_use]
    pub const fn is_project(&self) -> bool {
        match self {
            Self::EnvFile { trust, .. } => matches!(trust, Trust::UntrustedProject),
            Self::Exported { .. } => true,
            _ => false,
        }
    }

    /// Returns the `.env` file that said so.
    #[must_use]
    pub fn env_file(&self) -> Option<&Path> {
        match self {
            Self::EnvFile { path, .. } => Some(path),
            Self::Exported { path, .. } => path.as_deref(),
            _ => None,
        }
    }

    /// Returns the variable that said so.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Environment(name) | Self::Exported { name, .. } | Self::EnvFile { name, .. } => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Conversation => f.write_str("the conversation"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Exported {
                name,
                path: Some(path),
            } => write!(f, "environment {name} (exported from {})", path.display()),
            Self::Exported { name, path: None } => {
                write!(f, "environment {name} (exported from a project's file)")
            }
            Self::EnvFile { path, line, .. } => write!(f, "{}:{line}", path.display()),
            Self::DefaultProfile => f.write_str("default_profile in config.json"),
            Self::OnlyProfile => f.write_str("the only profile in config.json"),
            Self::Profile(name) => write!(f, "profile '{name}'"),
            Self::QwenCode { path, member } if member.is_empty() => write!(f, "{}", path.display()),
            Self::QwenCode { path, member } => write!(f, "{}: {member}", path.display()),
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
