//! Precedence: flag, environment, `.env` chain, profile, Qwen Code's settings, provider.

use serde_json::{Map, Value};

use super::file::Config;
use super::profile::{KeySetting, Method, Profile, check_name};
use super::qwen_code::QwenCodeSettings;
use super::settings::{self, Access, Key, Overrides, Settings, Source, Sourced};
use crate::dotenv::{EnvChain, Search, may_pair};
use crate::exit::{Exit, Failure};
use crate::net::http::{BaseUrl, is_loopback};
use crate::provider::{self, Provider};
use crate::secret::Secret;

/// Everything that is asked, in order.
pub(super) struct Resolver<'a> {
    pub(super) overrides: &'a Overrides,
    pub(super) lookup: Lookup,
    pub(super) name: Option<Sourced<String>>,
    pub(super) profile: Profile,
    pub(super) qwen_code: QwenCodeSettings,
    /// What is to be said about the configuration file.
    notice: Option<String>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(overrides: &'a Overrides) -> Result<Self, Failure> {
        let mut config = Config::load()?;
        let lookup = Lookup::from_process()?;
        let name = profile_in_use(overrides, &lookup, &config)?;
        let qwen_code = QwenCodeSettings::load();
        let profile = match &name {
            // Qwen Code's own login, where it has one.
            None => Profile {
                method: qwen_code.uses_oauth().then_some(Method::Oauth),
                ..Profile::default()
            },
            Some(name) => config
                .profiles
                .remove(&name.value)
                .ok_or_else(|| settings::no_profile(name))?,
        };
        Ok(Self {
            overrides,
            lookup,
            name,
            profile,
            qwen_code,
            notice: config.notice,
        })
    }

    pub(super) fn settle(self) -> Result<Settings, Failure> {
        let url = self.said_base_url()?;
        let provider = self.provider(url.as_ref())?;
        let access = self.access(&provider, url.as_ref())?;
        let provider = match (&access.value, &url) {
            // A key that was given has nothing to do with the server that an OAuth profile logs in at.
            (Access::ApiKey(_), None) if provider.value.oauth.is_some() => default_provider()?,
            _ => provider,
        };
        let mut base_url = self.base_url(url, &provider)?;
        check(&access, &base_url, provider.value, &self.profile)?;
        let deployment = provider.value.split_model(&base_url.value).map(|(path, model)| {
            base_url.value = base_url.value.clone().with_path(&path);
            Sourced::new(model, base_url.source.clone())
        });
        let model = self.model(&access.value, provider.value, deployment);
        let notices = self.notices(&access, &base_url);
        let oauth = matches!(access.value, Access::Oauth { .. });
        Ok(Settings {
            model,
            headers: self.profile.headers_for(provider.value),
            query: self.profile.query.clone(),
            body: merged(&provider.value.body, &self.profile.body),
            rate: self.profile.rate.or(provider
                .value
                .rate
                .filter(|_| oauth || provider.value.oauth.is_none())),
            timeouts: self.profile.timeouts,
            allow_http: self.profile.allow_http,
            api_version: self.lookup.value("OPENAI_API_VERSION"),
            profile: self.name,
            provider,
            access,
            base_url,
            notices,
        })
    }

    pub(super) fn profile_source(&self) -> Source {
        let name = self.name.as_ref().map_or("default", |name| &name.value);
        Source::Profile(name.to_owned())
    }

    /// Returns a value that a flag, a variable or the profile gives, in the order that is in force.
    fn said<T>(
        &self,
        flag: Option<Sourced<T>>,
        variable: impl FnOnce() -> Option<Sourced<T>>,
        profile: Option<T>,
    ) -> Option<Sourced<T>> {
        let profile = profile.map(|value| Sourced::new(value, self.profile_source()));
        match (self.overrides.profile_first, profile) {
            (true, Some(profile)) => flag.or(Some(profile)),
            (_, profile) => flag.or_else(variable).or(profile),
        }
    }

    /// Returns the endpoint that somebody named; `None` leaves it to the provider.
    fn said_base_url(&self) -> Result<Option<Sourced<BaseUrl>>, Failure> {
        let flag = text(self.overrides.base_url.as_deref())
            .map(|url| parse_url(&Sourced::new(url, Source::Flag("--openai-base-url"))))
            .transpose()?;
        let variable = self.lookup.value("OPENAI_BASE_URL");
        let hidden = self.overrides.profile_first && self.name.is_some();
        let variable = match variable.filter(|_| flag.is_none() && !hidden) {
            Some(url) => Some(parse_url(&url)?),
            None => None,
        };
        if let Some(said) = self.said(flag, || variable, self.profile.base_url.clone()) {
            return Ok(Some(said));
        }
        // The endpoint of a profile that names its provider is that provider's.
        if self.profile.provider.is_some() {
            return Ok(None);
        }
        let source = Source::QwenCode(self.qwen_code.path.clone());
        self.qwen_code
            .base_url
            .clone()
            .map(|url| parse_url(&Sourced::new(url, source)))
            .transpose()
    }

    fn provider(&self, url: Option<&Sourced<BaseUrl>>) -> Result<Sourced<&'static Provider>, Failure> {
        let named = match &self.profile.provider {
            None => None,
            Some(name) => Some(
                provider::named(name)
                    .ok_or_else(|| settings::unknown_provider(&self.profile_source(), name))?,
            ),
        };
        match (named, url) {
            (Some(named), None) => Ok(Sourced::new(named, self.profile_source())),
            (Some(named), Some(url))
                if matches!(url.source, Source::Profile(_)) || named.owns(&url.value) =>
            {
                Ok(Sourced::new(named, self.profile_source()))
            }
            (_, Some(url)) => provider::recognise(&url.value)
                .map(|known| Sourced::new(known, url.source.clone()))
                .ok_or_else(settings::broken_catalogue),
            (None, None) if self.profile.uses_oauth() => provider::named("qwen")
                .map(|qwen| Sourced::new(qwen, self.own_source()))
                .ok_or_else(settings::broken_catalogue),
            (None, None) => default_provider(),
        }
    }

    fn base_url(
        &self,
        said: Option<Sourced<BaseUrl>>,
        provider: &Sourced<&'static Provider>,
    ) -> Result<Sourced<BaseUrl>, Failure> {
        if let Some(url) = said {
            return Ok(url);
        }
        let url = provider.value.default_base_url();
        let url = url.and_then(|url| BaseUrl::try_from(url).ok()).ok_or_else(|| {
            Failure::new(
                Exit::Config,
                format!("no endpoint for provider '{}'", provider.value.name),
            )
            .hint("set OPENAI_BASE_URL, or \"base_url\" in the profile")
        })?;
        let source = match &provider.source {
            Source::Default => Source::Default,
            _ => Source::Provider(provider.value.name.clone()),
        };
        Ok(Sourced::new(url, source))
    }

    /// Returns the model; `deployment` is the one that the endpoint's address names, where it names one.
    fn model(
        &self,
        access: &Access,
        provider: &Provider,
        deployment: Option<Sourced<String>>,
    ) -> Sourced<String> {
        let flag =
            text(self.overrides.model.as_deref()).map(|model| Sourced::new(model, Source::Flag("--model")));
        // A server with models of its own does not take the name that is meant for another one.
        let own_models = matches!(access, Access::Oauth { .. }) && provider.own_models;
        let variable = || self.lookup.value("OPENAI_MODEL").filter(|_| !own_models);
        let profile = text(self.profile.model.as_deref());
        let configured = self
            .qwen_code
            .model
            .clone()
            .filter(|_| self.profile.provider.is_none() && !own_models);
        self.said(flag.or(deployment), variable, profile)
            .or_else(|| {
                configured.map(|model| Sourced::new(model, Source::QwenCode(self.qwen_code.path.clone())))
            })
            .unwrap_or_else(|| {
                let source = Source::Provider(provider.name.clone());
                Sourced::new(provider.default_model.clone(), source)
            })
    }

    /// Names what others can change, and the one mixture that surprises: the profile's endpoint with a key that is not
    /// the profile's.
    fn notices(&self, access: &Sourced<Access>, base_url: &Sourced<BaseUrl>) -> Vec<String> {
        let has_own = self.profile.key.is_some() || self.profile.uses_oauth();
        let own_variable = matches!((&self.profile.key, &access.source),
            (Some(KeySetting::Env(own)), Source::Environment(name) | Source::EnvFile { name, .. }) if own == name);
        let mixed = has_own
            && !own_variable
            && access.source.is_given()
            && matches!(base_url.source, Source::Profile(_));
        let mixture = mixed.then(|| {
            let (key, profile) = (&access.source, &base_url.source);
            format!("the key of {key} is used in place of that of {profile}")
        });
        self.notice.iter().cloned().chain(mixture).collect()
    }
}

