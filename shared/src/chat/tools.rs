//! Tool calls, which models make though none was offered.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A call that the model wants made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ToolCall {
    /// The server's name for the call.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments: JSON as text, as the model wrote it.
    pub arguments: String,
}

/// Adds the pieces of `raw`, the `tool_calls` of one chunk, to the calls so far.
///
/// A piece names its call by `index`; one without continues the last call, unless it brings an `id` of its own.
pub(super) fn add(calls: &mut Vec<ToolCall>, raw: &RawValue) {
    let Ok(Value::Array(pieces)) = serde_json::from_str(raw.get()) else {
        return;
    };
    for piece in &pieces {
        let id = text(&piece["id"]);
        let index = piece["index"]
            .as_u64()
            .and_then(|index| usize::try_from(index).ok());
        let place = match index {
            Some(index) => index,
            None if id.is_empty() => calls.len().saturating_sub(1),
            None => calls.iter().position(|call| call.id == id).unwrap_or(calls.len()),
        };
        add_function(calls, place, id, &piece["function"]);
    }
}

/// Adds the older form, `function_call`, of which there is one.
pub(super) fn add_single(calls: &mut Vec<ToolCall>, raw: &RawValue) {
    if let Ok(function) = serde_json::from_str::<Value>(raw.get())
        && function.is_object()
    {
        add_function(calls, 0, "", &function);
    }
}

/// The most calls that one answer may hold: an index is outside input, and must not make us reserve memory.
const MOST: usize = 128;

fn add_function(calls: &mut Vec<ToolCall>, place: usize, id: &str, function: &Value) {
    if place >= MOST {
        return;
    }
    if calls.len() <= place {
        calls.resize(place + 1, ToolCall::default());
    }
    let call = &mut calls[place];
    if call.id.is_empty() {
        id.clone_into(&mut call.id);
    }
    call.name.push_str(text(&function["name"]));
    match &function["arguments"] {
        Value::String(part) => call.arguments.push_str(part),
        Value::Null => {}
        whole => call.arguments.push_str(&whole.to_string()),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{ToolCall, add};
    use serde_json::value::RawValue;

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
                vec![r#"[{"index":99999999999,"id":"a"}]"#, "null", "3", r#"[null]"#],
                vec![("", "", "")],
            ),
        ] {
            let mut calls = Vec::new();
            for piece in pieces {
                add(&mut calls, &RawValue::from_string(piece.to_owned()).unwrap());
            }
            let expected: Vec<ToolCall> = expected
                .into_iter()
                .map(|(id, name, arguments)| ToolCall {
                    id: id.into(),
                    name: name.into(),
                    arguments: arguments.into(),
                })
                .collect();
            assert_eq!(calls, expected);
        }
    }
}
