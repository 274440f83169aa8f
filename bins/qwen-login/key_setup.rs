//! Setting up an API key: provider, endpoint, key, model, trial.

use std::io::{IsTerminal, Read};

use qwen_shared::exit::{Exit, Failure, Outcome, io_reason};
use qwen_shared::net::api::choose_store;
use qwen_shared::net::config::Method;
use qwen_shared::net::credential::{Store, Stored};
use qwen_shared::net::http::is_loopback;
use qwen_shared::provider::Provider;
use qwen_shared::secret::Secret;
use qwen_shared::terminal::Terminal;
use url::Url;

use super::ask::{ask, choose};
use super::endpoint::service_for;
use super::login::Login;
use super::profile::Entry;
use super::trial::Question;
use crate::trial;

/// What a set-up is about.
struct Plan {
    provider: &'static Provider,
    base_url: Url,
    model: String,
    needs_key: bool,
    key: Option<Secret<String>>,
    store: Option<Store>,
}

/// Asks for what was not typed, tries it, and stores it.
pub(crate) fn set_up(login: &mut Login<'_>) -> Outcome {
    let mut plan = plan(login)?;
    let verdict = try_out(login, &mut plan)?;
    if plan.key.is_some() && plan.store.is_none() {
        plan.store = Some(store_for(login)?);
    }
    save(login, &plan)?;
    let ready = format!(
        "{verdict}; profile '{}' asks model '{}' at '{}'",
        login.target.name, plan.model, plan.base_url
    );
    login.target.report(&ready, login.reporter);
    Ok(Exit::Ok)
}

fn plan(login: &mut Login<'_>) -> Result<Plan, Failure> {
    let (provider, mut base_url) = service_for(login)?;
    let deployment = provider.split_model(&base_url).map(|(path, model)| {
        base_url.set_path(&path);
        model
    });
    // As when a request is made: what runs on this machine is asked without a key where there is none.
    let needs_key = provider.needs_key && !is_loopback(&base_url);
    // Tried before anything secret is typed: a key that cannot be kept would be typed in vain.
    let store = if needs_key || login.args.with_key {
        Some(store_for(login)?)
    } else {
        None
    };
    Ok(Plan {
        provider,
        base_url,
        needs_key,
        key: key_for(login, needs_key)?,
        model: model_for(login, provider, deployment)?,
        store,
    })
}

fn store_for(login: &Login<'_>) -> Result<Store, Failure> {
    choose_store(login.target.choice, &login.target.name, false, login.reporter)
}

fn save(login: &Login<'_>, plan: &Plan) -> Result<(), Failure> {
    let entry = Entry {
        method: Method::ApiKey,
        provider: Some(plan.provider.name.clone()),
        base_url: Some(plan.base_url.to_string()),
        model: Some(plan.model.clone()),
        store: plan
            .store
            .as_ref()
            .filter(|_| plan.key.is_some())
            .map(Store::kind),
    };
    match (&plan.store, &plan.key) {
        (Some(store), Some(key)) => {
            login
                .target
                .save(store, &Stored::ApiKey(key.clone()), &entry, login.reporter)
        }
        _ => login.target.configure(&entry),
    }
}

/// Finds the model: typed, that of the address of a deployment, the profile's own where it is the same provider,
/// `OPENAI_MODEL`, the provider's default.
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
    let own = login
        .target
        .profile
        .model
        .clone()
        .filter(|_| login.target.is_about(provider));
    let set = std::env::var("OPENAI_MODEL")
        .ok()
        .filter(|_| login.provider.is_none());
    let usual = deployment
        .or(own)
        .or(set)
        .filter(|model| !model.trim().is_empty());
    let usual = usual.unwrap_or_else(|| provider.default_model.clone());
    match login.terminal.as_mut() {
        None => Ok(usual),
        Some(terminal) => ask(terminal, "model", Some(&usual), |text| {
            let model = text.trim();
            if model.is_empty() {
                Err("a name is needed".to_owned())
            } else {
                Ok(model.to_owned())
            }
        }),
    }
}

/// Tries the key and says what came of it. A person may type another one, or have it stored all the same.
fn try_out(login: &mut Login<'_>, plan: &mut Plan) -> Result<String, Failure> {
    if login.args.no_verify {
        return Ok("stored without a trial".to_owned());
    }
    loop {
        let question = Question {
            provider: plan.provider,
            base_url: &plan.base_url,
            model: &plan.model,
            key: plan.key.as_ref(),
            profile: &login.target.profile,
        };
        let failure = match trial::of_key(&question, login.reporter) {
            Ok(verdict) => return Ok(verdict),
            Err(failure) => failure.hint("nothing was stored; --no-verify stores it without a trial"),
        };
        let Some(terminal) = login.terminal.as_mut().filter(|_| !login.args.with_key) else {
            return Err(failure);
        };
        let exit = failure.exit;
        login.reporter.failure(&Failure {
            hints: Vec::new(),
            ..failure
        });
        let again = match exit {
            Exit::TryAgain => "try again",
            _ => "type the key again",
        };
        terminal.print("What now?\n")?;
        match choose(terminal, &[again, "store it all the same", "give up"], 0)? {
            0 if exit == Exit::TryAgain => {}
            0 => plan.key = from_terminal(terminal, plan.needs_key)?,
            1 => return Ok("stored, though the trial failed".to_owned()),
            _ => return Err(Failure::new(exit, "nothing was stored")),
        }
    }
}

/// The longest key that is read, in bytes.
const LONGEST_KEY: u64 = 64 << 10;

/// Reads the key: from standard input when that was asked for, else from the terminal, unseen. There may be none where
/// none is needed.
pub(crate) fn key_for(login: &mut Login<'_>, needs_key: bool) -> Result<Option<Secret<String>>, Failure> {
    if login.args.with_key && !(std::io::stdin().is_terminal() && login.terminal.is_some()) {
        return from_stdin().map(Some);
    }
    match login.terminal.as_mut() {
        Some(terminal) => from_terminal(terminal, needs_key),
        None if !needs_key => Ok(None),
        None => Err(
            Failure::new(Exit::Usage, "there is no key, and no terminal to ask for it")
                .hint("give the key on standard input: 'qwen-login --with-key'"),
        ),
    }
}

fn from_stdin() -> Result<Secret<String>, Failure> {
    let mut text = zeroize::Zeroizing::new(String::new());
    std::io::stdin()
        .take(LONGEST_KEY + 1)
        .read_to_string(&mut text)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                Failure::new(Exit::Data, "standard input: the key is not text")
            }
            _ => Failure::new(
                Exit::Io,
                format!("standard input: cannot read: {}", io_reason(&error)),
            ),
        })?;
    let key = text.trim();
    if text.len() as u64 > LONGEST_KEY {
        return Err(Failure::new(
            Exit::Data,
            "standard input: this is too long to be a key",
        ));
    }
    check(key).map_err(|reason| Failure::new(Exit::Data, format!("standard input: {reason}")))?;
    Ok(Secret::new(key.to_owned()))
}

/// Asks until there is a key, and shows what was understood of it without showing it.
pub(crate) fn from_terminal(
    terminal: &mut Terminal,
    needs_key: bool,
) -> Result<Option<Secret<String>>, Failure> {
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

/// Refuses what no header can carry. The reason does not repeat the key.
fn check(key: &str) -> Result<(), &'static str> {
    if key.is_empty() {
        return Err("the key is empty");
    }
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err("a key is one word of ASCII letters, digits and signs")
}
