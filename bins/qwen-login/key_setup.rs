//! The login with an API key.

use std::time::Duration;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::chat::ErrorKind;
use qwen_shared::net::config::{Method, Profile, Settings};
use qwen_shared::net::credential::{RefreshPolicy, Store, Stored, StoredKey};
use qwen_shared::net::http::BaseUrl;
use qwen_shared::provider::{self, Provider, is_own_server};
use qwen_shared::secret::Secret;

use crate::base_url::{parse_answer, provider_and_base_url};
use crate::key::{KeyFor, key_for};
use crate::login::{Login, ask_server};
use crate::model;
use crate::profile::ProfileUpdate;
use crate::questions::{Choice, ask};
use crate::store::choose_store;
use crate::test_request::{self, TestFailure};

/// How long the wait for the test request is silent: a model may have to be loaded first.
const LOADING: Duration = Duration::from_secs(5);

/// A profile with an API key, as it is to be stored.
pub(crate) struct KeySetup {
    pub(crate) provider: &'static Provider,
    pub(crate) base_url: BaseUrl,
    pub(crate) model: String,
    pub(crate) needs_key: bool,
    /// True where the model is that of the catalogue for a server that could have any.
    pub(crate) is_model_guessed: bool,
    pub(crate) key: Option<Secret<String>>,
    pub(crate) store: Option<Store>,
}

/// Asks for what the options do not say, tests the key, and stores it.
pub(crate) fn set_up(login: &mut Login<'_>) -> Outcome {
    let mut setup = ask_all(login)?;
    let result = test_and_store(login, &mut setup)?;
    let result = format!(
        "{result}; profile '{}' uses model '{}' at '{}'",
        login.profile.name, setup.model, setup.base_url
    );
    login.profile.report(&result, login.reporter);
    Ok(Exit::Ok)
}

/// Tests the key, stores it with its profile, and returns what came of the test.
pub(crate) fn test_and_store(login: &mut Login<'_>, setup: &mut KeySetup) -> Result<String, Failure> {
    let result = test_key(login, setup)?;
    if setup.key.is_some() && setup.store.is_none() {
        setup.store = Some(choose_store(login, false)?);
    }
    save(login, setup)?;
    Ok(result)
}

fn ask_all(login: &mut Login<'_>) -> Result<KeySetup, Failure> {
    let (provider, mut base_url) = provider_and_base_url(login)?;
    let deployment = provider.split_model(&base_url).map(|(path, model)| {
        base_url = base_url.clone().with_path(&path);
        model
    });
    let needs_key = provider.needs_key && !is_own_server(&base_url);
    let wants_key = needs_key || login.args.with_key;
    let (default, is_model_guessed) = model::default_for(login, provider, deployment);
    if needs_key && login.terminal.is_none() && !login.args.with_key {
        return Err(missing_answers(login, &base_url, &default));
    }
    // Opened before the key is typed: it may not be usable.
    let store = wants_key.then(|| choose_store(login, false)).transpose()?;
    let mut setup = KeySetup {
        provider,
        base_url,
        needs_key,
        is_model_guessed,
        key: None,
        model: default,
        store,
    };
    setup.ask_key(login)?;
    if setup.key.is_some() && !wants_key && !login.check_http(&setup.base_url, true)? {
        let refused = setup.base_url.clone();
        setup.change_base_url(login, &refused)?;
    }
    setup.choose_model(login, false)?;
    Ok(setup)
}

/// The failure where nobody can be asked: what is missing, and the flags that say the rest otherwise.
fn missing_answers(login: &Login<'_>, base_url: &BaseUrl, model: &str) -> Failure {
    let args = &login.args;
    let message = format!("the key for '{base_url}' is missing, and there is no terminal to ask for it");
    let mut failure =
        Failure::new(Exit::Usage, message).hint("give the key on standard input, with --with-key");
    if args.base_url.is_none() && login.provider.is_none() {
        failure = failure.hint("name another endpoint with --provider NAME or --base-url URL");
    }
    match args.model {
        Some(_) => failure,
        None => failure.hint(format!("name another model than '{model}' with --model NAME")),
    }
}

fn save(login: &Login<'_>, setup: &KeySetup) -> Result<(), Failure> {
    let key_and_store = setup.key.as_ref().zip(setup.store.as_ref());
    let update = ProfileUpdate {
        method: Method::ApiKey,
        provider: Some(setup.provider.name.clone()),
        base_url: Some(setup.base_url.as_str().to_owned()),
        model: Some(setup.model.clone()),
        store: key_and_store.map(|(_, store)| store.kind()),
        allow_http: setup.base_url.scheme() == "http" && login.allows_http(&setup.base_url),
    };
    match key_and_store {
        Some((key, store)) => {
            let stored = Stored::ApiKey(StoredKey {
                key: key.clone(),
                stored_for: None,
            });
            login.profile.save(store, &stored, &update, login.reporter)
        }
        None => {
            login.profile.update(&update, login.reporter)?;
            login.profile.remove_old_credentials(None, login.reporter);
            Ok(())
        }
    }
}

