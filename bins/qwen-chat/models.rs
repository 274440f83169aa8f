//! The list of models.

use std::sync::Arc;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{model_name, read_models};
use qwen_shared::output::Stdout;
use qwen_shared::signal::Caught;
use qwen_shared::text::{escape_json, one_line};
use serde_json::Value;

use super::client::Client;

/// Prints the names of the models, one per line, or the server's list as JSON. With `ctrl_c`, Ctrl-C ends the wait
/// instead of the program.
///
/// # Errors
/// As for a chat request; 76 when the answer is no list of models.
pub(crate) fn print(
    client: &mut Client,
    as_json: bool,
    ctrl_c: Option<&Arc<Caught>>,
) -> Result<Exit, Failure> {
    let body = client.get_models(ctrl_c)?;
    let models = read_models(&body).ok_or_else(|| {
        let server = client.server();
        Failure::new(
            Exit::Protocol,
            format!("'{server}': the answer is not a list of models"),
        )
        .hint("check the base URL")
    })?;
    let mut lines = String::new();
    if as_json {
        lines = format!("{}\n", escape_json(&Value::Array(models).to_string()));
    } else {
        let mut names: Vec<String> = models.iter().filter_map(model_name).map(one_line).collect();
        names.sort();
        names.dedup();
        for name in names {
            lines.push_str(&name);
            lines.push('\n');
        }
    }
    Stdout::write(lines.as_bytes())?;
    Ok(Exit::Ok)
}
