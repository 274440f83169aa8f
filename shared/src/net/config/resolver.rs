//! Precedence: flag, environment, `.env` chain, profile, Qwen Code's settings, provider.

mod missing;
mod notices;
mod summary;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use self::missing::{hint_at_providers, no_such_profile, unknown_provider};
use self::missing::{missing_profile, with_source};
pub use self::summary::ProfileSummary;
use super::binding::Binding;
use super::destination::{Credential, Destination};
use super::file::Config;
use super::lookup::Lookup;
use super::moved::stored_for;
use super::profile::{KeySetting, Method, Profile, check_name};
use super::qwen_code::{Connection, Given, QwenCodeSettings};
use super::settings::{Auth, Key, Overrides, Settings, Source, Sourced};
use crate::address::parse_plain;
use crate::dotenv::{EnvChain, Trust};
use crate::exit::{Exit, Failure};
use crate::net::http::BaseUrl;
use crate::provider::{self, Provider, is_own_server};
use crate::secret::Secret;
use crate::text::one_line;

/// The variable in which qwen-proxy says to programs of ours that the address they find is its own.
pub const LENT_ADDRESS: &str = "QWEN_PROXY_URL";

impl Settings {
    /// Resolves the settings of this process.
    ///
    /// # Errors
    /// 77 without any credential, or when the profile does not exist; 78 for invalid or contradictory settings, and
    /// when a project's file would have a secret sent elsewhere.
    pub fn resolve(overrides: &Overrides) -> Result<Self, Failure> {
        let config = Config::load()?;
        let lookup = Lookup::configured(&config)?;
        let name = active_name(overrides.profile.as_deref(), &lookup, &config)?;
        let qwen_code = QwenCodeSettings::of(lookup.shared_files());
        // Without a profile Qwen Code's own login is used, where it has one.
        let without_profile = Profile {
            method: qwen_code.uses_oauth().then_some(Method::Oauth),
            ..Profile::default()
        };
        let profile = match &name {
            None => &without_profile,
            Some(name) => config
                .profiles
                .get(&name.value)
                .ok_or_else(|| missing_profile(name, &config.profiles))?,
        };
        let mut resolver = Resolver {
            overrides,
            lookup: &lookup,
            name: name.as_ref(),
            profile,
            qwen_code: &qwen_code,
            profiles: &config.profiles,
            connection: None,
            is_qwen_code_asked: false,
        };
        let mut settings = resolver.resolve()?;
        settings.notices.splice(0..0, config.notices);
        Ok(settings)
    }
}

impl Settings {
    /// Returns what [`Settings::resolve`] would return with this profile stored and switched to. The key is given by hand;
    /// without one nothing authenticates.
    ///
    /// # Errors
    /// 78 for invalid or contradictory settings.
    pub fn for_candidate(
        name: &str,
        profile: &Profile,
        key: Option<Secret<String>>,
    ) -> Result<Self, Failure> {
        let has_key = key.is_some();
        let overrides = Overrides {
            // Anything: it is taken out again, but keeps those of the environment away.
            api_key: key.or_else(|| Some(Secret::new("none".to_owned()))),
            profile_first: true,
            ..Overrides::default()
        };
        let source = Source::Profile(name.to_owned());
        let lookup = Lookup::from_process()?;
        let mut resolver = Resolver {
            overrides: &overrides,
            lookup: &lookup,
            name: Some(&Sourced::new(name.to_owned(), source.clone())),
            profile,
            qwen_code: &QwenCodeSettings::of(lookup.shared_files()),
            profiles: &BTreeMap::new(),
            connection: None,
            is_qwen_code_asked: false,
        };
        let mut settings = resolver.resolve()?;
        settings.auth.source = source;
        if !has_key {
            settings.auth.value = Auth::None;
        }
        Ok(settings)
    }
}

