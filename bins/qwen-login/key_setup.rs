//! The login with an API key.

use std::io::{IsTerminal, Read};

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::fs::cannot_read_stdin;
use qwen_shared::net::api::check_key;
use qwen_shared::net::chat::ErrorKind;
use qwen_shared::net::config::{Method, Profile, Settings, own_variable};
use qwen_shared::net::credential::{RefreshPolicy, Store, Stored};
use qwen_shared::net::http::BaseUrl;
use qwen_shared::provider::{self, Provider, is_own_server};
use qwen_shared::secret::Secret;
use qwen_shared::terminal::Terminal;

use crate::base_url::{parse_answer, provider_and_base_url};
use crate::login::Login;
use crate::profile::ProfileUpdate;
use crate::questions::{ask, choose};
use crate::store::choose_store;
use crate::test_request::{self, TestFailure};

struct KeySetup {
    provider: &'static Provider,
    base_url: BaseUrl,
    model: String,
    needs_key: bool,
    key: Option<Secret<String>>,
    store: Option<Store>,
}

/// Asks for what the options do not say, tests the key, and stores it.
pub(crate) fn set_up(login: &mut Login<'_>) -> Outcome {
    let mut setup = ask_all(login)?;
    let result = test_key(login, &mut setup)?;
    if setup.key.is_some() && setup.store.is_none() {
        setup.store = Some(choose_store(login, false)?);
    }
    save(login, &setup)?;
    let result = format!(
        "{result}; profile '{}' uses model '{}' at '{}'",
        login.profile.name, setup.model, setup.base_url
    );
    login.profile.report(&result, login.reporter);
    Ok(Exit::Ok)
}

fn ask_all(login: &mut Login<'_>) -> Result<KeySetup, Failure> {
    let (provider, mut base_url) = provider_and_base_url(login)?;
    let deployment = provider.split_model(&base_url).map(|(path, model)| {
        base_url = base_url.clone().with_path(&path);
        model
    });
    let needs_key = provider.needs_key && !is_own_server(&base_url);
    let wants_key = needs_key || login.args.with_key;
    // Opened before the key is typed: it may not be usable.
    let store = wants_key.then(|| choose_store(login, false)).transpose()?;
    let key = key_for(login, needs_key)?;
    if key.is_some() && !wants_key && !login.check_http(&base_url, true)? {
        return ask_all(login);
    }
    Ok(KeySetup {
        provider,
        base_url,
        needs_key,
        key,
        model: model_for(login, provider, deployment)?,
        store,
    })
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
            login
                .profile
                .save(store, &Stored::ApiKey(key.clone()), &update, login.reporter)
        }
        None => login.profile.update(&update, login.reporter),
    }
}

/// Returns `--model`, else asks. The default is the model of a deployment's address, the profile's if it has the same
/// provider, `OPENAI_MODEL`, or the provider's.
fn model_for(
    login: &mut Login<'_>,
    provider: &Provider,
    deployment: Option<String>,
) -> Result<String, Failure> {
    if let Some(model) = login
        .args
        .model
        .as_deref()
        .map(str::trim)
        .filter(|model| !model.is_empty())
    {
        return Ok(model.to_owned());
    }
    let profile = &login.profile;
    let current = profile.settings.model.clone().filter(|_| profile.is_of(provider));
    let from_environment = own_variable("OPENAI_MODEL")
        .ok()
        .flatten()
        .filter(|_| login.provider.is_none());
    let default = deployment
        .or(current)
        .or(from_environment)
        .filter(|model| !model.trim().is_empty());
    let default = default.unwrap_or_else(|| provider.default_model.clone());
    match login.terminal.as_mut() {
        None => Ok(default),
        Some(terminal) => ask_model(terminal, &default),
    }
}

