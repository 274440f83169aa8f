//! The set-up of an API key.

use qwen_shared::authorize::choose_store;
use qwen_shared::config::Method;
use qwen_shared::credential::{Store, Stored};
use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, Outcome};
use qwen_shared::http::is_loopback;
use qwen_shared::out::Terminal;
use qwen_shared::provider::{self, Provider};
use qwen_shared::secret::Secret;
use url::Url;

use crate::ask::{ask, choose};
use crate::endpoint;
use crate::key_input::{from_terminal, key_for};
use crate::run::Login;
use crate::target::Entry;
use crate::trial::{self, Question};

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
    login.target.report(&ready, login.talk);
    Ok(Exit::Ok)
}

fn plan(login: &mut Login<'_>) -> Result<Plan, Failure> {
    let (provider, mut base_url) = endpoint_for(login)?;
    let deployment = provider.cut_model(&mut base_url);
    // As when a request is made: what runs on this machine is asked without a key where there is none.
    let needs_key = provider.needs_key && !is_loopback(&base_url);
    // Tried before anything secret is typed: a key that cannot be kept would be typed in vain.
    let store = if needs_key || login.cli.with_key {
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
    choose_store(login.target.choice, &login.target.name, false, login.talk)
}

/// Finds provider and endpoint. A provider that was chosen for an endpoint that nobody knows stays: the server behind it
/// is one of its kind.
fn endpoint_for(login: &mut Login<'_>) -> Result<(&'static Provider, Url), Failure> {
    let typed = login.cli.base_url.clone();
    let typed = typed
        .map(|url| endpoint::typed(&url, login.target.profile.allow_http))
        .transpose()?;
    let provider = provider_for(login, typed.as_ref())?;
    if let Some(notice) = &provider.notice {
        login.talk.notice(notice);
    }
    let base_url = match typed {
        Some(url) => url,
        None => base_url_for(login, provider)?,
    };
    let recognised = provider::recognise(&base_url).filter(|known| known.name != "custom");
    let provider = match recognised {
        Some(known) if login.provider.is_none() => known,
        _ => provider,
    };
    Ok((provider, base_url))
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
                .save(store, &Stored::ApiKey(key.clone()), &entry, login.talk)
        }
        _ => login.target.configure(&entry),
    }
}

/// Finds the provider: typed, of the typed endpoint, or asked for; the profile's, else OpenAI, where nobody can be asked.
fn provider_for(login: &mut Login<'_>, typed_url: Option<&Url>) -> Result<&'static Provider, Failure> {
    if let Some(provider) = login.provider.or_else(|| typed_url.and_then(provider::recognise)) {
        if provider.oauth.is_none() {
            return Ok(provider);
        }
        let name = &provider.name;
        return Err(
            Failure::new(Exit::Usage, format!("provider '{name}' takes no API key"))
                .hint("run 'qwen-login --oauth'"),
        );
    }
    let known: Vec<&Provider> = provider::all()
        .iter()
        .filter(|provider| provider.oauth.is_none())
        .collect();
    let present = login.target.provider().filter(|own| own.oauth.is_none());
    let usual = present
        .or_else(|| provider::recognise(&url_in_environment()?))
        .and_then(|usual| known.iter().position(|known| known.name == usual.name))
        .unwrap_or(0);
    let chosen = match login.terminal.as_mut() {
        None => usual,
        Some(terminal) => {
            let lines: Vec<String> = known
                .iter()
                .map(|provider| format!("{:12} {}", provider.name, provider.title))
                .collect();
            let titles: Vec<&str> = lines.iter().map(String::as_str).collect();
            terminal.print("Whose key is it?\n")?;
            choose(terminal, &titles, usual)?
        }
    };
    known
        .get(chosen)
        .copied()
        .and_then(|provider| provider::named(&provider.name))
        .ok_or_else(|| Failure::new(Exit::Bug, "the provider catalogue is empty; please report it"))
}

/// Finds the endpoint: the profile's own or `OPENAI_BASE_URL` where it is of the same provider, else one of the provider's.
fn base_url_for(login: &mut Login<'_>, provider: &Provider) -> Result<Url, Failure> {
    let profile = &login.target.profile;
    let own = profile
        .base_url
        .clone()
        .filter(|_| login.target.is_about(provider));
    let is_its = |url: &Url| provider::recognise(url).is_some_and(|known| known.name == provider.name);
    let said = own
        .or_else(|| url_in_environment().filter(|url| login.provider.is_none() && is_its(url)))
        .map(String::from);
    let allow_http = profile.allow_http;
    let Some(terminal) = login.terminal.as_mut() else {
        let usual = said.or_else(|| regions(provider).next().map(|(_, url)| url.to_owned()));
        let url = usual.filter(|url| !url.contains("RESOURCE")).ok_or_else(|| {
            let message = format!("provider '{}' has no endpoint of its own", provider.name);
            Failure::new(Exit::Usage, message).hint("name it with --base-url")
        })?;
        return endpoint::typed(&url, allow_http);
    };
    let usual = match said {
        Some(said) => Some(said),
        None => region_of(terminal, provider)?,
    };
    match &usual {
        Some(url) if login.provider.is_some() && !url.contains("RESOURCE") => {
            endpoint::typed(url, allow_http)
        }
        _ => ask(terminal, "base URL", usual.as_deref(), |text| {
            endpoint::answered(text, allow_http)
        }),
    }
}

fn regions(provider: &Provider) -> impl Iterator<Item = (&str, &str)> {
    provider
        .base_urls
        .iter()
        .filter_map(|(region, url)| Some((region.as_str(), url.as_str()?)))
}

/// Returns the endpoint of the region that is chosen, or the only one; `None` for a provider without any.
fn region_of(terminal: &mut Terminal, provider: &Provider) -> Result<Option<String>, Failure> {
    let (titles, urls): (Vec<String>, Vec<&str>) = regions(provider)
        .map(|(region, url)| (format!("{region}: {url}"), url))
        .unzip();
    let mut chosen = 0;
    if urls.len() > 1 {
        let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
        terminal.print("Which region is the key for?\n")?;
        chosen = choose(terminal, &titles, 0)?;
    }
    Ok(urls.get(chosen).map(|url| (*url).to_owned()))
}

fn url_in_environment() -> Option<Url> {
    Url::parse(std::env::var("OPENAI_BASE_URL").ok()?.trim()).ok()
}

/// Finds the model: typed, that of the address of a deployment, the profile's own where it is the same provider,
/// `OPENAI_MODEL`, the provider's default.
fn model_for(
    login: &mut Login<'_>,
    provider: &Provider,
    deployment: Option<String>,
) -> Result<String, Failure> {
    if let Some(model) = login
        .cli
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
    if login.cli.no_verify {
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
        let failure = match trial::of_key(&question, login.talk) {
            Ok(verdict) => return Ok(verdict),
            Err(failure) => failure.hint("nothing was stored; --no-verify stores it without a trial"),
        };
        let Some(terminal) = login.terminal.as_mut().filter(|_| !login.cli.with_key) else {
            return Err(failure);
        };
        let exit = failure.exit;
        login.talk.failure(&Failure {
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
