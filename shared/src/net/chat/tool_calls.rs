//! The tool calls that a model asks for, put together from their pieces.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::{ANSWER_LIMIT, AnswerError};

/// A tool call that the model asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ToolCall {
    /// The server's name for the call.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments: JSON as text, as the model wrote it.
    pub arguments: String,
}

impl ToolCall {
    /// True for a call of nothing: some servers send an empty object beside the text.
    const fn is_void(&self) -> bool {
        self.id.is_empty() && self.name.is_empty() && self.arguments.is_empty()
    }
}

/// The most calls that one answer may hold: an index is outside input, and must not make us reserve memory.
const MAX_TOOL_CALLS: usize = 128;

/// The tool calls so far.
#[derive(Debug, Default)]
pub(super) struct ToolCalls {
    calls: Vec<ToolCall>,
    /// How many bytes they are.
    size: usize,
}

impl ToolCalls {
    /// Adds the `tool_calls` of one chunk.
    ///
    /// A delta names its call by `index`; one without continues the last call, unless it has another `id`. So does one
    /// with another `id` and a name at an index that is taken: some servers number all calls 0.
    ///
    /// # Errors
    /// [`AnswerError::TooMuch`].
    pub(super) fn add(&mut self, raw: &RawValue) -> Result<(), AnswerError> {
        let deltas = match serde_json::from_str(raw.get()) {
            Ok(Value::Array(deltas)) => deltas,
            Ok(delta @ Value::Object(_)) => vec![delta],
            _ => return Ok(()),
        };
        for delta in deltas.iter().filter(|delta| delta.is_object()) {
            let id = text(&delta["id"]);
            let function = called(delta);
            let place = self.place(&delta["index"], id, function);
            self.add_function(place, id, function)?;
        }
        Ok(())
    }

    /// Adds the older form, `function_call`, of which there is one.
    ///
    /// # Errors
    /// [`AnswerError::TooMuch`].
    pub(super) fn add_function_call(&mut self, raw: &RawValue) -> Result<(), AnswerError> {
        match serde_json::from_str::<Value>(raw.get()) {
            Ok(function) if function.is_object() => self.add_function(0, "", &function),
            _ => Ok(()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.iter().all(ToolCall::is_void)
    }

    pub(super) fn into_calls(mut self) -> Vec<ToolCall> {
        self.calls.retain(|call| !call.is_void());
        self.calls
    }

    fn place(&self, index: &Value, id: &str, function: &Value) -> usize {
        let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
        let with_id = || self.calls.iter().position(|call| call.id == id);
        let Some(index) = index else {
            return match id {
                "" => self.calls.len().saturating_sub(1),
                _ => with_id().unwrap_or(self.calls.len()),
            };
        };
        match self.calls.get(index) {
            Some(call) if !id.is_empty() && !call.id.is_empty() && call.id != id => match with_id() {
                Some(place) => place,
                None if text(&function["name"]).is_empty() => index,
                None => self.calls.len(),
            },
            _ => index,
        }
    }

    fn add_function(&mut self, place: usize, id: &str, function: &Value) -> Result<(), AnswerError> {
        if place >= MAX_TOOL_CALLS {
            return Err(AnswerError::TooMuch);
        }
        if self.calls.len() <= place {
            self.calls.resize(place + 1, ToolCall::default());
        }
        let call = &mut self.calls[place];
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        let name = text(&function["name"]);
        // Some servers send the whole name with every piece of the arguments.
        if call.name != name {
            call.name.push_str(name);
        }
        let before = call.arguments.len();
        let arguments = function.get("arguments").or_else(|| function.get("input"));
        match arguments.unwrap_or(&Value::Null) {
            Value::String(part) => call.arguments.push_str(part),
            Value::Null => {}
            whole => call.arguments.push_str(&whole.to_string()),
        }
        self.size += id.len() + name.len() + call.arguments.len() - before;
        if self.size > ANSWER_LIMIT {
            return Err(AnswerError::TooMuch);
        }
        Ok(())
    }
}

/// Returns what a call calls: its `function`, or what stands under the name of its type (OpenAI's `custom`).
fn called(call: &Value) -> &Value {
    let by_type = || call.get(text(&call["type"])).filter(|called| called.is_object());
    let function = call.get("function").filter(|function| function.is_object());
    function.or_else(by_type).unwrap_or(&Value::Null)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{ToolCall, ToolCalls};
    use crate::net::chat::AnswerError;
    use serde_json::value::RawValue;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn calls_are_put_together_from_their_pieces() {
        for (pieces, expected) in [
            (
                vec![
                    r#"[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]"#,
                    r#"[{"index":0,"function":{"arguments":"}"}}]"#,
                ],
                vec![("a", "f", "{}")],
            ),
            (
                vec![
                    r#"[{"id":"a","function":{"name":"f","arguments":{"x":1}}},{"id":"b","function":{"name":"g"}}]"#,
                ],
                vec![("a", "f", r#"{"x":1}"#), ("b", "g", "")],
            ),
            (
                vec![
                    r#"[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]"#,
                    r#"[{"index":0,"id":"b","function":{"name":"f","arguments":"[]"}}]"#,
                ],
                vec![("a", "f", "{}"), ("b", "f", "[]")],
            ),
            (
                vec![
                    r#"[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]"#,
                    r#"[{"index":0,"id":"","function":{"name":"f","arguments":"}"}}]"#,
                ],
                vec![("a", "f", "{}")],
            ),
            (
                vec![r#"{"id":"a","function":{"name":"f"}}"#],
                vec![("a", "f", "")],
            ),
            (
                vec![r#"[{"index":0,"id":"a","type":"custom","custom":{"name":"f","input":"x"}}]"#],
                vec![("a", "f", "x")],
            ),
            (vec!["null", "3", "[null]"], vec![]),
        ] {
            let mut calls = ToolCalls::default();
            for piece in pieces {
                calls.add(&raw(piece)).unwrap();
            }
            let expected: Vec<ToolCall> = expected
                .into_iter()
                .map(|(id, name, arguments)| ToolCall {
                    id: id.into(),
                    name: name.into(),
                    arguments: arguments.into(),
                })
                .collect();
            assert_eq!(calls.into_calls(), expected);
        }
    }

    #[test]
    fn calls_without_end_are_given_up() {
        let mut calls = ToolCalls::default();
        assert_eq!(
            calls.add(&raw(r#"[{"index":99999999999,"id":"a"}]"#)),
            Err(AnswerError::TooMuch)
        );
        let piece = format!(
            r#"[{{"index":0,"function":{{"arguments":"{}"}}}}]"#,
            "x".repeat(8 << 20)
        );
        let piece = raw(&piece);
        let mut count = 0;
        while calls.add(&piece).is_ok() {
            count += 1;
        }
        assert_eq!(count, 8);
    }
}
