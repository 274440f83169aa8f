//! The body of a request.

use qwen_shared::exit::Failure;
use qwen_shared::net::chat::{ChatBody, parse_params};
use qwen_shared::net::config::Settings;
use serde_json::{Map, Value, json};

use super::args::{Args, ModelArgs};

/// Builds the body without its messages, from the settings and the command line.
///
/// # Errors
/// As [`parse_params`].
pub(crate) fn body(args: &Args, settings: &Settings, schema: Option<&Value>) -> Result<ChatBody, Failure> {
    let mut body = ChatBody::new(&settings.model.value, !args.output.no_stream);
    body.merge(&settings.body);
    body.merge(&sampling(&args.model));
    if let Some(schema) = schema {
        body.set(
            "response_format",
            json!({
                "type": "json_schema",
                "json_schema": { "name": "answer", "strict": true, "schema": schema },
            }),
        );
    }
    body.merge(&parse_params(&args.model.param)?);
    Ok(body)
}

fn sampling(args: &ModelArgs) -> Map<String, Value> {
    let mut members = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            members.insert(name.to_owned(), value);
        }
    };
    set("temperature", args.temperature.map(Value::from));
    set("top_p", args.top_p.map(Value::from));
    set("max_tokens", args.max_tokens.map(Value::from));
    set("seed", args.seed.map(Value::from));
    set("stop", (!args.stop.is_empty()).then(|| args.stop.clone().into()));
    members
}
