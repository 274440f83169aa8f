//! The body of a request.

use std::path::Path;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ReferencingError, ValidationError};
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::input::read_text;
use qwen_shared::net::chat::{ChatBody, parse_params};
use qwen_shared::net::config::Settings;
use qwen_shared::text::clip;
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

/// Reads the schema of `--schema`.
///
/// # Errors
/// 66 when the file cannot be read, 65 when it is not a JSON schema. Nothing has been sent by then.
pub(crate) fn schema(path: &Path) -> Result<Value, Failure> {
    let text = read_text(path)?;
    let schema: Value = serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Failure::new(
            Exit::Data,
            format!("{}:{line}:{column}: not JSON: {error}", path.display()),
        )
    })?;
    jsonschema::validator_for(&schema).map_err(|error| invalid_schema(path, &error))?;
    Ok(schema)
}

fn invalid_schema(path: &Path, error: &ValidationError<'_>) -> Failure {
    let shown = path.display();
    if let ValidationErrorKind::Referencing(ReferencingError::Unretrievable { uri, .. }) = error.kind() {
        let message = format!(
            "'{shown}': it refers to '{}', which is not fetched",
            clip(uri, 200)
        );
        return Failure::new(Exit::Data, message).hint("put what is referred to under '$defs' of the schema");
    }
    let fault = clip(&error.to_string(), 400);
    Failure::new(Exit::Data, format!("'{shown}': not a JSON schema: {fault}"))
}
