//! One JSON object of an answer: a chunk of a stream, or the whole answer of a server that does not stream.
//!
//! The types borrow from the event and skip what they do not need, because a long answer has tens of thousands of them.
//! They take whatever servers really send: `null` and missing members anywhere, content as a string or as parts.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::text::Text;

/// A chunk.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) choices: Option<First<'a>>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

impl Chunk<'_> {
    /// Returns the error that the chunk reports, for all of the answer or for its choice (OpenRouter).
    pub(super) fn error(&self) -> Option<&RawValue> {
        let of_choice = || self.choices.as_ref()?.0.as_ref()?.error;
        self.error.or_else(of_choice)
    }

    /// True for an object that holds neither an answer nor a count: if it says anything, it is an error.
    pub(super) const fn is_bare(&self) -> bool {
        self.choices.is_none() && self.usage.is_none()
    }

    /// Returns the text of a chunk that brings nothing else, and whether it is reasoning. Its `id` and `model` count as
    /// nothing: they are those of the chunks before.
    pub(super) fn only_text(&self) -> Option<(&str, bool)> {
        let choice = self.choices.as_ref()?.0.as_ref()?;
        let piece = choice.piece()?;
        let ends = choice
            .finish_reason
            .as_ref()
            .is_some_and(|word| !word.0.is_empty());
        let calls = piece.tool_calls.is_some() || piece.function_call.is_some();
        if self.usage.is_some() || self.error().is_some() || ends || calls {
            return None;
        }
        match (piece.thought(), piece.text()) {
            ("", text) => Some((text, false)),
            (thought, "") => Some((thought, true)),
            _ => None,
        }
    }
}

/// The first choice of a chunk, by its index; the others are read over.
#[derive(Debug, Default)]
pub(super) struct First<'a>(pub(super) Option<Choice<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for First<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choices;
        impl<'de> Visitor<'de> for Choices {
            type Value = First<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of choices")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<First<'de>, A::Error> {
                let mut first = None;
                let mut place = 0;
                while let Some(choice) = list.next_element::<Option<Choice<'de>>>()? {
                    let index = choice.as_ref().and_then(|choice| choice.index).unwrap_or(place);
                    if index == 0 && first.is_none() {
                        first = choice;
                    }
                    place += 1;
                }
                Ok(First(first))
            }
        }
        deserializer.deserialize_seq(Choices)
    }
}

/// One choice: `delta` in a stream, `message` in a whole answer.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Piece<'a>>,
    #[serde(borrow, default)]
    message: Option<Piece<'a>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

impl<'a> Choice<'a> {
    /// Returns what the choice adds to the answer.
    pub(super) fn piece(&self) -> Option<&Piece<'a>> {
        self.delta.as_ref().or(self.message.as_ref())
    }
}

/// A piece of an answer.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Piece<'a> {
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

impl Piece<'_> {
    /// Returns the text: the content, or the words with which the model refuses.
    pub(super) fn text(&self) -> &str {
        first_of(self.content.as_ref(), self.refusal.as_ref())
    }

    /// Returns the reasoning. Servers that send both members send the same text in both.
    pub(super) fn thought(&self) -> &str {
        first_of(self.reasoning_content.as_ref(), self.reasoning.as_ref())
    }
}

fn first_of<'t>(one: Option<&'t Text<'_>>, other: Option<&'t Text<'_>>) -> &'t str {
    match one {
        Some(text) if !text.0.is_empty() => &text.0,
        _ => other.map_or("", |text| &text.0),
    }
}

#[cfg(test)]
mod tests {
    use super::Chunk;

    #[test]
    fn chunks_of_every_make_are_read() {
        for (json, text, thought) in [
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
            let choice = chunk.choices.and_then(|first| first.0);
            let piece = choice.as_ref().and_then(|choice| choice.piece());
            assert_eq!(piece.map_or("", |piece| piece.text()), text, "{json}");
            assert_eq!(piece.map_or("", |piece| piece.thought()), thought, "{json}");
        }
    }
}
