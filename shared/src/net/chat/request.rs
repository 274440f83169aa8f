//! A request's body and its members.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::exit::{Exit, Failure};

/// The body of a chat request without its messages, built in layers: each later one wins, member by member.
#[derive(Clone, Debug)]
pub struct ChatBody {
    members: Map<String, Value>,
    /// Whether a layer says something about `stream_options`.
    has_options: bool,
}

impl ChatBody {
    /// Starts a body. A stream is asked to include the count of tokens.
    #[must_use]
    pub fn new(model: &str, stream: bool) -> Self {
        let mut members = Map::new();
        members.insert("model".into(), model.into());
        members.insert("stream".into(), stream.into());
        Self {
            members,
            has_options: false,
        }
    }

    /// Merges a layer in: the provider's, then the profile's, then the command line's. `null` removes a member.
    pub fn merge(&mut self, layer: &Map<String, Value>) {
        self.has_options |= layer.contains_key("stream_options");
        merge(&mut self.members, layer);
    }

    /// Sets one member.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.to_owned(), value.into());
    }

    /// Returns how many choices it asks for; 0 where it does not say.
    #[must_use]
    pub fn choices(&self) -> u64 {
        self.members.get("n").and_then(Value::as_u64).unwrap_or_default()
    }

    /// True for a change that takes back nothing but what the toolkit decided by itself.
    #[must_use]
    pub const fn allows(&self, change: Change) -> bool {
        match change {
            Change::WithoutStreamOptions => !self.has_options,
            Change::Stream(_) => true,
        }
    }

    /// Writes the body as JSON, the messages in their place after the model.
    ///
    /// The messages are written from where they are, not copied first: a prompt may have many megabytes.
    ///
    /// # Errors
    /// 70 for messages that JSON cannot hold.
    pub fn to_json(&self, messages: &impl Serialize, form: Form) -> Result<Vec<u8>, Failure> {
        let body = WithMessages {
            body: self,
            messages,
            form,
        };
        serde_json::to_vec(&body).map_err(|error| {
            Failure::new(Exit::Bug, "the request cannot be written as JSON").caused_by(error)
        })
    }
}

struct WithMessages<'a, M> {
    body: &'a ChatBody,
    messages: &'a M,
    form: Form,
}

impl<M: Serialize> Serialize for WithMessages<'_, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let ChatBody { members, has_options } = self.body;
        let mut map = serializer.serialize_map(None)?;
        if let Some(model) = members.get("model") {
            map.serialize_entry("model", model)?;
        }
        map.serialize_entry("messages", self.messages)?;
        let planned = members.get("stream").and_then(Value::as_bool) == Some(true);
        let streams = self.form.stream.unwrap_or(planned);
        for (name, value) in members {
            match name.as_str() {
                "model" | "messages" => {}
                "stream" => {
                    map.serialize_entry(name, &self.form.stream.map_or_else(|| value.clone(), Value::from))?;
                    if streams && !has_options && !self.form.without_stream_options {
                        map.serialize_entry("stream_options", &json!({ "include_usage": true }))?;
                    }
                }
                // Servers refuse stream options without a stream; a layer may have turned it off.
                "stream_options" if !streams => {}
                _ => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

/// How a question is put to a model that does not take it as the toolkit puts it by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// The token count of a stream is not asked for.
    pub without_stream_options: bool,
    /// The answer is asked for as a stream, or in one piece, whatever was planned.
    pub stream: Option<bool>,
}

/// A change of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No `stream_options`.
    WithoutStreamOptions,
    /// A stream, or none.
    Stream(bool),
}

impl Form {
    /// Makes a change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::WithoutStreamOptions => self.without_stream_options = true,
            // Once: a server that wants neither is not asked in turns.
            Change::Stream(stream) => self.stream = self.stream.or(Some(stream)),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WithoutStreamOptions => "asking again without 'stream_options'",
            Self::Stream(true) => "asking again for a stream",
            Self::Stream(false) => "asking again for an answer in one piece",
        })
    }
}

/// Merges JSON objects much as RFC 7396 does: objects member by member, `null` deletes, anything else replaces.
///
/// Unlike there, an object that meets none is copied whole: a `null` within a JSON schema means something.
pub fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.shift_remove(name);
            }
            Value::Object(inner) => match target.get_mut(name) {
                Some(Value::Object(below)) => merge(below, inner),
                _ => {
                    target.insert(name.clone(), value.clone());
                }
            },
            other => {
                target.insert(name.clone(), other.clone());
            }
        }
    }
}

