//! One chunk of a chat completion, read without copying where JSON allows it.

use std::borrow::Cow;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::content::{Content, Text};

/// A chunk, or the whole answer of a server that does not stream.
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
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    /// Groq's own members.
    #[serde(borrow, default)]
    x_groq: Option<Groq<'a>>,
    /// MiniMax's verdict, which stands beside a good answer too.
    #[serde(borrow, default)]
    base_resp: Option<&'a RawValue>,
    /// MiniMax's word that its filter cut the answer.
    #[serde(borrow, default)]
    output_sensitive: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object")]
struct Groq<'a> {
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

impl<'a> Chunk<'a> {
    /// Parses a chunk. What stands in another form than usual is put straight first.
    ///
    /// # Errors
    /// Those of the parser, for what is no JSON or no chunk.
    pub(super) fn parse(json: &'a str, straightened: &'a mut String) -> serde_json::Result<Self> {
        let error = match serde_json::from_str(json) {
            Ok(chunk) => return Ok(chunk),
            Err(error) => error,
        };
        if !error.is_data() {
            return Err(error);
        }
        let mut value: Value = serde_json::from_str(json)?;
        straighten(&mut value);
        *straightened = value.to_string();
        serde_json::from_str(straightened)
    }

    /// Returns the choices that there are, each with its index: the one that it has, or `None`.
    pub(super) fn choices(&self) -> impl Iterator<Item = &Choice<'a>> {
        self.choices.iter().flatten().flatten()
    }

    /// Returns the error that the chunk reports, for all of the answer or for a choice (OpenRouter).
    ///
    /// A member that says nothing (`""`, `{}`, `false`, a code of 0) is no error.
    pub(super) fn error(&self) -> Option<Value> {
        let groq = self.x_groq.as_ref().and_then(|groq| groq.error);
        let of_choices = self.choices().filter_map(|choice| choice.error);
        let members = self.error.into_iter().chain(groq).chain(of_choices);
        let named = members.filter_map(parse).find(says_error);
        named.or_else(|| {
            let verdict = parse(self.base_resp?)?;
            let error = || json!({ "code": verdict["status_code"], "message": verdict["status_msg"] });
            says_error(&verdict).then(error)
        })
    }

    /// True when the provider's filter cut the answer, whatever its finish reason.
    pub(super) fn is_filtered(&self) -> bool {
        self.output_sensitive.is_some_and(|raw| raw.get() == "true")
    }

    /// Returns the count of tokens, wherever it stands.
    pub(super) fn usage(&self) -> Option<&'a RawValue> {
        let groq = self.x_groq.as_ref().and_then(|groq| groq.usage);
        let of_choices = self.choices().filter_map(|choice| choice.usage);
        let mut places = self.usage.into_iter().chain(groq).chain(of_choices);
        places.find(|usage| usage.get().starts_with('{'))
    }
}

fn parse(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

/// True when the value of an `error` member says that there is an error.
pub(super) fn says_error(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(words) => !is_good_word(words),
        Value::Array(list) => list.iter().any(says_error),
        Value::Object(members) => {
            let code = ["code", "status_code", "error_code"]
                .iter()
                .find_map(|name| members.get(*name));
            match code {
                Some(code) if is_good_code(code) => false,
                _ => members.values().any(says_error),
            }
        }
    }
}

fn is_good_code(code: &Value) -> bool {
    match code {
        Value::Number(number) => matches!(number.as_i64(), Some(0 | 200)),
        Value::String(word) => !word.is_empty() && is_good_word(word),
        _ => false,
    }
}

fn is_good_word(word: &str) -> bool {
    let word = word.trim();
    ["", "0", "200", "ok", "success", "none", "null"]
        .iter()
        .any(|good| word.eq_ignore_ascii_case(good))
}

/// Puts the members of a chunk that stand in another form than the API's into the API's form: a lone choice in the place
/// of the list, an index as text, text in the place of a message.
fn straighten(chunk: &mut Value) {
    let Value::Object(members) = chunk else { return };
    if let Some(groq) = members.get("x_groq")
        && !groq.is_object()
    {
        members.remove("x_groq");
    }
    let Some(choices) = members.get_mut("choices") else {
        return;
    };
    let list = match choices.take() {
        Value::Array(list) => list,
        choice @ (Value::Object(_) | Value::String(_)) => vec![choice],
        _ => Vec::new(),
    };
    *choices = list.into_iter().map(straighten_choice).collect();
}

