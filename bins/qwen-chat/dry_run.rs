//! The request, shown instead of sent.

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::Endpoint;
use qwen_shared::net::api::authorize;
use qwen_shared::net::config::Settings;
use qwen_shared::net::credential::{Refresh, RefreshPolicy};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::text::escape_json;
use serde_json::{Map, Value, json};

use super::args::Args;
use super::message::Message;
use super::request::Body;

/// The longest body on a command line: Linux allows 128 KiB for one argument.
const LONGEST_ARGUMENT: usize = 100 << 10;

/// Prints the request as JSON with its secret masked, and the source of each setting.
///
/// # Errors
/// Those of the settings. No token is refreshed: nothing is sent, not even to the login server.
pub(crate) fn print_json(
    settings: &Settings,
    body: &Body,
    messages: &[Message],
    reporter: &Reporter,
) -> Result<Exit, Failure> {
    let endpoint = endpoint(settings, reporter)?;
    let mut headers = Map::new();
    for (name, value) in endpoint.headers() {
        headers.insert(name.clone(), mask_if_secret(name, value).into());
    }
    if let Some(secret) = endpoint.secret() {
        let (name, before) = endpoint.secret_header();
        headers.insert(name.to_owned(), format!("{before}{}", secret.masked()).into());
    }
    headers.insert("content-type".into(), "application/json".into());
    let body: Value = serde_json::from_slice(&body.to_json(messages)?)
        .map_err(|error| Failure::new(Exit::Bug, "the request is not JSON").caused_by(error))?;
    let sources: Map<String, Value> = settings
        .origins()
        .into_iter()
        .map(|(name, value, source)| (name.to_owned(), json!({ "value": value, "source": source })))
        .collect();
    let shown = json!({
        "method": "POST",
        "url": shown_url(&endpoint),
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
    body: &Body,
    messages: &[Message],
    args: &Args,
    reporter: &Reporter,
) -> Result<Exit, Failure> {
    let silent = Reporter::new("qwen-chat", true, false, qwen_shared::output::Color::Never);
    let endpoint = endpoint(settings, &silent)?;
    let json = body.to_json(messages)?;
    if json.len() > LONGEST_ARGUMENT {
        let message = format!("the request is too long for a command line: {} bytes", json.len());
        return Err(Failure::new(Exit::Data, message).hint("--dry-run prints it as JSON"));
    }
    let mut command = String::new();
    if endpoint.secret().is_some() {
        command.push_str(&token_command(args, reporter));
        command.push_str(" | ");
    }
    command.push_str("curl --no-buffer --globoff --fail-with-body");
    if endpoint.secret().is_some() {
        command.push_str(" --header @-");
    }
    command.push_str(" --header 'content-type: application/json'");
    command.push_str(&header_options(&endpoint, reporter));
    let json = String::from_utf8_lossy(&json);
    command.push_str(&format!(
        " --data-raw {} {}\n",
        quoted(&json),
        quoted(&shown_url(&endpoint))
    ));
    Stdout::write(command.as_bytes())?;
    Ok(Exit::Ok)
}

/// Returns the options for the headers of provider and profile.
fn header_options(endpoint: &Endpoint, reporter: &Reporter) -> String {
    let mut options = String::new();
    for (name, value) in endpoint.headers() {
        let shown = mask_if_secret(name, value);
        if shown != *value {
            reporter.notice(&format!(
                "put the value of header '{name}' in yourself: it is masked"
            ));
        }
        options.push_str(&format!(" --header {}", quoted(&format!("{name}: {shown}"))));
    }
    options
}

/// Returns the qwen-token command that gets the key which this command line is about, sent as its endpoint wants it.
fn token_command(args: &Args, reporter: &Reporter) -> String {
    let mut command = String::new();
    if args.endpoint.openai_api_key.is_some() {
        reporter.notice(
            "the key of --openai-api-key is not in the command; set OPENAI_API_KEY to it before you run it",
        );
    }
    if let Some(url) = &args.endpoint.openai_base_url {
        command.push_str(&format!("OPENAI_BASE_URL={} ", quoted(url)));
    }
    command.push_str("qwen-token");
    if let Some(profile) = &args.common.profile {
        command.push_str(&format!(" --profile {}", quoted(profile)));
    }
    if let Some(directory) = &args.common.directory {
        command.push_str(&format!(" --directory {}", quoted(&directory.to_string_lossy())));
    }
    command + " --format header"
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

/// Returns the URL with the values of parameters masked that look like secrets.
fn shown_url(endpoint: &Endpoint) -> String {
    let mut url = endpoint.chat_url();
    if url.query().is_some() {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| (name.to_string(), mask_if_secret(&name, &value)))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.into()
}

/// Masks the value of a header or parameter whose name says that it is a secret.
fn mask_if_secret(name: &str, value: &str) -> String {
    let name = name.to_ascii_lowercase();
    let is_secret = ["auth", "key", "token", "secret", "cookie", "password", "sig"]
        .iter()
        .any(|word| name.contains(word));
    // The header that names the kind of login is not one that logs in.
    if is_secret && name != "x-dashscope-authtype" {
        qwen_shared::secret::mask(value)
    } else {
        value.to_owned()
    }
}

/// Quotes a word for a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
