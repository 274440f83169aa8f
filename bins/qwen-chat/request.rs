//! The body of a request.

use std::path::Path;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ReferencingError, ValidationError};
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::input::read_text;
use qwen_shared::net::chat::{merge, parse_params};
use qwen_shared::net::config::Settings;
use qwen_shared::text::clip;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::args::{Args, ModelArgs};
use super::message::Message;

/// A request's body, built in layers: each later one wins, member by member.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    members: Map<String, Value>,
}

impl Body {
    /// Starts a body. A stream is asked to include the count of tokens.
    pub(crate) fn new(model: &str, stream: bool) -> Self {
        let mut members = Map::new();
        members.insert("model".into(), model.into());
        members.insert("stream".into(), stream.into());
        if stream {
            members.insert(
                "stream_options".into(),
                serde_json::json!({ "include_usage": true }),
            );
        }
        Self { members }
    }

    /// Merges a layer in: the provider's, then the profile's, then the command line's. `null` removes a member.
    pub(crate) fn merge(&mut self, layer: &Map<String, Value>) {
        merge(&mut self.members, layer);
    }

    /// Sets one member.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.to_owned(), value.into());
    }

    /// Writes the body as JSON, the messages in their place after the model.
    ///
    /// The messages are written from where they are, not copied first: a prompt may have many megabytes.
    pub(crate) fn to_json(&self, messages: &[Message]) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(&WithMessages(&self.members, messages)).map_err(|error| {
            Failure::new(Exit::Bug, "the request cannot be written as JSON").caused_by(error)
        })
    }
}

struct WithMessages<'a>(&'a Map<String, Value>, &'a [Message]);

impl Serialize for WithMessages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let Self(members, messages) = self;
        let mut map = serializer.serialize_map(None)?;
        if let Some(model) = members.get("model") {
            map.serialize_entry("model", model)?;
        }
        map.serialize_entry("messages", messages)?;
        let streams = members.get("stream").and_then(Value::as_bool) == Some(true);
        for (name, value) in *members {
            match name.as_str() {
                "model" | "messages" => {}
                // Servers refuse stream options without a stream; a layer may have turned it off.
                "stream_options" if !streams => {}
                _ => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

/// Builds the body without its messages, from the settings and the command line.
///
/// # Errors
/// As [`parse_params`].
pub(crate) fn body(args: &Args, settings: &Settings, schema: Option<&Value>) -> Result<Body, Failure> {
    let mut body = Body::new(&settings.model.value, !args.output.no_stream);
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

#[cfg(test)]
mod tests {
    use super::Body;
    use crate::message::{Message, Role};
    use serde_json::Map;
    use serde_json::Value;

    fn layer(json: &str) -> Map<String, Value> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn layers_are_merged_in_order_and_null_takes_away() {
        let mut body = Body::new("m", true);
        body.merge(&layer(
            r#"{"metadata":{"a":1,"b":2},"temperature":0.3,"messages":"never"}"#,
        ));
        body.merge(&layer(r#"{"metadata":{"b":3},"stream_options":null}"#));
        body.set("temperature", 1);
        let json = body.to_json(&[Message::text(Role::User, "hi")]).unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"metadata":{"a":1,"b":3},"temperature":1}"#
        );
    }

    #[test]
    fn an_object_that_meets_none_is_taken_as_it_is() {
        let mut body = Body::new("m", false);
        body.merge(&layer(r#"{"schema":{"const":null},"metadata":{"a":1}}"#));
        body.merge(&layer(r#"{"metadata":{"a":null,"b":{"c":null}}}"#));
        let json = body.to_json(&[]).unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"model":"m","messages":[],"stream":false,"schema":{"const":null},"metadata":{"b":{"c":null}}}"#
        );
    }

    #[test]
    fn an_answer_in_one_piece_is_asked_for_without_stream_options() {
        let mut unmade = Body::new("m", true);
        unmade.merge(&layer(r#"{"stream":false}"#));
        for body in [Body::new("m", false), unmade] {
            assert_eq!(
                String::from_utf8(body.to_json(&[]).unwrap()).unwrap(),
                r#"{"model":"m","messages":[],"stream":false}"#
            );
        }
    }
}
