//! What stands in the place of text: a string, a number, a part, a list of parts.

use std::borrow::Cow;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// How deep parts may hold parts.
const DEPTH: u8 = 8;

/// Text, borrowed where it holds no escape.
///
/// A number is its own spelling: servers send tokens that look like numbers as numbers. Parts are joined. What else may
/// stand there counts as no text.
#[derive(Debug, Default)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        if json.starts_with('"') {
            return literal(json).map(Self).map_err(D::Error::custom);
        }
        Ok(Self(flat_text(json, DEPTH)))
    }
}

/// The content of a message, by kind.
#[derive(Debug, Default)]
pub(super) struct Content<'a> {
    pub(super) text: Cow<'a, str>,
    /// The text of parts that are reasoning (Mistral).
    pub(super) reasoning: Cow<'a, str>,
    /// The text of parts that refuse.
    pub(super) refusal: Cow<'a, str>,
    /// The kind of a part that is no text.
    pub(super) odd: Option<String>,
}

impl<'a> Content<'a> {
    /// Returns the text as it stands in the JSON, if there is nothing else.
    pub(super) fn plain_text(&self) -> Option<&'a str> {
        match self.text {
            Cow::Borrowed(text) if self.is_text_alone() => Some(text),
            _ => None,
        }
    }

    fn is_text_alone(&self) -> bool {
        self.reasoning.is_empty() && self.refusal.is_empty() && self.odd.is_none()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.is_text_alone()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        let mut content = Self::default();
        match json.as_bytes().first() {
            Some(b'"') => content.text = literal(json).map_err(D::Error::custom)?,
            Some(b'[') => {
                let parts: Vec<&RawValue> = serde_json::from_str(json).map_err(D::Error::custom)?;
                for part in parts {
                    content.add_part(part.get(), DEPTH);
                }
            }
            Some(b'{') => content.add_part(json, DEPTH),
            Some(b'n') | None => {}
            Some(_) => content.text = Cow::Borrowed(json),
        }
        Ok(content)
    }
}

/// The members of a part that may hold its text. Their names say of what kind it is.
#[derive(Debug, Default, Deserialize)]
struct Part<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    /// Gemini's mark for it, or the text itself.
    #[serde(borrow, default)]
    thought: Option<&'a RawValue>,
    #[serde(borrow, default)]
    summary: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    /// Gemini's list of them.
    #[serde(borrow, default)]
    parts: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    /// The text within a `text` that is an object.
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

impl<'a> Part<'a> {
    /// Returns what a part without a type and without a text of its own holds: other parts, or text of another name.
    fn inner(&self) -> Option<&'a RawValue> {
        let inner = || self.content.or(self.parts).or(self.value);
        self.kind.as_ref().map_or_else(inner, |_| None)
    }

    fn is_reasoning(&self, kind: &str) -> bool {
        ["think", "reason", "thought"]
            .iter()
            .any(|name| kind.contains(name))
            || self.thought.is_some_and(|mark| mark.get() == "true")
            || (self.text.is_none() && self.thinking.is_some())
    }

    /// Returns the text of the part, whatever its kind.
    fn text(&self, depth: u8) -> Cow<'a, str> {
        let members = [
            self.text,
            self.thinking,
            self.reasoning,
            self.thought,
            self.summary,
            self.content,
            self.parts,
            self.refusal,
            self.value,
        ];
        let mut texts = members
            .into_iter()
            .flatten()
            .map(|raw| flat_text(raw.get(), depth));
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    }
}

impl<'a> Content<'a> {
    /// Adds a part, and what it holds down to that depth.
    pub(super) fn add_part(&mut self, json: &'a str, depth: u8) {
        if !json.starts_with('{') {
            return append(&mut self.text, flat_text(json, 1));
        }
        let Ok(part) = serde_json::from_str::<Part<'_>>(json) else {
            self.odd = Some("a part that cannot be read".to_owned());
            return;
        };
        let kind = part.kind.as_ref().map_or("", |kind| &kind.0).to_ascii_lowercase();
        if part.is_reasoning(&kind) {
            append(&mut self.reasoning, part.text(DEPTH));
        } else if kind.contains("refusal") || (part.text.is_none() && part.refusal.is_some()) {
            append(&mut self.refusal, part.text(DEPTH));
        } else if part.text.is_some() || kind.contains("text") {
            append(&mut self.text, part.text(DEPTH));
        } else if let (Some(inner), true) = (part.inner(), depth > 0) {
            match serde_json::from_str::<Vec<&RawValue>>(inner.get()) {
                Ok(parts) => parts
                    .into_iter()
                    .for_each(|part| self.add_part(part.get(), depth - 1)),
                Err(_) => self.add_part(inner.get(), depth - 1),
            }
        } else if !is_annotation(&kind) && json.len() > 2 {
            self.odd = Some(if kind.is_empty() {
                "a part without a type".to_owned()
            } else {
                kind
            });
        }
    }
}