fn straighten_choice(choice: Value) -> Value {
    let mut members = match choice {
        Value::Object(members) => members,
        Value::String(text) => return json!({ "text": text }),
        _ => return Value::Null,
    };
    if let Some(index) = members.get_mut("index") {
        let number = match &*index {
            Value::Number(number) => number.as_f64(),
            Value::String(digits) => digits.trim().parse().ok(),
            _ => None,
        };
        *index = number.map_or(Value::Null, |number: f64| Value::from(number as u64));
    }
    for name in ["delta", "message"] {
        if let Some(message) = members.get_mut(name)
            && !message.is_object()
        {
            *message = match message.take() {
                content @ (Value::Array(_) | Value::String(_) | Value::Number(_)) => {
                    json!({ "content": content })
                }
                _ => Value::Null,
            };
        }
    }
    Value::Object(members)
}

/// One choice: `delta` in a stream, `message` in a whole answer, `text` from an older endpoint.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Message<'a>>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(borrow, default)]
    text: Content<'a>,
    #[serde(borrow, default)]
    finish_reason: Option<Reason<'a>>,
    /// An older form of the finish reason.
    #[serde(borrow, default)]
    finish_details: Option<Reason<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

/// The server's word for why the model stopped: text, or the `type` of an object (SGLang).
#[derive(Debug)]
struct Reason<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Reason<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        if !json.starts_with('{') {
            return serde_json::from_str(json)
                .map(|Text(word)| Self(word))
                .map_err(D::Error::custom);
        }
        let mut reason: Value = serde_json::from_str(json).map_err(D::Error::custom)?;
        Ok(Self(match reason.get_mut("type").map(Value::take) {
            Some(Value::String(word)) => word.into(),
            Some(Value::Null) => Cow::default(),
            // Whatever it says, it is a reason that nobody knows.
            _ => json.into(),
        }))
    }
}

impl<'a> Choice<'a> {
    /// Returns what the choice says, and whether it says it as a whole message.
    pub(super) fn message(&self) -> Option<(&Message<'a>, bool)> {
        let delta = self.delta.as_ref();
        match (delta, self.message.as_ref()) {
            (Some(delta), message) if message.is_none() || !delta.is_empty() => Some((delta, false)),
            (_, message) => message.map(|message| (message, true)),
        }
    }

    /// Returns the text of an older endpoint's choice.
    pub(super) const fn text(&self) -> &Content<'a> {
        &self.text
    }

    /// True for a choice of a whole answer, not of a stream.
    pub(super) const fn is_whole(&self) -> bool {
        self.delta.is_none()
    }

    /// True when it brings a part of the answer.
    pub(super) fn says_something(&self) -> bool {
        !self.text.is_empty() || self.message().is_some_and(|(message, _)| !message.is_empty())
    }

    /// Returns the server's word for why the model stopped; an empty one while it goes on.
    pub(super) fn finish_reason(&self) -> &str {
        [&self.finish_reason, &self.finish_details]
            .into_iter()
            .flatten()
            .map(|word| &*word.0)
            .find(|word| !word.is_empty())
            .unwrap_or_default()
    }
}

/// A message, or in a stream a part of one.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    content: Content<'a>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Text<'a>>,
    /// GitHub Copilot's name of it.
    #[serde(borrow, default)]
    reasoning_text: Option<Text<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Text<'a>>,
    /// OpenRouter's and MiniMax's list of it.
    #[serde(borrow, default)]
    reasoning_details: Option<Text<'a>>,
    #[serde(borrow, default)]
    thinking_blocks: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<&'a RawValue>,
    /// The older form of one tool call.
    #[serde(borrow, default)]
    pub(super) function_call: Option<&'a RawValue>,
}

impl<'a> Message<'a> {
    pub(super) const fn content(&self) -> &Content<'a> {
        &self.content
    }

    /// Returns the words with which the model refuses.
    pub(super) fn refusal(&self) -> &str {
        self.refusal
            .as_ref()
            .map_or(&*self.content.refusal, |text| &text.0)
    }

    /// Returns the reasoning. Servers that send several of its members send the same text in all.
    pub(super) fn reasoning(&self) -> &str {
        let members = [
            &self.reasoning_content,
            &self.reasoning,
            &self.reasoning_text,
            &self.thinking,
            &self.reasoning_details,
            &self.thinking_blocks,
        ];
        let mut texts = members.into_iter().flatten().map(|text| &*text.0);
        texts
            .find(|text| !text.is_empty())
            .unwrap_or(&self.content.reasoning)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.content.is_empty()
            && self.reasoning().is_empty()
            && self.refusal().is_empty()
            && !self.has_tool_calls()
    }

    /// True when it brings a part of a tool call.
    pub(super) fn has_tool_calls(&self) -> bool {
        let is_empty = |raw: &RawValue| matches!(raw.get(), "null" | "[]" | "{}" | "false" | "\"\"");
        [self.tool_calls, self.function_call]
            .into_iter()
            .flatten()
            .any(|raw| !is_empty(raw))
    }
}