/// Reads the configuration and returns the profile in use; `None` when none takes part.
///
/// # Errors
/// As [`Config::load`]; 78 for a name that no profile can have.
pub fn active_profile(flag: Option<&str>) -> Result<(Config, Option<Sourced<String>>), Failure> {
    let config = Config::load()?;
    let name = active_name(flag, &Lookup::configured(&config)?, &config)?;
    Ok((config, name))
}

/// Returns a variable of the process environment that is the user's own word: not blank, and not what was exported from a
/// project's file without consent. That is the error, with its source.
///
/// # Errors
/// The source of a value that is not the user's own.
pub fn own_variable(name: &str) -> Result<Option<String>, Source> {
    let lookup = Lookup::from_process().unwrap_or_default();
    match lookup.environment(name) {
        Some(value) if value.source.is_project() => Err(value.source),
        value => Ok(value.map(|value| value.value)),
    }
}

/// Returns the profile in use: by flag, `QWEN_PROFILE`, `default_profile`, else the only one.
fn active_name(
    flag: Option<&str>,
    lookup: &Lookup,
    config: &Config,
) -> Result<Option<Sourced<String>>, Failure> {
    let name = flag_value(flag, "--profile")
        // A file, and what was exported from one, does not choose the account.
        .or_else(|| {
            lookup
                .environment("QWEN_PROFILE")
                .filter(|name| !name.source.is_project())
        })
        .or_else(|| {
            let named = config.default_profile.as_ref();
            let named = named.map(|name| Sourced::new(name.clone(), Source::DefaultProfile));
            let mut names = config.profiles.keys();
            let only = names.next().filter(|_| names.next().is_none());
            named.or_else(|| only.map(|name| Sourced::new(name.clone(), Source::OnlyProfile)))
        });
    if let Some(name) = &name {
        check_name(&name.value).map_err(|failure| with_source(&name.source, failure))?;
    }
    Ok(name)
}

impl Binding {
    /// Binds to the endpoint of a profile, without flags, variables and `.env` files. What the profile says of its requests
    /// ([`BOUND_MEMBERS`](super::BOUND_MEMBERS)) goes to no other one.
    #[must_use]
    pub fn of_profile(profile: &Profile, qwen_code: &QwenCodeSettings) -> Self {
        let unset = Unset::default();
        let mut resolver = Resolver::of_profile(profile, qwen_code, &unset);
        // Where Qwen Code's settings cannot be used the default endpoint is left.
        let _ = resolver.ask_qwen_code();
        resolver.own_endpoint().unwrap_or_default()
    }
}

struct Endpoint {
    provider: Sourced<&'static Provider>,
    base_url: Sourced<BaseUrl>,
    model: Sourced<String>,
}

/// Everything that settings come from.
struct Resolver<'a> {
    overrides: &'a Overrides,
    lookup: &'a Lookup,
    name: Option<&'a Sourced<String>>,
    profile: &'a Profile,
    qwen_code: &'a QwenCodeSettings,
    /// All of them.
    profiles: &'a BTreeMap<String, Profile>,
    /// What Qwen Code uses, where nobody else names an endpoint.
    connection: Option<Connection>,
    is_qwen_code_asked: bool,
}

/// What goes before a profile, where nothing does.
#[derive(Debug, Default)]
struct Unset {
    overrides: Overrides,
    lookup: Lookup,
    profiles: BTreeMap<String, Profile>,
}

impl<'a> Resolver<'a> {
    fn of_profile(profile: &'a Profile, qwen_code: &'a QwenCodeSettings, unset: &'a Unset) -> Self {
        Self {
            overrides: &unset.overrides,
            lookup: &unset.lookup,
            name: None,
            profile,
            qwen_code,
            profiles: &unset.profiles,
            connection: None,
            is_qwen_code_asked: false,
        }
    }
}