/// True for parts that belong to the text and are none: Mistral's references, citations.
fn is_annotation(kind: &str) -> bool {
    ["reference", "citation", "annotation"]
        .iter()
        .any(|name| kind.contains(name))
}

fn append<'a>(to: &mut Cow<'a, str>, text: Cow<'a, str>) {
    if to.is_empty() {
        *to = text;
    } else if !text.is_empty() {
        to.to_mut().push_str(&text);
    }
}

/// Returns the text of any JSON in the place of text.
fn flat_text(json: &str, depth: u8) -> Cow<'_, str> {
    match json.as_bytes().first() {
        Some(b'"') => literal(json).unwrap_or_default(),
        Some(b'-' | b'0'..=b'9') => Cow::Borrowed(json),
        Some(b'[') if depth > 0 => {
            let parts: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            let mut text = Cow::default();
            for part in parts {
                append(&mut text, flat_text(part.get(), depth - 1));
            }
            text
        }
        Some(b'{') if depth > 0 => {
            let part: Part<'_> = serde_json::from_str(json).unwrap_or_default();
            part.text(depth - 1)
        }
        _ => Cow::default(),
    }
}

/// Reads a JSON text, borrowed where it holds no escape.
pub(super) fn literal(json: &str) -> serde_json::Result<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Literal<'a>(#[serde(borrow)] Cow<'a, str>);

    serde_json::from_str(json).map(|literal: Literal<'_>| literal.0)
}

#[cfg(test)]
mod tests {
    use super::Content;

    #[test]
    fn text_is_text_whatever_its_json_is() {
        for (json, text, reasoning, refusal, odd) in [
            (r#""a\nb""#, "a\nb", "", "", None),
            ("5", "5", "", "", None),
            ("1.50", "1.50", "", "", None),
            ("-1e3", "-1e3", "", "", None),
            ("true", "true", "", "", None),
            ("false", "false", "", "", None),
            ("null", "", "", "", None),
            ("[]", "", "", "", None),
            ("{}", "", "", "", None),
            (r#"{"type":"text","text":"lone"}"#, "lone", "", "", None),
            (
                r#"["a",5,null,{"text":"b"},{"type":"output_text","text":6}]"#,
                "a5b6",
                "",
                "",
                None,
            ),
            (
                r#"[{"type":"thinking","thinking":[{"type":"text","text":"why"}]},{"type":"text","text":"so"}]"#,
                "so",
                "why",
                "",
                None,
            ),
            (
                r#"[{"type":"reasoning","text":"hm"},{"thinking":"m"}]"#,
                "",
                "hmm",
                "",
                None,
            ),
            (
                r#"[{"text":"hm","thought":true},{"type":"thought","thought":"m"},{"text":"so","thought":false}]"#,
                "so",
                "hmm",
                "",
                None,
            ),
            (r#"[{"type":"refusal","refusal":"no"}]"#, "", "", "no", None),
            (
                r#"[{"type":"reference","reference_ids":[1]},{"type":"text","text":"x"}]"#,
                "x",
                "",
                "",
                None,
            ),
            (
                r#"[{"type":"image_url","image_url":{"url":"u"}}]"#,
                "",
                "",
                "",
                Some("image_url"),
            ),
            (r#"{"odd":1}"#, "", "", "", Some("a part without a type")),
            (r#"{"value":"v"}"#, "v", "", "", None),
            (r#"{"content":"v"}"#, "v", "", "", None),
            (
                r#"{"parts":[{"text":"a"},{"text":""},{"text":"b"}]}"#,
                "ab",
                "",
                "",
                None,
            ),
            (
                r#"{"parts":[{"text":"a"},{"inlineData":{"data":"AA"}}]}"#,
                "a",
                "",
                "",
                Some("a part without a type"),
            ),
        ] {
            let content: Content<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(
                (
                    &*content.text,
                    &*content.reasoning,
                    &*content.refusal,
                    content.odd.as_deref()
                ),
                (text, reasoning, refusal, odd),
                "{json}"
            );
        }
    }

    #[test]
    fn parts_within_parts_without_end_are_no_text_and_no_crash() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        let content: Content<'_> = serde_json::from_str(&deep).unwrap();
        assert!(content.text.is_empty());
        let deep = format!("{}1{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let _ = serde_json::from_str::<Content<'_>>(&deep);
    }
}
