//! The model: chosen from the endpoint's own list.

use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{self, Client, ClientOptions, Endpoint, LimitArgs, model_name, read_models};
use qwen_shared::net::chat::{Asked, ErrorKind};
use qwen_shared::net::config::{Settings, own_variable};
use qwen_shared::net::credential::RefreshPolicy;
use qwen_shared::output::Reporter;
use qwen_shared::provider::Provider;
use qwen_shared::terminal::Terminal;
use qwen_shared::text::one_line;

use crate::login::{Login, SILENCE, ask_server};
use crate::questions::{self, Choice};
use crate::test_request::TestFailure;

/// What the catalogue has in the place of a default model for a server that serves whatever it was started with.
pub(crate) const UNNAMED: &str = "default";

/// How long a person waits for the list.
const LIMIT: Duration = Duration::from_secs(30);

/// How many names a message holds.
const MOST_NAMES: usize = 10;

/// Returns the model where none is named: that of a deployment's address, the profile's if it has the same provider,
/// `OPENAI_MODEL`, or the provider's; and whether that is a guess, for a server that could have any.
pub(crate) fn default_for(
    login: &Login<'_>,
    provider: &Provider,
    deployment: Option<String>,
) -> (String, bool) {
    let profile = &login.profile;
    let current = profile.settings.model.clone().filter(|_| profile.is_of(provider));
    let from_environment = own_variable("OPENAI_MODEL")
        .ok()
        .flatten()
        .filter(|_| login.provider.is_none());
    let known = deployment
        .or(current)
        .or(from_environment)
        .filter(|model| !model.trim().is_empty());
    let model = known.clone().unwrap_or_else(|| provider.default_model.clone());
    let could_have_any = !provider.needs_key || provider.regions.is_empty();
    (model, known.is_none() && could_have_any)
}

/// Asks the endpoint for the names of its models, sorted; `None` where it has no list, which is said.
///
/// # Errors
/// 77 for what is about the key, 75 for a server that is not there or busy: the trial would fail as well. Where `can_change` the
/// base URL, also 69 and 76 for one without a version, which is probably not the API's.
pub(crate) fn list(
    settings: Settings,
    can_change: bool,
    reporter: &Reporter,
) -> Result<Option<Vec<String>>, TestFailure> {
    let options = LimitArgs::default().options(settings.timeouts);
    let options = ClientOptions {
        max_time: Some(options.max_time.map_or(LIMIT, |limit| limit.min(LIMIT))),
        retries: 0,
        has_flags: false,
        renewal_pause: Duration::ZERO,
        threads: 1,
        ..options
    };
    let endpoint = Endpoint::open(settings, &RefreshPolicy::default(), reporter)?;
    let client = Client::new(endpoint, options, reporter)?;
    let asking = client.clone();
    let what = format!("the list of models of '{}'", client.server());
    let ask = || api::run(async move { asking.models().await });
    let mut failed = match ask_server(reporter, &what, SILENCE, ask)? {
        Ok(body) => match read_models(&body) {
            Some(models) => return Ok(Some(names(&models))),
            None => not_a_list(),
        },
        Err(error) => TestFailure::new(error, &client, Asked::Models),
    };
    if matches!(failed.failure.exit, Exit::NoAuth | Exit::TryAgain) {
        return Err(failed);
    }
    let server = format!("'{}'", client.server());
    let reason = &failed.failure.message;
    let reason = reason.strip_prefix(&format!("{server}: ")).unwrap_or(reason);
    failed.failure.message = format!("{server} lists no models: {reason}");
    if can_change && is_about_url(&failed) && !client.endpoint().base_url().has_version() {
        return Err(failed);
    }
    reporter.notice(&failed.failure.message);
    Ok(None)
}

fn not_a_list() -> TestFailure {
    let failure = Failure::new(Exit::Protocol, "its answer is no list");
    failure.hint("check the base URL: many end in '/v1'").into()
}

/// True where the answer is no API's, or that of an API which does not know the path.
pub(crate) fn is_about_url(failed: &TestFailure) -> bool {
    matches!(failed.kind, None | Some(ErrorKind::Path | ErrorKind::Page))
        && matches!(failed.failure.exit, Exit::Unavailable | Exit::Protocol)
}

/// Returns the names that can be shown as they are: no server's escape sequences are sent back to it as a model.
fn names(models: &[serde_json::Value]) -> Vec<String> {
    let named = models.iter().filter_map(model_name);
    let mut names: Vec<String> = named
        .filter(|name| !name.trim().is_empty() && one_line(name) == *name)
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Asks for a model: one of the list, where the only one is taken, or any name that is typed.
///
/// # Errors
/// 74 when the terminal has gone.
pub(crate) fn ask(
    terminal: &mut Terminal,
    default: &str,
    names: Option<Vec<String>>,
) -> Result<String, Failure> {
    let names = names.unwrap_or_default();
    match &names[..] {
        [] => questions::ask(terminal, "model", Some(default), parse_name),
        [only] => {
            terminal.say(&format!("model: {only}, the only one"))?;
            Ok(only.clone())
        }
        _ => choose(terminal, default, &names),
    }
}

fn choose(terminal: &mut Terminal, default: &str, names: &[String]) -> Result<String, Failure> {
    let position = names.iter().position(|name| name == default);
    // Ollama's names have a tag: qwen3 is qwen3:8b, say.
    let position = position.or_else(|| {
        names
            .iter()
            .position(|name| name.split(':').next() == Some(default))
    });
    let question = format!("model ({} are offered):", names.len());
    let mut options = names.to_vec();
    options.push("another one, by its name".to_owned());
    let choice = Choice {
        question: &question,
        options,
        default: position.unwrap_or(0),
        has_way_out: true,
    };
    // No default that the endpoint does not offer.
    let offered = position
        .and_then(|position| names.get(position))
        .map(String::as_str);
    loop {
        let (chosen, typed) = choice.ask_with_typed(terminal)?;
        if let Some(name) = names.get(chosen) {
            return Ok(name.clone());
        }
        let typed = one_line(typed.trim());
        if let Some(name) = questions::ask_or_leave(terminal, "model", offered, &typed, parse_name)? {
            return Ok(name);
        }
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("enter a name".to_owned()),
        model => Ok(model.to_owned()),
    }
}

/// Returns the model where nobody can choose: the only one that is listed, or the default where there is no list, or where
/// it is in it.
///
/// # Errors
/// 64 where there are several.
pub(crate) fn only(names: Option<Vec<String>>, default: &str) -> Result<String, Failure> {
    let names = names.unwrap_or_default();
    match &names[..] {
        [] => Ok(default.to_owned()),
        [only] => Ok(only.clone()),
        _ if names.iter().any(|name| name == default) => Ok(default.to_owned()),
        _ => {
            let message = format!("the endpoint has {} models: {}", names.len(), some_of(&names));
            Err(Failure::new(Exit::Usage, message).hint("choose one with --model NAME"))
        }
    }
}

/// Returns the first names, for a message.
pub(crate) fn some_of(names: &[String]) -> String {
    let mut some = names[..names.len().min(MOST_NAMES)].join(", ");
    if names.len() > MOST_NAMES {
        some.push_str(", …");
    }
    some
}