/// Reads the values of `--param NAME=JSON` into members of a request's body.
///
/// # Errors
/// 64 for a value that is not `NAME=JSON`, and for a member that is set in another way.
pub fn parse_params(params: &[String]) -> Result<Map<String, Value>, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, format!("--param: {message}"));
    let mut members = Map::new();
    for param in params {
        let (name, json) = param
            .split_once('=')
            .filter(|(name, _)| !name.trim().is_empty())
            .ok_or_else(|| usage(format!("'{param}' is not NAME=JSON")))?;
        if matches!(name, "messages" | "model" | "stream") {
            return Err(usage(format!("'{name}' cannot be set this way")));
        }
        let value = serde_json::from_str(json).map_err(|error| {
            usage(format!("the value of '{name}' is not JSON: {error}"))
                .hint(format!("quote text twice: --param '{name}=\"text\"'"))
        })?;
        members.insert(name.to_owned(), value);
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{Change, ChatBody, Form};

    fn layer(json: &str) -> Map<String, Value> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn layers_are_merged_in_order_and_null_takes_away() {
        let mut body = ChatBody::new("m", true);
        body.merge(&layer(
            r#"{"metadata":{"a":1,"b":2},"temperature":0.3,"messages":"never"}"#,
        ));
        body.merge(&layer(r#"{"metadata":{"b":3},"stream_options":null}"#));
        body.set("temperature", 1);
        let json = body
            .to_json(&json!([{"role": "user", "content": "hi"}]), Form::default())
            .unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"metadata":{"a":1,"b":3},"temperature":1}"#
        );
    }

    #[test]
    fn an_object_that_meets_none_is_taken_as_it_is() {
        let mut body = ChatBody::new("m", false);
        body.merge(&layer(r#"{"schema":{"const":null},"metadata":{"a":1}}"#));
        body.merge(&layer(r#"{"metadata":{"a":null,"b":{"c":null}}}"#));
        let json = body.to_json(&json!([]), Form::default()).unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"model":"m","messages":[],"stream":false,"schema":{"const":null},"metadata":{"b":{"c":null}}}"#
        );
    }

    #[test]
    fn an_answer_in_one_piece_is_asked_for_without_stream_options() {
        let mut unmade = ChatBody::new("m", true);
        unmade.merge(&layer(r#"{"stream":false}"#));
        for body in [ChatBody::new("m", false), unmade] {
            assert_eq!(
                String::from_utf8(body.to_json(&json!([]), Form::default()).unwrap()).unwrap(),
                r#"{"model":"m","messages":[],"stream":false}"#
            );
        }
    }

    #[test]
    fn a_change_of_form_takes_back_what_was_added_and_nothing_of_the_users() {
        let written = |body: &ChatBody, changes: &[Change]| {
            let mut form = Form::default();
            for change in changes {
                form.apply(*change);
            }
            String::from_utf8(body.to_json(&json!([]), form).unwrap()).unwrap()
        };
        let (stream, piece) = (Change::Stream(true), Change::Stream(false));
        let options = Change::WithoutStreamOptions;
        let plain = ChatBody::new("m", true);
        let whole = ChatBody::new("m", false);
        let mut own = ChatBody::new("m", true);
        own.merge(&layer(r#"{"stream_options":{"include_obfuscation":false}}"#));
        for (body, changes, expected) in [
            (
                &plain,
                &[][..],
                r#""stream":true,"stream_options":{"include_usage":true}"#,
            ),
            (&plain, &[options], r#""stream":true"#),
            (&plain, &[piece], r#""stream":false"#),
            (
                &whole,
                &[stream],
                r#""stream":true,"stream_options":{"include_usage":true}"#,
            ),
            (&whole, &[stream, options], r#""stream":true"#),
            (
                &whole,
                &[stream, piece],
                r#""stream":true,"stream_options":{"include_usage":true}"#,
            ),
            (
                &own,
                &[],
                r#""stream":true,"stream_options":{"include_obfuscation":false}"#,
            ),
        ] {
            let expected = format!(r#"{{"model":"m","messages":[],{expected}}}"#);
            assert_eq!(written(body, changes), expected, "{changes:?}");
        }
        assert!(plain.allows(options) && whole.allows(stream) && !own.allows(options));
    }
}
