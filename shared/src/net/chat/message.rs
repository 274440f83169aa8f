//! A message, or in a stream a part of one, in any server's members.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::content::{Content, Text};
use super::finish_reason::Reason;

/// The members that hold reasoning, the first that is not empty counts: servers that send several send the same text in
/// all. Besides OpenAI-like ones: GitHub Copilot's, Ollama's, OpenRouter's and MiniMax's, LiteLLM's.
const REASONING: [&str; 6] = [
    "reasoning_content",
    "reasoning",
    "reasoning_text",
    "thinking",
    "reasoning_details",
    "thinking_blocks",
];

/// What the name of a member says about what it holds, where that is no text.
const NO_TEXT: [&str; 6] = ["image", "audio", "video", "file", "media", "attachment"];

/// A message, or in a stream a part of one.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    content: Content<'a>,
    /// Text that stands under that name.
    text: Content<'a>,
    /// What was said, in a message of sound.
    transcript: Option<Text<'a>>,
    reasoning: [Option<Text<'a>>; REASONING.len()],
    refusal: Option<Text<'a>>,
    /// Why the model stopped, where that stands in the message.
    pub(super) finish_reason: Option<Reason<'a>>,
    pub(super) tool_calls: Option<&'a RawValue>,
    /// The older form of one tool call.
    pub(super) function_call: Option<&'a RawValue>,
    /// The server's word that it failed.
    pub(super) error: Option<&'a RawValue>,
    beside: Option<&'static str>,
    /// A tool call in members of the message's own (Snowflake), which are not put together.
    calls_tool: bool,
}

impl<'a> Message<'a> {
    /// Returns the text.
    pub(super) fn text(&self) -> &str {
        let transcript = self.transcript.as_ref().map_or("", |text| &text.0);
        let places = [&*self.content.text, &*self.text.text, transcript];
        places
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    }

    /// Returns the words with which the model refuses.
    pub(super) fn refusal(&self) -> &str {
        let own = self.refusal.as_ref().map(|text| &*text.0);
        own.filter(|text| !text.is_empty())
            .unwrap_or(&self.content.refusal)
    }

    /// Returns the reasoning.
    pub(super) fn reasoning(&self) -> &str {
        let mut texts = self.reasoning.iter().flatten().map(|text| &*text.0);
        texts
            .find(|text| !text.is_empty())
            .unwrap_or(&self.content.reasoning)
    }

    /// Returns the kind of what stands in the place of the text and is none.
    pub(super) fn odd(&self) -> Option<&str> {
        let of_text = self.content.odd.as_deref().or(self.text.odd.as_deref());
        of_text.or(self.calls_tool.then_some("tool_use"))
    }

    /// Returns the kind of what stands beside the text and is none.
    pub(super) const fn beside(&self) -> Option<&'static str> {
        self.beside
    }

    /// Returns the content as it stands in the JSON, if the message brings nothing else.
    pub(super) fn plain_text(&self) -> Option<&'a str> {
        let has_more = !self.text.is_empty()
            || self.transcript.is_some()
            || self.finish_reason.is_some()
            || self.error.is_some()
            || self.beside.is_some()
            || self.calls_tool
            || self.has_tool_calls()
            || !self.reasoning().is_empty()
            || !self.refusal().is_empty();
        self.content
            .plain_text()
            .filter(|text| !has_more && !text.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text().is_empty()
            && self.odd().is_none()
            && self.beside.is_none()
            && self.reasoning().is_empty()
            && self.refusal().is_empty()
            && !self.has_tool_calls()
    }

    /// True when it brings a part of a tool call.
    pub(super) fn has_tool_calls(&self) -> bool {
        let mut calls = [self.tool_calls, self.function_call].into_iter().flatten();
        calls.any(|raw| !is_void(raw.get()))
    }

    fn take_member<'de: 'a, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        if let Some(place) = REASONING.iter().position(|known| *known == name) {
            self.reasoning[place] = map.next_value()?;
            return Ok(());
        }
        match name {
            "content" => self.content = map.next_value()?,
            "text" => self.text = map.next_value()?,
            "error" => self.error = map.next_value()?,
            "refusal" => self.refusal = map.next_value()?,
            "finish_reason" | "stop_reason" => {
                let reason: Option<Reason<'a>> = map.next_value()?;
                self.finish_reason = self.finish_reason.take().or(reason);
            }
            "tool_calls" => self.tool_calls = map.next_value()?,
            "function_call" => self.function_call = map.next_value()?,
            "tool_use" | "tool_use_id" => {
                let value: &RawValue = map.next_value()?;
                self.calls_tool |= !is_void(value.get());
            }
            name => match NO_TEXT.iter().find(|kind| name.contains(*kind)) {
                Some(kind) => {
                    let value: &RawValue = map.next_value()?;
                    self.take_no_text(kind, value.get());
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            },
        }
        Ok(())
    }

    /// Takes a member that holds no text, except perhaps for the words that were said.
    fn take_no_text(&mut self, kind: &'static str, json: &'a str) {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Sound<'a> {
            #[serde(borrow)]
            transcript: Option<Text<'a>>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }

        let sound: Sound<'_> = match json.starts_with('{') {
            true => serde_json::from_str(json).unwrap_or_default(),
            false => Sound::default(),
        };
        let has_sound = sound.data.is_some_and(|data| !is_void(data.get()));
        // The first piece of a message of sound has a name and nothing more.
        let is_text = kind == "audio" && json.starts_with('{') && !has_sound;
        if !is_void(json) && !is_text {
            self.beside = Some(kind);
        }
        self.transcript = sound.transcript.or(self.transcript.take());
    }
}

/// True for JSON that says nothing.
fn is_void(json: &str) -> bool {
    matches!(json, "null" | "[]" | "{}" | "false" | "\"\"")
}

impl<'de: 'a, 'a> Deserialize<'de> for Message<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MessageVisitor)
    }
}

/// Reads a message: an object, or what stands in its place as text.
struct MessageVisitor;

/// Text is a message of that text; anything else that is no object is an empty one.
macro_rules! read_as_text {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, value: $type) -> Result<Self::Value, E> {
            Ok(of_text(value.to_string().into()))
        })*
    };
}

fn of_text(text: Cow<'_, str>) -> Message<'_> {
    Message {
        content: Content {
            text,
            ..Content::default()
        },
        ..Message::default()
    }
}

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = Message<'de>;

    read_as_text!(visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(of_text(text.into()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Message::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Message::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let mut content = Content::default();
        while let Some(part) = parts.next_element::<&'de RawValue>()? {
            content.add_part(part.get(), 1);
        }
        Ok(Message {
            content,
            ..Message::default()
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut message = Message::default();
        while let Some(Name(name)) = map.next_key()? {
            message.take_member(&name, &mut map)?;
        }
        Ok(message)
    }
}

/// A member's name, borrowed where it holds no escape.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
