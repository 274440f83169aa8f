//! The list of models.

use std::sync::Arc;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{self, Client, Error, model_name, read_models};
use qwen_shared::net::chat::{AnswerError, ApiError, Asked, describe_body};
use qwen_shared::output::Stdout;
use qwen_shared::signal::Caught;
use qwen_shared::text::{escape_json, one_line};
use serde_json::Value;

use super::interrupt::until_interrupted;

/// How many names a conversation shows.
const SHOWN: usize = 60;

/// Prints the names of the models, one per line, or the server's list as JSON.
///
/// # Errors
/// As for a chat request; 76 when the answer is no list of models.
pub(crate) fn print(client: &Client, as_json: bool) -> Result<Exit, Failure> {
    let models = list(client, None)?;
    let text = match as_json {
        true => format!("{}\n", escape_json(&Value::Array(models).to_string())),
        false => names(&models).iter().map(|name| format!("{name}\n")).collect(),
    };
    Stdout::write(text.as_bytes())?;
    Ok(Exit::Ok)
}

/// Prints names in a conversation, a long list not to its end.
///
/// # Errors
/// 74.
pub(crate) fn print_some(names: &[&String]) -> Result<(), Failure> {
    let mut lines: String = names.iter().take(SHOWN).map(|name| format!("{name}\n")).collect();
    if let Some(more @ 1..) = names.len().checked_sub(SHOWN) {
        lines.push_str(&format!(
            "and {more} more; /model and a part of a name shows fewer, Tab completes a name\n"
        ));
    }
    Stdout::write(lines.as_bytes())
}

/// Returns the names, sorted.
pub(crate) fn names(models: &[Value]) -> Vec<String> {
    let mut names: Vec<String> = models.iter().filter_map(model_name).map(one_line).collect();
    names.sort();
    names.dedup();
    names
}

/// Asks the endpoint for its models. With `ctrl_c`, Ctrl-C ends the wait instead of the program.
///
/// # Errors
/// As [`print()`].
pub(crate) fn list(client: &Client, ctrl_c: Option<&Arc<Caught>>) -> Result<Vec<Value>, Failure> {
    let (asking, ctrl_c) = (client.clone(), ctrl_c.cloned());
    let body =
        api::run(async move { until_interrupted(ctrl_c, asking.models()).await })?.map_err(|error| {
            if matches!(error, Error::Stopped) {
                let _ = Stdout::write(b"\n");
            }
            client.failure(error, Asked::Models)
        })?;
    read_models(&body).ok_or_else(|| not_a_list(client, &body))
}

/// The failure of an answer that is no list of models: an error of the server, or another service's answer.
fn not_a_list(client: &Client, body: &[u8]) -> Failure {
    if let Some(error) = ApiError::parse(&String::from_utf8_lossy(body)) {
        return client.failure(Error::Answer(AnswerError::Api(error)), Asked::Models);
    }
    let (server, said) = (client.server(), describe_body(None, body));
    let failure = Failure::new(
        Exit::Protocol,
        format!("'{server}': not a list of models: {said}"),
    );
    client.redacted_failure(failure.hint("check the base URL: many end in '/v1'"))
}