/// Tests the key and returns a message. After a failure a person may change an answer, or store it anyway.
fn test_key(login: &mut Login<'_>, setup: &mut KeySetup) -> Result<String, Failure> {
    if login.args.no_verify {
        return Ok("stored without a test".to_owned());
    }
    loop {
        let settings = setup.settings(login)?;
        let what = format!("'{}'", setup.base_url);
        let tested = ask_server(login.reporter, &what, LOADING, || {
            test_request::test(settings, &RefreshPolicy::default(), login.reporter)
        });
        let failed = match tested {
            Ok(_) if setup.key.is_some() => return Ok("the endpoint accepts the key".to_owned()),
            Ok(_) => return Ok("the endpoint answers".to_owned()),
            Err(failed) => failed,
        };
        if login.terminal.is_none() || login.args.with_key {
            let is_default = login.args.model.is_none() && failed.kind == Some(ErrorKind::Model);
            let failure = match is_default {
                true => setup.hint_at_models(login, failed.failure),
                false => failed.failure,
            };
            let hint = "nothing was stored; --no-verify stores it without a test";
            return Err(failure.hint(hint));
        }
        match setup.ask_what_now(login, failed, true)? {
            WhatNow::Store => return Ok("stored, though the test failed".to_owned()),
            WhatNow::ChangeUrl => setup.choose_model(login, false)?,
            WhatNow::ChangeModel => setup.choose_model(login, true)?,
            _ => {}
        }
    }
}

/// What a person may do after a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhatNow {
    TryAgain,
    ChangeUrl,
    ChangeKey,
    ChangeModel,
    Store,
    GiveUp,
}

impl WhatNow {
    /// What there is to choose from, the likeliest first; storing it anyway only where it `may_store`.
    fn options(first: Self, may_store: bool) -> Vec<(Self, &'static str)> {
        let mut options = vec![
            (Self::ChangeUrl, "change the base URL"),
            (Self::ChangeKey, "type the key again"),
            (Self::ChangeModel, "change the model"),
            (Self::TryAgain, "try again"),
            (Self::Store, "store it anyway"),
            (Self::GiveUp, "give up"),
        ];
        options.retain(|(what, _)| may_store || *what != Self::Store);
        options.sort_by_key(|(what, _)| *what != first);
        options
    }
}

impl KeySetup {
    /// Returns the settings that the profile will give once it is stored.
    fn settings(&self, login: &Login<'_>) -> Result<Settings, Failure> {
        let endpoint = Profile {
            method: Some(Method::ApiKey),
            provider: Some(self.provider.name.clone()),
            base_url: Some(self.base_url.clone()),
            ..Profile::default()
        };
        let profile = Profile {
            model: Some(self.model.clone()),
            key: None,
            allow_http: login.allows_http(&self.base_url),
            ..login.profile.moved_to(endpoint)
        };
        Settings::for_candidate(&login.profile.name, &profile, self.key.clone())
    }

    /// Adds the names of the endpoint's models to the failure of a default model.
    fn hint_at_models(&self, login: &Login<'_>, failure: Failure) -> Failure {
        let listed = self.settings(login).map_err(TestFailure::from);
        match listed.and_then(|settings| model::list(settings, false, login.reporter)) {
            Ok(Some(names)) if !names.is_empty() => failure.hint(format!(
                "choose one of its models with --model NAME: {}",
                model::some_of(&names)
            )),
            _ => failure,
        }
    }