/// Tests the key and returns a message. After a failure a person may change an answer, or store it anyway.
fn test_key(login: &mut Login<'_>, setup: &mut KeySetup) -> Result<String, Failure> {
    if login.args.no_verify {
        return Ok("stored without a test".to_owned());
    }
    loop {
        let settings = setup.settings(login)?;
        let TestFailure { failure, kind } =
            match test_request::test(settings, &RefreshPolicy::default(), login.reporter) {
                Ok(_) if setup.key.is_some() => return Ok("the endpoint accepts the key".to_owned()),
                Ok(_) => return Ok("the endpoint answers".to_owned()),
                Err(failure) => failure,
            };
        let exit = failure.exit;
        if login.terminal.is_none() || login.args.with_key {
            return Err(failure.hint("nothing was stored; --no-verify stores it without a test"));
        }
        login.reporter.failure(&failure);
        match ask_what_now(login, exit, kind)? {
            WhatNow::TryAgain => {}
            WhatNow::ChangeUrl => setup.change_base_url(login)?,
            WhatNow::ChangeKey => {
                let needs_key = setup.needs_key;
                if let Some(terminal) = login.terminal.as_mut() {
                    setup.key = key_from_terminal(terminal, needs_key)?;
                }
            }
            WhatNow::ChangeModel => setup.change_model(login)?,
            WhatNow::Store => return Ok("stored, though the test failed".to_owned()),
            WhatNow::GiveUp => return Err(Failure::new(exit, "nothing was stored")),
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

/// Asks what to do after a failure. What the failure is about comes first.
fn ask_what_now(login: &mut Login<'_>, exit: Exit, kind: Option<ErrorKind>) -> Result<WhatNow, Failure> {
    let mut options = [
        (WhatNow::ChangeUrl, "change the base URL"),
        (WhatNow::ChangeKey, "type the key again"),
        (WhatNow::ChangeModel, "change the model"),
        (WhatNow::TryAgain, "try again"),
        (WhatNow::Store, "store it anyway"),
        (WhatNow::GiveUp, "give up"),
    ];
    let first = match (exit, kind) {
        (Exit::TryAgain, _) => WhatNow::TryAgain,
        (Exit::NoAuth, _) => WhatNow::ChangeKey,
        (_, Some(ErrorKind::Model)) => WhatNow::ChangeModel,
        _ => WhatNow::ChangeUrl,
    };
    options.sort_by_key(|(what, _)| *what != first);
    let Some(terminal) = login.terminal.as_mut() else {
        return Ok(WhatNow::GiveUp);
    };
    terminal.print("What now?\n")?;
    let chosen = choose(terminal, &options.map(|(_, text)| text), 0)?;
    Ok(options.get(chosen).map_or(WhatNow::GiveUp, |(what, _)| *what))
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

    fn change_base_url(&mut self, login: &mut Login<'_>) -> Result<(), Failure> {
        loop {
            let Some(terminal) = login.terminal.as_mut() else {
                return Ok(());
            };
            let current = self.base_url.as_str().to_owned();
            self.base_url = ask(terminal, "base URL", Some(&current), parse_answer)?;
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

    fn change_model(&mut self, login: &mut Login<'_>) -> Result<(), Failure> {
        if let Some(terminal) = login.terminal.as_mut() {
            self.model = ask_model(terminal, &self.model)?;
        }
        Ok(())
    }
}

fn ask_model(terminal: &mut Terminal, default: &str) -> Result<String, Failure> {
    ask(terminal, "model", Some(default), |text| match text.trim() {
        "" => Err("enter a name".to_owned()),
        model => Ok(model.to_owned()),
    })
}

/// In bytes.
const MAX_KEY: u64 = 64 << 10;

/// Reads the key from standard input with `--with-key`, else from the terminal.
fn key_for(login: &mut Login<'_>, needs_key: bool) -> Result<Option<Secret<String>>, Failure> {
    if login.args.with_key && !(std::io::stdin().is_terminal() && login.terminal.is_some()) {
        return key_from_stdin().map(Some);
    }
    match login.terminal.as_mut() {
        Some(terminal) => key_from_terminal(terminal, needs_key),
        None if !needs_key => Ok(None),
        None => Err(
            Failure::new(Exit::Usage, "there is no key, and no terminal to ask for it")
                .hint("give the key on standard input: 'qwen-login --with-key'"),
        ),
    }
}

fn key_from_stdin() -> Result<Secret<String>, Failure> {
    let mut text = zeroize::Zeroizing::new(String::new());
    std::io::stdin()
        .take(MAX_KEY + 1)
        .read_to_string(&mut text)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                Failure::new(Exit::Data, "standard input: the key is not text")
            }
            _ => cannot_read_stdin(&error),
        })?;
    let key = text.trim();
    if text.len() as u64 > MAX_KEY {
        return Err(Failure::new(
            Exit::Data,
            "standard input: this is too long to be a key",
        ));
    }
    check(key).map_err(|reason| Failure::new(Exit::Data, format!("standard input: {reason}")))?;
    Ok(Secret::new(key.to_owned()))
}

/// Asks until the answer can be a key, and shows its ends and its length.
fn key_from_terminal(terminal: &mut Terminal, needs_key: bool) -> Result<Option<Secret<String>>, Failure> {
    let question = if needs_key {
        "API key (it is not shown): "
    } else {
        "API key (it is not shown; empty for none): "
    };
    loop {
        let key = terminal.ask_hidden(question)?;
        if key.expose().is_empty() && !needs_key {
            return Ok(None);
        }
        match check(key.expose()) {
            Ok(()) => {
                let length = key.expose().len();
                terminal.print(&format!("key: {}, {length} characters\n", key.masked()))?;
                return Ok(Some(key));
            }
            Err(reason) => terminal.print(&format!("{reason}\n"))?,
        }
    }
}

/// Checks that a header can carry the key.
fn check(key: &str) -> Result<(), &'static str> {
    if key.is_empty() {
        return Err("the key is empty");
    }
    check_key(key)?;
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err("a key is one word of ASCII letters, digits and punctuation")
}