/// Reads the configuration and tells which profile is in use, and who said so; `None` when none takes part.
///
/// # Errors
/// As [`Config::load`]; 78 for a name that cannot be.
pub fn active_profile(typed: Option<&str>) -> Result<(Config, Option<Sourced<String>>), Failure> {
    let config = Config::load()?;
    let overrides = Overrides {
        profile: typed.map(str::to_owned),
        ..Overrides::default()
    };
    let name = profile_in_use(&overrides, &Lookup::from_process()?, &config)?;
    Ok((config, name))
}

/// Returns the profile in use: by flag, by `QWEN_PROFILE`, by `default_profile`; the only one there is.
fn profile_in_use(
    overrides: &Overrides,
    lookup: &Lookup,
    config: &Config,
) -> Result<Option<Sourced<String>>, Failure> {
    let typed = text(overrides.profile.as_deref()).map(|name| Sourced::new(name, Source::Flag("--profile")));
    let named = typed.or_else(|| lookup.value("QWEN_PROFILE")).or_else(|| {
        let name = config.default_profile.clone().or_else(|| {
            let mut names = config.profiles.keys();
            names.next().filter(|_| names.next().is_none()).cloned()
        })?;
        Some(Sourced::new(name.clone(), Source::Profile(name)))
    });
    if let Some(name) = &named {
        check_name(&name.value).map_err(|failure| settings::naming(&name.source, failure))?;
    }
    Ok(named)
}

