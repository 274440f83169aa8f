//! The request, shown instead of sent.

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::Endpoint;
use qwen_shared::net::api::authorize;
use qwen_shared::net::chat::{ChatBody, Form};
use qwen_shared::net::config::{Settings, Source};
use qwen_shared::net::credential::{Refresh, RefreshPolicy};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::secret::mask;
use qwen_shared::text::escape_json;
use serde_json::{Map, Value, json};

use super::args::Args;
use super::message::Message;

/// The longest body on a command line: Linux allows 128 KiB for one argument.
const LONGEST_ARGUMENT: usize = 100 << 10;

/// Prints the request as JSON with its secret masked, and the source of each setting.
///
/// # Errors
/// Those of the settings. No token is refreshed: nothing is sent, not even to the login server.
pub(crate) fn print_json(
    settings: &Settings,
    body: &ChatBody,
    messages: &[Message],
    reporter: &Reporter,
) -> Result<Exit, Failure> {
    let endpoint = endpoint(settings, reporter)?;
    let mut headers = Map::new();
    for (name, value) in endpoint.headers() {
        headers.insert(name.clone(), value.clone().into());
    }
    for (name, value) in settings.profile_headers() {
        headers.insert(name.to_owned(), mask(value).into());
    }
    if let Some(secret) = endpoint.secret() {
        let (name, before) = endpoint.secret_header();
        headers.insert(name.to_owned(), format!("{before}{}", secret.masked()).into());
    }
    headers.insert("content-type".into(), "application/json".into());
    let body = masked_body(settings, &body.to_json(&messages, Form::default())?)?;
    let sources: Map<String, Value> = settings
        .origins()
        .into_iter()
        .map(|(name, value, source)| (name.to_owned(), json!({ "value": value, "source": source })))
        .collect();
    let shown = json!({
        "method": "POST",
        "url": shown_url(settings, &endpoint),
        "headers": headers,
        "body": body,
        "settings": sources,
    });
    let mut text = serde_json::to_string_pretty(&shown)
        .map_err(|error| Failure::new(Exit::Bug, "the request cannot be written as JSON").caused_by(error))?;
    text.push('\n');
    Stdout::write(escape_json(&text).as_bytes())?;
    Ok(Exit::Ok)
}

/// Prints a curl command for a shell. Its key comes from qwen-token, by a pipe: it is on no command line.
///
/// # Errors
/// Those of the settings; 65 when the body is too long for a command line.
pub(crate) fn print_curl(
    settings: &Settings,
    body: &ChatBody,
    messages: &[Message],
    args: &Args,
    reporter: &Reporter,
) -> Result<Exit, Failure> {
    let silent = Reporter::new("qwen-chat", true, false, qwen_shared::output::Color::Never);
    let endpoint = endpoint(settings, &silent)?;
    let json = masked_body(settings, &body.to_json(&messages, Form::default())?)?.to_string();
    if json.len() > LONGEST_ARGUMENT {
        let message = format!("the request is too long for a command line: {} bytes", json.len());
        return Err(Failure::new(Exit::Data, message).hint("--dry-run prints it as JSON"));
    }
    let mut curl = String::from("curl --no-buffer --globoff --fail-with-body");
    let (url, has_own_query) = public_url(settings, &endpoint);
    let has_secret =
        endpoint.secret().is_some() || settings.profile_headers().next().is_some() || has_own_query;
    if has_secret {
        curl = format!(
            "{} | {curl} --config -",
            token_command(settings, args, &url, reporter)
        );
    }
    curl.push_str(" --header 'content-type: application/json'");
    let own: Vec<&str> = settings.profile_headers().map(|(name, _)| name).collect();
    for (name, value) in endpoint.headers() {
        if !own.contains(&name.as_str()) {
            curl.push_str(&format!(" --header {}", quoted(&format!("{name}: {value}"))));
        }
    }
    curl.push_str(&format!(" --data-raw {}", quoted(&json)));
    if !has_secret {
        curl.push_str(&format!(" {}", quoted(&url)));
    }
    report_masked(settings, reporter);
    curl.push('\n');
    Stdout::write(curl.as_bytes())?;
    Ok(Exit::Ok)
}

/// Says which values of the profile the user has to put into the command.
fn report_masked(settings: &Settings, reporter: &Reporter) {
    let body = settings.body.iter();
    for (name, _) in body.filter(|(name, value)| is_masked(settings, name, value)) {
        reporter.notice(&format!(
            "put the value of body member '{name}' in yourself: it is masked"
        ));
    }
}

