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

/// Prints the names of the models, one per line, or the server's list as JSON. With `ctrl_c`, Ctrl-C ends the wait
/// instead of the program, and a long list is not shown to its end.
///
/// # Errors
/// As for a chat request; 76 when the answer is no list of models.
pub(crate) fn print(client: &Client, as_json: bool, ctrl_c: Option<&Arc<Caught>>) -> Result<Exit, Failure> {
    let most = ctrl_c.map_or(usize::MAX, |_| SHOWN);
    let (asking, ctrl_c) = (client.clone(), ctrl_c.cloned());
    let body =
        api::run(async move { until_interrupted(ctrl_c, asking.models()).await })?.map_err(|error| {
            if matches!(error, Error::Stopped) {
                let _ = Stdout::write(b"\n");
            }
            client.failure(error, Asked::Models)
        })?;
    let models = read_models(&body).ok_or_else(|| not_a_list(client, &body))?;
    let mut lines = String::new();
    if as_json {
        lines = format!("{}\n", escape_json(&Value::Array(models).to_string()));
    } else {
        let mut names: Vec<String> = models.iter().filter_map(model_name).map(one_line).collect();
        names.sort();
        names.dedup();
        for name in names.iter().take(most) {
            lines.push_str(name);
            lines.push('\n');
        }
        if let Some(more @ 1..) = names.len().checked_sub(most) {
            lines.push_str(&format!(
                "and {more} more; Tab completes a name after /model, and 'qwen-chat --list-models' lists all\n"
            ));
        }
    }
    Stdout::write(lines.as_bytes())?;
    Ok(Exit::Ok)
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