/// Returns a text unless it is blank.
fn text(value: Option<&str>) -> Option<String> {
    value
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
}

/// Reads an endpoint; the message never repeats it, for it may hold a password.
fn parse_url(text: &Sourced<String>) -> Result<Sourced<BaseUrl>, Failure> {
    let source = &text.source;
    match BaseUrl::parse(&text.value) {
        Ok(url) => Ok(Sourced::new(url, source.clone())),
        Err(error) => Err(Failure::new(Exit::Config, format!("{source}: {error}"))),
    }
}

fn default_provider() -> Result<Sourced<&'static Provider>, Failure> {
    provider::named("openai")
        .map(|openai| Sourced::new(openai, Source::Default))
        .ok_or_else(settings::broken_catalogue)
}

/// Lays the profile's members over the provider's.
fn merged(below: &Map<String, Value>, above: &Map<String, Value>) -> Map<String, Value> {
    let mut members = below.clone();
    members.extend(above.clone());
    members
}

impl Resolver<'_> {
    pub(super) fn access(
        &self,
        provider: &Sourced<&'static Provider>,
        url: Option<&Sourced<BaseUrl>>,
    ) -> Result<Sourced<Access>, Failure> {
        let flag = self.overrides.api_key.clone();
        if let Some(key) = flag.filter(|key| !key.expose().trim().is_empty()) {
            let source = Source::Flag("--openai-api-key");
            return Ok(Sourced::new(Access::ApiKey(Key::Given(key)), source));
        }
        if self.overrides.profile_first
            && let Some(own) = self.own_access()?
        {
            return Ok(own);
        }
        if let Some(key) = self.variable_key(provider.value) {
            return Ok(key.map(|key| Access::ApiKey(Key::Given(Secret::new(key)))));
        }
        if let Some(own) = self.own_access()? {
            return Ok(own);
        }
        if let Some(key) = self.qwen_code_key() {
            return Ok(key.map(|key| Access::ApiKey(Key::Given(key))));
        }
        let open = url.is_some_and(|url| is_loopback(&url.value)) || !provider.value.needs_key;
        if open {
            return Ok(Sourced::new(Access::Open, provider.source.clone()));
        }
        match &self.name {
            Some(name) => Err(settings::no_credential(&name.value)),
            None => Err(settings::no_method()),
        }
    }

    /// Returns the key of Qwen Code's settings. It does not go to an endpoint that the profile chose.
    fn qwen_code_key(&self) -> Option<Sourced<Secret<String>>> {
        let leaves_endpoint = self.profile.provider.is_none() && self.profile.base_url.is_none();
        let key = self.qwen_code.api_key.clone().filter(|_| leaves_endpoint)?;
        Some(Sourced::new(key, Source::QwenCode(self.qwen_code.path.clone())))
    }

    /// Returns the key that a variable gives. The provider's own variable goes before `OPENAI_API_KEY`, in the
    /// environment and in the chain.
    fn variable_key(&self, provider: &Provider) -> Option<Sourced<String>> {
        let names = [provider.key_variable.as_deref(), Some("OPENAI_API_KEY")];
        let found: Vec<Sourced<String>> = names
            .into_iter()
            .flatten()
            .filter_map(|name| self.lookup.value(name))
            .collect();
        let in_environment = |key: &&Sourced<String>| matches!(key.source, Source::Environment(_));
        found
            .iter()
            .find(in_environment)
            .or_else(|| found.first())
            .cloned()
    }

    /// Returns who says what is configured: the profile, or the file of Qwen Code's that stands in where there is none.
    pub(super) fn own_source(&self) -> Source {
        match &self.name {
            Some(_) => self.profile_source(),
            None if self.qwen_code.selected_type.is_some() => Source::QwenCode(self.qwen_code.path.clone()),
            None => Source::QwenCode(self.qwen_code.path.with_file_name("oauth_creds.json")),
        }
    }

    /// Returns what the profile, or Qwen Code's own login, authenticates with.
    fn own_access(&self) -> Result<Option<Sourced<Access>>, Failure> {
        let source = self.own_source();
        let store = self.profile.store()?;
        if let (true, Some(store)) = (self.profile.uses_oauth(), store) {
            let server = self
                .profile
                .login_server()
                .ok_or_else(settings::broken_catalogue)?;
            let access = Access::Oauth {
                server: Box::new(server),
                store,
            };
            return Ok(Some(Sourced::new(access, source)));
        }
        let key = match &self.profile.key {
            None => return Ok(None),
            Some(KeySetting::Store(kind)) => Key::Stored(store.unwrap_or(*kind)),
            Some(KeySetting::Command(words)) => Key::Command(words.clone()),
            Some(KeySetting::Env(name)) => match self.lookup.value(name) {
                Some(key) => {
                    let access = Access::ApiKey(Key::Given(Secret::new(key.value)));
                    return Ok(Some(Sourced::new(access, key.source)));
                }
                None => return Err(settings::unset_key_variable(self.name.as_ref(), name)),
            },
        };
        Ok(Some(Sourced::new(Access::ApiKey(key), source)))
    }
}