impl Resolver<'_> {
    fn resolve(&mut self) -> Result<Settings, Failure> {
        self.ask_qwen_code()?;
        let named = self.configured_base_url()?;
        let provider = self.provider(named.as_ref())?;
        let credential = self.credential(&provider, named.as_ref());
        self.check_passed_over(credential.as_ref().ok())?;
        let credential = credential?;
        let uses_oauth = matches!(credential.auth.value, Auth::Oauth { .. });
        let endpoint = self.endpoint(named, provider, uses_oauth)?;
        let own = self.own_endpoint()?;
        let destination = Destination {
            base_url: &endpoint.base_url,
            follows_resource_url: self.profile.base_url.is_none(),
            profile: self.name,
            chain: self.lookup.chain(),
            file_in_call: endpoint
                .base_url
                .source
                .variable()
                .and_then(|name| self.lookup.file_in_call(name)),
        };
        destination.check(&credential, |variable| self.binding_of_variable(variable, &own))?;
        Ok(self.settings(credential, endpoint, &own))
    }

    /// Puts together what may go to the endpoint. What is bound to another one is not among it, so that no program can send
    /// it.
    fn settings(&self, credential: Credential, endpoint: Endpoint, own: &Binding) -> Settings {
        let Endpoint {
            provider,
            base_url,
            model,
        } = endpoint;
        let elsewhere = Profile::default();
        let carried = match own.covers(&base_url.value) {
            true => self.profile,
            false => &elsewhere,
        };
        let uses_oauth = matches!(credential.auth.value, Auth::Oauth { .. });
        let of_provider = provider
            .value
            .rate
            .filter(|_| uses_oauth || provider.value.oauth.is_none());
        Settings {
            headers: carried.headers_for(provider.value),
            query: carried.query.clone(),
            body: merged(&provider.value.body, &carried.body),
            rate: carried.rate.or(of_provider),
            rate_source: match carried.rate {
                Some(_) => self.profile_source(),
                None => Source::Provider(provider.value.name.clone()),
            },
            timeouts: carried.timeouts,
            allow_http: carried.allow_http,
            starts_in_reasoning: carried.reasoning.is_some(),
            api_version: self.api_version(),
            profile: self.name.cloned(),
            notices: self.notices(&credential, &base_url, &model, own),
            stored_for: stored_for(self.profile),
            follows_resource_url: self.profile.base_url.is_none(),
            binding: credential
                .binding
                .unwrap_or_else(|| Binding::to(base_url.value.clone(), provider.value)),
            auth: credential.auth,
            provider,
            base_url,
            model,
        }
    }

    fn written_method(&self) -> Option<&'static str> {
        let profile = self.profile;
        let of_key = profile.key.as_ref().map(|_| Method::ApiKey);
        let of_server = profile.uses_oauth().then_some(Method::Oauth);
        profile.method.or(of_key).or(of_server).map(Method::name)
    }

    fn profile_source(&self) -> Source {
        Source::Profile(self.name.map_or("default", |name| &name.value).to_owned())
    }

    /// Returns the configured endpoint; `None` leaves it to the provider.
    fn configured_base_url(&self) -> Result<Option<Sourced<BaseUrl>>, Failure> {
        let hides_variable = self.overrides.profile_first && self.name.is_some();
        let variable = || self.lookup.value("OPENAI_BASE_URL").filter(|_| !hides_variable);
        let flag = flag_value(self.overrides.base_url.as_deref(), "--openai-base-url");
        if let Some(given) = flag.or_else(variable) {
            return parse_url(given).map(Some);
        }
        if let Some(own) = &self.profile.base_url {
            return Ok(Some(Sourced::new(own.clone(), self.profile_source())));
        }
        let connection = self.connection.as_ref();
        Ok(connection.map(|connection| connection.base_url.clone()))
    }

    /// Asks for what Qwen Code uses, where nobody else names an endpoint, or a credential that goes to one.
    fn ask_qwen_code(&mut self) -> Result<(), Failure> {
        let hides_variable = self.overrides.profile_first && self.name.is_some();
        let flag = self.overrides.base_url.as_deref();
        let is_named = flag.is_some_and(|url| !url.trim().is_empty())
            || !hides_variable && self.lookup.value("OPENAI_BASE_URL").is_some()
            || self.profile.base_url.is_some()
            || self.profile.provider.is_some()
            || self.profile.key.is_some()
            || self.profile.uses_oauth();
        if is_named {
            return Ok(());
        }
        self.is_qwen_code_asked = true;
        // A project may name the model; the endpoint is chosen without it.
        let model = self.configured_model().filter(|model| !model.source.is_project());
        let model = model.as_ref().map(|model| model.value.as_str());
        let key = self.overrides.api_key.as_ref();
        let given = Given {
            model: model.or(self.profile.model.as_deref().map(str::trim)),
            has_key: key.is_some_and(|key| !key.expose().trim().is_empty()),
        };
        let variables = |name: &str| self.lookup.value(name);
        self.connection = self.qwen_code.connection(given, &variables)?;
        Ok(())
    }

    /// Returns the model of a flag, a variable or the profile.
    fn configured_model(&self) -> Option<Sourced<String>> {
        let variable = || self.lookup.value("OPENAI_MODEL");
        let profile = || {
            let model = self.profile.model.as_deref()?.trim().to_owned();
            Some(Sourced::new(model, self.profile_source()))
        };
        let flag = self.overrides.model.clone().and_then(not_blank);
        flag.or_else(|| match self.overrides.profile_first {
            true => profile().or_else(variable),
            false => variable().or_else(profile),
        })
    }

    fn provider(&self, base_url: Option<&Sourced<BaseUrl>>) -> Result<Sourced<&'static Provider>, Failure> {
        let source = self.profile_source();
        let named = match &self.profile.provider {
            Some(name) => Some(provider::named(name).ok_or_else(|| unknown_provider(&source, name))?),
            None => None,
        };
        match (named, base_url) {
            (Some(named), None) => Ok(Sourced::new(named, source)),
            (Some(named), Some(url)) if url.source == source || named.owns(&url.value) => {
                Ok(Sourced::new(named, source))
            }
            (_, Some(url)) => provider::recognise(&url.value)
                .map(|known| Sourced::new(known, url.source.clone()))
                .ok_or_else(broken_catalogue),
            (None, None) if self.profile.uses_oauth() => catalogued("qwen", self.own_source()),
            (None, None) => catalogued("openai", Source::Default),
        }
    }

    /// `named` is the configured base URL, `provider` the one it belongs to.
    fn endpoint(
        &self,
        named: Option<Sourced<BaseUrl>>,
        provider: Sourced<&'static Provider>,
        uses_oauth: bool,
    ) -> Result<Endpoint, Failure> {
        // A key has nothing to do with the server that an OAuth profile logs in at.
        let is_server_of_login = named.is_none() && provider.value.oauth.is_some();
        let provider = match is_server_of_login && !uses_oauth {
            true => catalogued("openai", Source::Default)?,
            false => provider,
        };
        let mut base_url = match named {
            Some(named) => named,
            None => default_base_url(&provider)?,
        };
        let deployment = provider.value.split_model(&base_url.value).map(|(path, model)| {
            base_url.value = base_url.value.clone().with_path(&path);
            Sourced::new(model, base_url.source.clone())
        });
        let model = self.model(provider.value, deployment, uses_oauth);
        if !provider.value.can_address(&model.value) {
            let (source, name) = (&model.source, one_line(&model.value));
            let message = format!(
                "{source}: model '{name}' cannot be part of the path of '{}'",
                base_url.value
            );
            return Err(Failure::new(Exit::Config, message));
        }
        Ok(Endpoint {
            provider,
            base_url,
            model,
        })
    }

    /// Returns the model; `deployment` is the one in the address of the endpoint.
    fn model(
        &self,
        provider: &Provider,
        deployment: Option<Sourced<String>>,
        uses_oauth: bool,
    ) -> Sourced<String> {
        // A server with models of its own does not take a name that is meant for another one.
        let is_foreign = uses_oauth && provider.own_models;
        let flag = self.overrides.model.clone().and_then(not_blank);
        let variable = || self.lookup.value("OPENAI_MODEL").filter(|_| !is_foreign);
        let profile = || {
            let model = self.profile.model.as_deref()?.trim().to_owned();
            Some(Sourced::new(model, self.profile_source()))
        };
        let of_qwen_code = || {
            let is_asked = self.profile.provider.is_none() && !is_foreign;
            let connection = self.connection.as_ref();
            let model = connection.and_then(|connection| connection.model.clone());
            model.or_else(|| self.qwen_code.model()).filter(|_| is_asked)
        };
        let configured = || match self.overrides.profile_first {
            true => profile().or_else(variable),
            false => variable().or_else(profile),
        };
        flag.or(deployment)
            .or_else(configured)
            .or_else(of_qwen_code)
            .unwrap_or_else(|| {
                let source = Source::Provider(provider.name.clone());
                Sourced::new(provider.default_model.clone(), source)
            })
    }

    /// Returns what authenticates: a flag's key, a variable's, the profile's own, Qwen Code's, or nothing where nothing is
    /// needed.
    fn credential(
        &self,
        provider: &Sourced<&'static Provider>,
        base_url: Option<&Sourced<BaseUrl>>,
    ) -> Result<Credential, Failure> {
        let given = |key| Auth::ApiKey(Key::Given(key));
        let flag = self.overrides.api_key.clone();
        if let Some(key) = flag.filter(|key| !key.expose().trim().is_empty()) {
            return Ok(Credential::free(Sourced::new(
                given(key),
                Source::Flag("--openai-api-key"),
            )));
        }
        if self.overrides.profile_first
            && let Some(own) = self.own_credential()?
        {
            return Ok(own);
        }
        if let Some(connection) = &self.connection
            && let Some(key) = &connection.key
        {
            let url = connection.base_url.value.clone();
            return Ok(Credential::bound(
                key.clone().map(given),
                Binding::to(url, provider.value),
            ));
        }
        if let Some(key) = self.variable_key(provider.value) {
            return Ok(Credential::free(key.map(|key| given(Secret::new(key)))));
        }
        if let Some(own) = self.own_credential()? {
            return Ok(own);
        }
        if let Some(url) = base_url
            && let Some(key) = self.key_of_qwen_code(url)
        {
            let binding = Binding::to(url.value.clone(), provider.value);
            return Ok(Credential::bound(key.map(given), binding));
        }
        if base_url.is_some_and(|url| is_own_server(&url.value)) || !provider.value.needs_key {
            let none = Sourced::new(Auth::None, provider.source.clone());
            return Ok(Credential::free(none));
        }
        Err(self.missing(provider.value, base_url))
    }

    fn api_version(&self) -> Option<Sourced<String>> {
        let name = "OPENAI_API_VERSION";
        let mapped = || {
            self.qwen_code
                .variable(name)
                .filter(|_| self.connection.is_some())
        };
        self.lookup.value(name).or_else(mapped)
    }

    /// Returns the key that Qwen Code's settings have for an endpoint of the user's own.
    fn key_of_qwen_code(&self, url: &Sourced<BaseUrl>) -> Option<Sourced<Secret<String>>> {
        let is_users = url.source.is_given() && !url.source.is_project();
        let variables = |name: &str| self.lookup.value(name);
        is_users
            .then(|| self.qwen_code.key_for(&url.value, &variables))
            .flatten()
    }

    /// Returns the key of a variable. The provider's own variable goes before `OPENAI_API_KEY`, in the environment and
    /// in the chain.
    fn variable_key(&self, provider: &Provider) -> Option<Sourced<String>> {
        // Qwen Code's settings have weighed it for the endpoint that they name.
        let general = Some("OPENAI_API_KEY").filter(|_| self.connection.is_none());
        let names = [provider.key_variable.as_deref(), general];
        let mut keys: Vec<_> = names
            .into_iter()
            .flatten()
            .filter_map(|name| self.lookup.value(name))
            .collect();
        let in_environment =
            |key: &Sourced<String>| matches!(key.source, Source::Environment(_) | Source::Exported { .. });
        let first = keys.iter().position(in_environment).unwrap_or(0);
        (!keys.is_empty()).then(|| keys.swap_remove(first))
    }

    /// Returns what the profile, or Qwen Code's own login, authenticates with.
    fn own_credential(&self) -> Result<Option<Credential>, Failure> {
        let own = || self.own_endpoint();
        let stored = self.profile.store()?;
        let auth = match (stored, &self.profile.key) {
            (Some(store), _) if self.profile.uses_oauth() => Auth::Oauth {
                server: Box::new(self.profile.login_server().ok_or_else(broken_catalogue)?),
                store,
            },
            (Some(store), _) => Auth::ApiKey(Key::Stored(store)),
            (None, Some(KeySetting::Command(command))) => Auth::ApiKey(Key::Command(command.clone())),
            (None, Some(KeySetting::Env(name))) => {
                let key = self
                    .lookup
                    .value(name)
                    .or_else(|| self.qwen_code.variable(name))
                    .ok_or_else(|| self.unset_key_variable(name))?;
                let key = key.map(|key| Auth::ApiKey(Key::Given(Secret::new(key))));
                return Ok(Some(Credential::bound(key, own()?)));
            }
            (None, _) if self.profile.authenticates_by_members() => Auth::None,
            (None, _) => return Ok(None),
        };
        let auth = Sourced::new(auth, self.own_source());
        Ok(Some(Credential::bound(auth, own()?)))
    }

    /// Returns the endpoints to which all that the profile says is bound: its base URL, the regions of its provider, or
    /// those of the default.
    fn own_endpoint(&self) -> Result<Binding, Failure> {
        let named = match &self.profile.provider {
            Some(name) => provider::named(name),
            None => None,
        };
        if let Some(own) = &self.profile.base_url {
            let provider = named.or_else(|| provider::recognise(own));
            let provider = provider.ok_or_else(broken_catalogue)?;
            return Ok(Binding::to(own.clone(), provider));
        }
        if let Some(named) = named {
            return Ok(Binding::to_regions(named));
        }
        if let Some(connection) = &self.connection {
            let url = connection.base_url.value.clone();
            let provider = provider::recognise(&url).ok_or_else(broken_catalogue)?;
            return Ok(Binding::to(url, provider));
        }
        let default = if self.profile.uses_oauth() {
            "qwen"
        } else {
            "openai"
        };
        Ok(Binding::to_regions(catalogued(default, Source::Default)?.value))
    }

    /// Returns the endpoints to which the key in a variable goes whoever names them: the profile's, when the profile takes
    /// its key from there; where the user's own word sends `OPENAI_API_KEY`; else those of the provider whose variable it is.
    fn binding_of_variable(&self, variable: &str, own: &Binding) -> Binding {
        if matches!(&self.profile.key, Some(KeySetting::Env(name)) if name == variable) {
            return own.clone();
        }
        if variable == "OPENAI_API_KEY"
            && let Some(usual) = self.usual_endpoint(own)
        {
            return usual;
        }
        let owners = provider::all().filter(|provider| provider.key_variable.as_deref() == Some(variable));
        Binding::any(owners.map(Binding::to_regions))
    }

    /// Returns the source of [`Resolver::own_credential`].
    fn own_source(&self) -> Source {
        match self.name {
            Some(_) => self.profile_source(),
            None => match self.qwen_code.selected_type() {
                Some(selected) => selected.source,
                None => Source::QwenCode {
                    path: self.qwen_code.path.with_file_name("oauth_creds.json"),
                    member: String::new(),
                },
            },
        }
    }

    /// Returns what is wrong with Qwen Code's files, where they were asked.
    fn qwen_code_notices(&self) -> Vec<String> {
        if !self.is_qwen_code_asked {
            return Vec::new();
        }
        let mut notices = self.qwen_code.notices();
        let connection = self.connection.as_ref();
        notices.extend(connection.and_then(|connection| connection.notice.clone()));
        notices
    }

    /// Returns the endpoint that a home file, the profile or Qwen Code's settings name, where a project's file names another
    /// one before them.
    fn usual_endpoint(&self, own: &Binding) -> Option<Binding> {
        let variables = self.lookup.chain().into_iter().flat_map(EnvChain::variables);
        let mut addresses = variables.filter(|variable| variable.name == "OPENAI_BASE_URL");
        let of_home = addresses.find(|variable| variable.trust != Trust::UntrustedProject);
        let of_home = of_home.and_then(|variable| BaseUrl::parse(variable.value.expose()).ok());
        let names_endpoint = self.profile.base_url.is_some() || self.profile.provider.is_some();
        let url = match of_home {
            Some(url) => url,
            None if names_endpoint => return Some(own.clone()),
            None => match self.qwen_code.in_use(None) {
                Ok(connection) => connection?.base_url.value,
                Err(_) => return Some(Binding::default()),
            },
        };
        let provider = provider::recognise(&url)?;
        Some(Binding::to(url, provider))
    }
}