    /// Reports a failure and asks what to do; what it is about comes first. A new URL or key is then asked for. A model can be
    /// stored only where one `is_chosen`.
    ///
    /// # Errors
    /// That of the failure, where the person gives up; 74 when the terminal has gone.
    fn ask_what_now(
        &mut self,
        login: &mut Login<'_>,
        failed: TestFailure,
        is_chosen: bool,
    ) -> Result<WhatNow, Failure> {
        let url = self.probable_url(&failed);
        let TestFailure {
            mut failure,
            kind,
            is_unreachable,
        } = failed;
        let exit = failure.exit;
        if let (Exit::NoAuth, Some(page)) = (exit, &self.provider.key_page) {
            failure = failure.hint(format!("keys for {} are made at {page}", self.provider.title));
        }
        login.reporter.failure(&failure);
        let first = match (exit, kind) {
            _ if is_unreachable => WhatNow::ChangeUrl,
            (Exit::TryAgain, _) => WhatNow::TryAgain,
            (Exit::NoAuth, _) => WhatNow::ChangeKey,
            (_, Some(ErrorKind::Model)) => WhatNow::ChangeModel,
            _ => WhatNow::ChangeUrl,
        };
        let options = WhatNow::options(first, is_chosen);
        let Some(terminal) = login.terminal.as_mut() else {
            return Err(failure);
        };
        let texts: Vec<&str> = options.iter().map(|(_, text)| *text).collect();
        let chosen = Choice::new("What now?", &texts, 0).ask(terminal)?;
        let what = options.get(chosen).map_or(WhatNow::GiveUp, |(what, _)| *what);
        match what {
            WhatNow::ChangeUrl => self.change_base_url(login, &url)?,
            WhatNow::ChangeKey => self.ask_key(login)?,
            WhatNow::GiveUp => return Err(Failure::new(exit, "nothing was stored")),
            _ => {}
        }
        Ok(what)
    }

    fn ask_key(&mut self, login: &mut Login<'_>) -> Result<(), Failure> {
        let to = KeyFor {
            provider: self.provider,
            base_url: &self.base_url,
            is_needed: self.needs_key,
        };
        self.key = key_for(login, &to)?;
        Ok(())
    }

    /// Returns the URL that Enter takes after a failure: with the version that most have, where that seems to be missing.
    fn probable_url(&self, failed: &TestFailure) -> BaseUrl {
        match model::is_about_url(failed) && !self.base_url.has_version() {
            true => {
                let path = self.base_url.path().trim_end_matches('/');
                self.base_url.clone().with_path(&format!("{path}/v1"))
            }
            false => self.base_url.clone(),
        }
    }

    fn change_base_url(&mut self, login: &mut Login<'_>, default: &BaseUrl) -> Result<(), Failure> {
        loop {
            let Some(terminal) = login.terminal.as_mut() else {
                return Ok(());
            };
            self.base_url = ask(terminal, "base URL", Some(default.as_str()), parse_answer)?;
            if login.check_http(&self.base_url, self.key.is_some())? {
                break;
            }
        }
        if login.provider.is_none()
            && let Some(known) = provider::recognise(&self.base_url)
        {
            self.provider = known;
        }
        Ok(())
    }

    /// Takes `--model`, else the model that a person chooses, else the default. `anew` asks though there is one that fits.
    fn choose_model(&mut self, login: &mut Login<'_>, anew: bool) -> Result<(), Failure> {
        let named = login.args.model.as_deref().map(str::trim);
        if let (Some(model), false) = (named.filter(|model| !model.is_empty()), anew) {
            self.model = model.to_owned();
            return Ok(());
        }
        let mut lists = self.has_list(login);
        loop {
            let listed = match lists {
                true => model::list(self.settings(login)?, self.is_url_typed(login), login.reporter),
                false => Ok(None),
            };
            let failed = match (listed, login.terminal.as_mut()) {
                (Ok(names), Some(terminal)) => {
                    self.model = model::ask(terminal, &self.model, names)?;
                    return Ok(());
                }
                (Ok(names), None) => {
                    let is_listed = names.as_ref().is_some_and(|names| !names.is_empty());
                    self.model = model::only(names, &self.model)?;
                    if !is_listed {
                        self.say_guess(login);
                    }
                    return Ok(());
                }
                (Err(failed), _) => failed,
            };
            match self.ask_what_now(login, failed, false)? {
                WhatNow::ChangeModel => lists = false,
                _ => lists = self.has_list(login),
            }
        }
    }

    /// Says which model is asked for where none was named, and nobody knows what the server has.
    fn say_guess(&self, login: &Login<'_>) {
        if self.is_model_guessed && self.model == self.provider.default_model {
            login.reporter.notice(&format!(
                "no model is named: '{}' is taken, the default; --model NAME names another one",
                self.model
            ));
        }
    }

    /// True where a person typed the URL, which may be wrong: the catalogue's are those of their providers.
    fn is_url_typed(&self, login: &Login<'_>) -> bool {
        let mut known = self.provider.regions.iter();
        login.terminal.is_some() && !known.any(|region| region.base_url == self.base_url.as_str())
    }

    /// True where the endpoint is asked for its models: not for a deployment's name, which no list has, and where nobody can
    /// choose only for a server that has no name of its own.
    fn has_list(&self, login: &Login<'_>) -> bool {
        !login.args.no_verify
            && !self.provider.has_model_in_path()
            && (login.terminal.is_some() && !login.args.with_key || self.model == model::UNNAMED)
    }
}