/// Refuses an endpoint that an untrusted project's file set, unless the key is from the same file or bound to the
/// endpoint's origin.
///
/// # Errors
/// Exit 78; the message names both sources.
pub(super) fn check(
    access: &Sourced<Access>,
    base_url: &Sourced<BaseUrl>,
    provider: &Provider,
    profile: &Profile,
) -> Result<(), Failure> {
    let Source::EnvFile { path, trust, .. } = &base_url.source else {
        return Ok(());
    };
    if matches!(access.value, Access::Open) {
        return Ok(());
    }
    let key_file = match &access.source {
        Source::EnvFile { path, .. } => Some(path.as_path()),
        _ => None,
    };
    if may_pair(*trust, path, key_file) || is_bound(access, &base_url.value, provider, profile) {
        return Ok(());
    }
    let what = match access.value {
        Access::Oauth { .. } => "the token",
        _ => "the key",
    };
    let (url, key) = (&base_url.source, &access.source);
    let endpoint = &base_url.value;
    let file = path.display();
    let message =
        format!("{url}: {what} of {key} is not sent to '{endpoint}', which an untrusted project file set");
    Err(Failure::new(Exit::Config, message)
        .hint(format!(
            "run 'qwen-env --trust {file}' if that endpoint may have it"
        ))
        .hint("or set OPENAI_BASE_URL in the environment to choose the endpoint yourself"))
}