/// Returns a flag's value unless it is blank.
fn flag_value(value: Option<&str>, flag: &'static str) -> Option<Sourced<String>> {
    not_blank(Sourced::new(value?.to_owned(), Source::Flag(flag)))
}

/// Trims a value; a blank one counts as absent.
fn not_blank(given: Sourced<String>) -> Option<Sourced<String>> {
    let given = given.map(|value| value.trim().to_owned());
    (!given.value.is_empty()).then_some(given)
}

fn parse_url(text: Sourced<String>) -> Result<Sourced<BaseUrl>, Failure> {
    let source = text.source;
    // What whoever wrote a project says is judged here and used elsewhere: by curl, by a client of the same variable.
    if source.is_project()
        && let Err(fault) = parse_plain(&text.value)
    {
        return Err(Failure::new(Exit::Config, format!("{source}: {fault}")));
    }
    match BaseUrl::parse(&text.value) {
        Ok(url) => Ok(Sourced::new(url, source)),
        Err(error) => Err(Failure::new(Exit::Config, format!("{source}: {error}"))),
    }
}

fn default_base_url(provider: &Sourced<&'static Provider>) -> Result<Sourced<BaseUrl>, Failure> {
    let (name, url) = (&provider.value.name, provider.value.default_base_url());
    let url = url.and_then(|url| BaseUrl::try_from(url).ok()).ok_or_else(|| {
        Failure::new(Exit::Config, format!("no endpoint for provider '{name}'"))
            .hint("set OPENAI_BASE_URL, or \"base_url\" in the profile")
    })?;
    let source = match &provider.source {
        Source::Default => Source::Default,
        _ => Source::Provider(name.clone()),
    };
    Ok(Sourced::new(url, source))
}

fn catalogued(name: &str, source: Source) -> Result<Sourced<&'static Provider>, Failure> {
    let provider = provider::named(name).ok_or_else(broken_catalogue)?;
    Ok(Sourced::new(provider, source))
}

fn broken_catalogue() -> Failure {
    Failure::new(
        Exit::Bug,
        "the provider catalogue is incomplete; please report it",
    )
}

/// Lays the profile's members over the provider's.
fn merged(below: &Map<String, Value>, above: &Map<String, Value>) -> Map<String, Value> {
    let mut members = below.clone();
    members.extend(above.clone());
    members
}
