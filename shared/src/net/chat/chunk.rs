//! One chunk of a chat completion, read without copying where JSON allows it.

use std::borrow::Cow;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A chunk.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<Option<Choice<'a>>>>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

impl<'a> Chunk<'a> {
    /// Returns the first choice, by its index.
    pub(super) fn choice(&self) -> Option<&Choice<'a>> {
        let choices = self.choices.iter().flatten().zip(0..);
        choices
            .filter_map(|(choice, place)| Some((choice.as_ref()?, place)))
            .find_map(|(choice, place)| (choice.index.unwrap_or(place) == 0).then_some(choice))
    }

    /// Returns the error that the chunk reports, for all of the answer or for its choice (OpenRouter).
    pub(super) fn error(&self) -> Option<&RawValue> {
        self.error.or_else(|| self.choice()?.error)
    }

    /// True for an object with neither an answer nor a token count: anything else in it is an error.
    pub(super) const fn is_bare(&self) -> bool {
        self.choices.is_none() && self.usage.is_none()
    }
}

/// One choice: `delta` in a stream, `message` in a whole answer.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Message<'a>>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

impl<'a> Choice<'a> {
    pub(super) fn message(&self) -> Option<&Message<'a>> {
        self.delta.as_ref().or(self.message.as_ref())
    }
}

/// A message, or in a stream a part of one.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<&'a RawValue>,
    /// The older form of one tool call.
    #[serde(borrow, default)]
    pub(super) function_call: Option<&'a RawValue>,
}

impl Message<'_> {
    /// Returns the content, or else the refusal.
    pub(super) fn content(&self) -> &str {
        first_of(self.content.as_ref(), self.refusal.as_ref())
    }

    /// Returns the reasoning. Servers that send both members send the same text in both.
    pub(super) fn reasoning(&self) -> &str {
        first_of(self.reasoning_content.as_ref(), self.reasoning.as_ref())
    }
}

fn first_of<'t>(one: Option<&'t Text<'_>>, other: Option<&'t Text<'_>>) -> &'t str {
    match one {
        Some(text) if !text.0.is_empty() => &text.0,
        _ => other.map_or("", |text| &text.0),
    }
}

/// Text, borrowed where it holds no escape. A list of parts is joined; anything else counts as no text.
#[derive(Debug, Default)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Literal<'a>(#[serde(borrow)] Cow<'a, str>);

        #[derive(Deserialize)]
        struct TextPart<'a> {
            #[serde(borrow, default)]
            text: Option<Text<'a>>,
        }

        let json = <&RawValue>::deserialize(deserializer)?.get();
        let text = match json.as_bytes().first() {
            Some(b'"') => serde_json::from_str(json).map(|literal: Literal<'a>| literal.0),
            Some(b'[') => serde_json::from_str(json).map(|parts: Vec<Option<TextPart<'_>>>| {
                let texts = parts.into_iter().flatten().filter_map(|part| part.text);
                Cow::Owned(texts.map(|text| text.0).collect())
            }),
            _ => Ok(Cow::default()),
        };
        text.map(Self).map_err(D::Error::custom)
    }
}

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

/// Adds the `tool_calls` of one chunk to the calls so far.
///
/// A delta names its call by `index`; one without continues the last call, unless it has another `id`.
pub(super) fn add_tool_calls(calls: &mut Vec<ToolCall>, raw: &RawValue) {
    let Ok(Value::Array(deltas)) = serde_json::from_str(raw.get()) else {
        return;
    };
    for delta in &deltas {
        let id = text(&delta["id"]);
        let index = delta["index"]
            .as_u64()
            .and_then(|index| usize::try_from(index).ok());
        let place = match index {
            Some(index) => index,
            None if id.is_empty() => calls.len().saturating_sub(1),
            None => calls.iter().position(|call| call.id == id).unwrap_or(calls.len()),
        };
        add_function(calls, place, id, &delta["function"]);
    }
}

/// Adds the older form, `function_call`, of which there is one.
pub(super) fn add_function_call(calls: &mut Vec<ToolCall>, raw: &RawValue) {
    if let Ok(function) = serde_json::from_str::<Value>(raw.get())
        && function.is_object()
    {
        add_function(calls, 0, "", &function);
    }
}

/// The most calls that one answer may hold: an index is outside input, and must not make us reserve memory.
const MAX_TOOL_CALLS: usize = 128;

fn add_function(calls: &mut Vec<ToolCall>, place: usize, id: &str, function: &Value) {
    if place >= MAX_TOOL_CALLS {
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
    use super::Chunk;

    #[test]
    fn chunks_of_every_make_are_read() {
        for (json, text, reasoning) in [
            (r#"{"choices":[{"delta":{"content":"a"}}]}"#, "a", ""),
            (
                r#"{"choices":[{"index":0,"delta":{"content":"a\nb"}}],"usage":null}"#,
                "a\nb",
                "",
            ),
            (
                r#"{"choices":[{"delta":{"content":null,"reasoning_content":"t"}}]}"#,
                "",
                "t",
            ),
            (
                r#"{"choices":[{"delta":{"reasoning":"t","reasoning_content":"t"}}]}"#,
                "",
                "t",
            ),
            (
                r#"{"choices":[{"delta":{"reasoning":"t","reasoning_content":null}}]}"#,
                "",
                "t",
            ),
            (
                r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},null,{"x":1},{"text":"b"}]}}]}"#,
                "ab",
                "",
            ),
            (
                r#"{"choices":[{"message":{"role":"assistant","content":"whole"},"delta":null}]}"#,
                "whole",
                "",
            ),
            (
                r#"{"choices":[{"index":1,"delta":{"content":"no"}},{"index":0,"delta":{"content":"yes"}}]}"#,
                "yes",
                "",
            ),
            (r#"{"choices":[{"index":1,"delta":{"content":"no"}}]}"#, "", ""),
            (r#"{"choices":[null,{"delta":{"content":"no"}}]}"#, "", ""),
            (
                r#"{"choices":[{"delta":{"content":null,"refusal":"cannot"}}]}"#,
                "cannot",
                "",
            ),
            (
                r#"{"choices":[{"delta":{"content":{"odd":1}},"logprobs":{"content":[]}}],"id":5}"#,
                "",
                "",
            ),
            (r#"{"choices":null}"#, "", ""),
            (r"{}", "", ""),
        ] {
            let chunk: Chunk<'_> = serde_json::from_str(json).unwrap();
            let message = chunk.choice().and_then(|choice| choice.message());
            assert_eq!(message.map_or("", |message| message.content()), text, "{json}");
            assert_eq!(
                message.map_or("", |message| message.reasoning()),
                reasoning,
                "{json}"
            );
        }
    }
}

#[cfg(test)]
mod tools_tests {
    use super::ToolCall;
    use super::add_tool_calls;
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
                add_tool_calls(&mut calls, &RawValue::from_string(piece.to_owned()).unwrap());
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
