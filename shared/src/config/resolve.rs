//! The order of sources, applied to each value.

use serde_json::{Map, Value};
use url::Url;

use super::lookup::Lookup;
use super::profile::{KeySetting, Method, Profile, check_name};
use super::qwen_code::QwenCodeSettings;
use super::settings::{Access, Overrides, Settings};
use super::source::{Source, Sourced};
use super::{Config, faults, guard};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::provider::{self, Provider};

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
        let profile = match &name {
            None => Profile::default(),
            Some(name) => config
                .profiles
                .remove(&name.value)
                .ok_or_else(|| faults::no_profile(name))?,
        };
        Ok(Self {
            overrides,
            lookup,
            name,
            profile,
            qwen_code: QwenCodeSettings::load(),
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
        guard::check(&access, &base_url, provider.value, &self.profile)?;
        let deployment = provider.value.cut_model(&mut base_url.value);
        let deployment = deployment.map(|model| Sourced::new(model, base_url.source.clone()));
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
            timeouts: self.profile.timeouts.resolved(),
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
    fn said_base_url(&self) -> Result<Option<Sourced<Url>>, Failure> {
        let flag = text(self.overrides.base_url.as_deref())
            .map(|url| faults::parse_url(&Sourced::new(url, Source::Flag("--openai-base-url"))))
            .transpose()?;
        let variable = self.lookup.value("OPENAI_BASE_URL");
        let hidden = self.overrides.profile_first && self.name.is_some();
        let variable = match variable.filter(|_| flag.is_none() && !hidden) {
            Some(url) => Some(faults::parse_url(&url)?),
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
            .map(|url| faults::parse_url(&Sourced::new(url, source)))
            .transpose()
    }

    fn provider(&self, url: Option<&Sourced<Url>>) -> Result<Sourced<&'static Provider>, Failure> {
        let named = match &self.profile.provider {
            None => None,
            Some(name) => Some(
                provider::named(name)
                    .ok_or_else(|| faults::unknown_provider(&self.profile_source(), name))?,
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
                .ok_or_else(faults::broken_catalogue),
            (None, None) if self.wants_oauth() => provider::named("qwen")
                .map(|qwen| Sourced::new(qwen, self.own_source()))
                .ok_or_else(faults::broken_catalogue),
            (None, None) => default_provider(),
        }
    }

    fn base_url(
        &self,
        said: Option<Sourced<Url>>,
        provider: &Sourced<&'static Provider>,
    ) -> Result<Sourced<Url>, Failure> {
        if let Some(url) = said {
            return Ok(url);
        }
        let url = provider.value.default_base_url().ok_or_else(|| {
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
    fn notices(&self, access: &Sourced<Access>, base_url: &Sourced<Url>) -> Vec<String> {
        let has_own = self.profile.key.is_some() || self.profile.method == Some(Method::Oauth);
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
        check_name(&name.value).map_err(|failure| faults::naming(&name.source, failure))?;
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

fn default_provider() -> Result<Sourced<&'static Provider>, Failure> {
    provider::named("openai")
        .map(|openai| Sourced::new(openai, Source::Default))
        .ok_or_else(faults::broken_catalogue)
}

/// Lays the profile's members over the provider's.
fn merged(below: &Map<String, Value>, above: &Map<String, Value>) -> Map<String, Value> {
    let mut members = below.clone();
    members.extend(above.clone());
    members
}