/// Returns the qwen-token command that gets the key which this command line is about, sent as its endpoint wants it.
fn token_command(settings: &Settings, args: &Args, url: &str, reporter: &Reporter) -> String {
    let mut command = String::new();
    if args.endpoint.openai_api_key.is_some() {
        reporter.notice(
            "the key of --openai-api-key is not in the command; set OPENAI_API_KEY to it before you run it",
        );
    }
    if let Some(url) = &args.endpoint.openai_base_url {
        command.push_str(&format!("OPENAI_BASE_URL={} ", quoted(url)));
    }
    // Which of Qwen Code's endpoints it is depends on the model.
    if let (Some(model), Source::QwenCode { .. }) = (&args.endpoint.model, &settings.base_url.source) {
        command.push_str(&format!("OPENAI_MODEL={} ", quoted(model)));
    }
    command.push_str("qwen-token");
    if let Some(profile) = &settings.profile {
        command.push_str(&format!(" --profile {}", quoted(&profile.value)));
    }
    if let Some(directory) = &args.common.directory {
        command.push_str(&format!(" --directory {}", quoted(&directory.to_string_lossy())));
    }
    command + &format!(" --for {} --format curl", quoted(url))
}

/// Makes the endpoint without any network. A token that cannot be had without one is shown as three asterisks.
fn endpoint(settings: &Settings, reporter: &Reporter) -> Result<Endpoint, Failure> {
    let policy = RefreshPolicy {
        refresh: Refresh::Never,
        ..RefreshPolicy::default()
    };
    match authorize(settings, &policy, reporter) {
        Ok(authorization) => {
            let base_url = authorization.base_url(settings)?;
            Endpoint::new(settings, authorization.token, Some(base_url))
        }
        Err(failure) if settings.uses_oauth() => {
            reporter.notice(&format!("{failure}; the request is shown without a token"));
            Endpoint::new(settings, Some(String::new().into()), None)
        }
        Err(failure) => Err(failure),
    }
}

/// Returns the URL with the values masked that are the profile's or stand in its base URL.
fn shown_url(settings: &Settings, endpoint: &Endpoint) -> String {
    let mut url = endpoint.chat_url();
    if url.query().is_some() {
        let shown = |name: &str, value: &str| match is_of_provider(settings, name) {
            true => value.to_owned(),
            false => mask(value),
        };
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| (name.to_string(), shown(&name, &value)))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.into()
}

/// Returns the URL without the parameters that are the profile's or stand in its base URL, and whether there are any:
/// qwen-token adds them.
fn public_url(settings: &Settings, endpoint: &Endpoint) -> (String, bool) {
    let mut url = endpoint.chat_url();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let is_public = |(name, _): &&(String, String)| is_of_provider(settings, name);
    let public: Vec<&(String, String)> = pairs.iter().filter(is_public).collect();
    let has_own = public.len() < pairs.len();
    if has_own {
        url.set_query(None);
    }
    if has_own && !public.is_empty() {
        url.query_pairs_mut().extend_pairs(public);
    }
    (url.into(), has_own)
}

/// True for a parameter that the catalogue names.
fn is_of_provider(settings: &Settings, parameter: &str) -> bool {
    settings.provider.value.query.contains_key(parameter) && !settings.query.contains_key(parameter)
}

/// Returns the body with the texts masked that the profile puts into it.
fn masked_body(settings: &Settings, body: &[u8]) -> Result<Value, Failure> {
    let mut body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| Failure::new(Exit::Bug, "the request is not JSON").caused_by(error))?;
    for (name, value) in &settings.body {
        if is_masked(settings, name, value)
            && let Some(shown) = body.get_mut(name)
        {
            mask_texts(shown, value);
        }
    }
    Ok(Value::Object(body))
}

fn is_masked(settings: &Settings, name: &str, value: &Value) -> bool {
    settings.provider.value.body.get(name) != Some(value) && has_text(value)
}

fn has_text(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(items) => items.iter().any(has_text),
        Value::Object(members) => members.values().any(has_text),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Masks the texts of `own` in what may be laid over other members.
fn mask_texts(shown: &mut Value, own: &Value) {
    match (shown, own) {
        (Value::String(text), Value::String(own)) if text == own => *text = mask(own),
        (Value::Array(items), Value::Array(own)) => {
            for (item, own) in items.iter_mut().zip(own) {
                mask_texts(item, own);
            }
        }
        (Value::Object(members), Value::Object(own)) => {
            for (name, own) in own {
                if let Some(member) = members.get_mut(name) {
                    mask_texts(member, own);
                }
            }
        }
        _ => {}
    }
}

/// Quotes a word for a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