/// True when the secret would go to that origin also without the project's file: a profile's, its variable's too, to
/// the profile's own endpoint, a provider's own variable to the provider, `OPENAI_API_KEY` to OpenAI.
fn is_bound(access: &Sourced<Access>, url: &BaseUrl, provider: &Provider, profile: &Profile) -> bool {
    let of_profile = || match (&profile.base_url, &profile.provider) {
        (Some(own), _) => own.origin() == url.origin(),
        (None, Some(name)) => provider::named(name).is_some_and(|named| named.owns(url)),
        (None, None) => false,
    };
    match &access.source {
        Source::Environment(name) | Source::EnvFile { name, .. } => {
            let named = matches!(&profile.key, Some(KeySetting::Env(own)) if own == name);
            let own = provider.key_variable.as_deref() == Some(name.as_str()) && name != "OPENAI_API_KEY";
            named && of_profile()
                || own && provider.owns(url)
                || name == "OPENAI_API_KEY"
                    && provider::named("openai").is_some_and(|openai| openai.owns(url))
        }
        Source::Profile(_) => of_profile(),
        _ => false,
    }
}

/// The process environment and the chain of the working directory. The chain is read when first asked for.
#[derive(Debug)]
pub(super) struct Lookup {
    search: Search,
    chain: std::cell::OnceCell<EnvChain>,
}

impl Lookup {
    /// Looks from the working directory, by the rule that `QWEN_ENV_CHAIN` names.
    ///
    /// # Errors
    /// Exit 78 when `QWEN_ENV_CHAIN` names no rule.
    pub(super) fn from_process() -> Result<Self, Failure> {
        Ok(Self {
            search: Search::from_process(None, None)?,
            chain: std::cell::OnceCell::new(),
        })
    }

    /// Returns the chain.
    pub(super) fn chain(&self) -> &EnvChain {
        self.chain.get_or_init(|| EnvChain::resolve(&self.search))
    }

    /// Returns the first value that is not blank: a blank variable of the environment, as wrappers and CI systems set
    /// for what they do not know, hides nothing.
    pub(super) fn value(&self, name: &str) -> Option<Sourced<String>> {
        if let Some(value) = std::env::var_os(name) {
            let value = value.to_string_lossy();
            if !value.trim().is_empty() {
                return Some(Sourced::new(
                    value.trim().to_owned(),
                    Source::Environment(name.to_owned()),
                ));
            }
        }
        let variable = self.chain().variable(name)?;
        let value = variable.value.expose().trim();
        (!value.is_empty()).then(|| {
            let source = Source::EnvFile {
                name: name.to_owned(),
                path: variable.path.to_path_buf(),
                line: variable.line,
                trust: variable.trust,
            };
            Sourced::new(value.to_owned(), source)
        })
    }
}
