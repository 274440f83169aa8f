//! One chunk of a chat completion, read without copying where JSON allows it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::content::Content;
use super::finish_reason::Reason;
use super::message::Message;

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
    /// The finish reason of a server that does not put it into the choice.
    #[serde(borrow, default)]
    finish_reason: Option<Reason<'a>>,
    #[serde(borrow, default)]
    stop_reason: Option<Reason<'a>>,
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
    /// Ollama's own form, which has one choice and no list of them.
    #[serde(borrow, default)]
    done: Option<&'a RawValue>,
    #[serde(borrow, default)]
    done_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt_eval_count: Option<&'a RawValue>,
    #[serde(borrow, default)]
    eval_count: Option<&'a RawValue>,
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
            Ok(chunk) => return Ok(Self::with_ollamas_choice(chunk).with_choices_ended()),
            Err(error) => error,
        };
        if !error.is_data() {
            return Err(error);
        }
        let mut value: Value = serde_json::from_str(json)?;
        straighten(&mut value);
        *straightened = value.to_string();
        serde_json::from_str(straightened)
            .map(Self::with_ollamas_choice)
            .map(Self::with_choices_ended)
    }

    /// Gives the finish reason that stands beside the choices to those that have none.
    fn with_choices_ended(mut self) -> Self {
        let word = self.finish_reason().to_owned();
        if !word.is_empty() {
            let open = self.choices.iter_mut().flatten().flatten();
            for choice in open.filter(|choice| choice.finish_reason().is_empty()) {
                choice.finish_reason = Some(Reason(word.clone().into()));
            }
        }
        self
    }

    /// Returns the server's word for why the model stopped, where it stands beside the choices; else an empty one.
    pub(super) fn finish_reason(&self) -> &str {
        let words = [&self.finish_reason, &self.stop_reason].into_iter().flatten();
        words
            .map(|word| &*word.0)
            .find(|word| !word.is_empty())
            .unwrap_or_default()
    }

    /// Adds the choice of Ollama's own form (`/api/chat`, `/api/generate`), where the end is `"done": true`.
    fn with_ollamas_choice(mut self) -> Self {
        let is_done = |done: &RawValue| done.get() == "true";
        let (None, Some(done)) = (&self.choices, self.done) else {
            return self;
        };
        let reason = match self.done_reason.map(RawValue::get) {
            Some(reason) if reason != "null" => serde_json::from_str(reason).ok(),
            _ => is_done(done).then(|| Reason("stop".into())),
        };
        let read = |raw: Option<&'a RawValue>| raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
        self.choices = Some(vec![Some(Choice {
            index: Some(0),
            delta: read(self.message).or_else(|| Some(Box::default())),
            text: self
                .response
                .and_then(|raw| serde_json::from_str(raw.get()).ok())
                .unwrap_or_default(),
            finish_reason: reason,
            ..Choice::default()
        })]);
        self
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
        let of_choices = self.choices().flat_map(Choice::errors);
        let members = self.error.into_iter().chain(groq).chain(of_choices);
        let named = members.filter_map(parse).find(says_error);
        named.or_else(|| {
            let verdict = parse(self.base_resp?)?;
            let error = || json!({ "code": verdict["status_code"], "message": verdict["status_msg"] });
            says_error(&verdict).then(error)
        })
    }

    /// Returns the text of the one choice as it stands in the JSON, if the chunk brings nothing else.
    pub(super) fn plain_text(&self) -> Option<&'a str> {
        let has_more = [
            self.usage,
            self.error,
            self.base_resp,
            self.output_sensitive,
            self.done,
        ];
        let is_alone =
            has_more.iter().all(Option::is_none) && self.x_groq.is_none() && self.finish_reason().is_empty();
        match self.choices.as_deref() {
            Some([Some(choice)]) if is_alone => choice.plain_text(),
            _ => None,
        }
    }

    /// True when the provider's filter cut the answer, whatever its finish reason.
    pub(super) fn is_filtered(&self) -> bool {
        self.output_sensitive.is_some_and(|raw| raw.get() == "true")
    }

    /// Returns the count of tokens, wherever it stands.
    pub(super) fn usage(&self) -> Option<Cow<'a, str>> {
        let groq = self.x_groq.as_ref().and_then(|groq| groq.usage);
        let of_choices = self.choices().filter_map(|choice| choice.usage);
        let places = self.usage.into_iter().chain(groq).chain(of_choices);
        let mut places = places.map(RawValue::get);
        let usage = places.find(|usage| usage.starts_with('{')).map(Cow::Borrowed);
        usage.or_else(|| {
            let count = |raw: Option<&'a RawValue>| raw.map(RawValue::get).filter(|count| *count != "null");
            let (asked, answered) = (count(self.prompt_eval_count), count(self.eval_count));
            let (asked, answered) = (asked.or(answered.and(Some("0")))?, answered.unwrap_or("0"));
            Some(format!(r#"{{"prompt_tokens":{asked},"completion_tokens":{answered}}}"#).into())
        })
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

pub(super) fn is_good_code(code: &Value) -> bool {
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
    Value::Object(members)
}

/// One choice: `delta` in a stream, `message` in a whole answer, `text` from an older endpoint.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(borrow, default)]
    // Boxed, since it is moved about a dozen times while it is parsed.
    delta: Option<Box<Message<'a>>>,
    #[serde(borrow, default)]
    message: Option<Box<Message<'a>>>,
    #[serde(borrow, default)]
    text: Option<Box<Content<'a>>>,
    /// Text without a message round it.
    #[serde(borrow, default)]
    content: Option<Box<Content<'a>>>,
    #[serde(borrow, default)]
    finish_reason: Option<Reason<'a>>,
    /// The finish reason in Gemini's own spelling, which its OpenAI form has at times beside a `null`.
    #[serde(borrow, default, rename = "finishReason")]
    own_finish_reason: Option<Reason<'a>>,
    /// An older form of the finish reason.
    #[serde(borrow, default)]
    finish_details: Option<Reason<'a>>,
    /// Anthropic's name for it, which relays leave. vLLM has the stop sequence there, beside a finish reason.
    #[serde(borrow, default)]
    stop_reason: Option<Reason<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

impl<'a> Choice<'a> {
    /// Returns what the choice says, and whether it says it as a whole message.
    pub(super) fn message(&self) -> Option<(&Message<'a>, bool)> {
        let delta = self.delta.as_deref();
        match (delta, self.message.as_deref()) {
            (Some(delta), message) if message.is_none() || !delta.is_empty() => Some((delta, false)),
            (_, message) => message.map(|message| (message, true)),
        }
    }

    /// Returns the text that stands in the choice itself, as an older endpoint has it. Beside a message with text it is
    /// that text again (Together AI).
    pub(super) fn text(&self) -> Option<&Content<'a>> {
        let is_again = || {
            self.message()
                .is_some_and(|(message, _)| !message.text().is_empty())
        };
        let places = [self.text.as_deref(), self.content.as_deref()];
        let text = places.into_iter().flatten().find(|text| !text.is_empty())?;
        (!is_again()).then_some(text)
    }

    /// Returns the text of the delta as it stands in the JSON, if the choice brings nothing else.
    fn plain_text(&self) -> Option<&'a str> {
        let is_alone = self.message.is_none()
            && self.text.is_none()
            && self.content.is_none()
            && self.error.is_none()
            && self.usage.is_none()
            && self.finish_reason().is_empty();
        self.delta.as_ref().filter(|_| is_alone)?.plain_text()
    }

    /// Returns the `error` members of the choice and of what it says, whatever they hold.
    fn errors(&self) -> impl Iterator<Item = &'a RawValue> + use<'a> {
        let said = |message: &Option<Box<Message<'a>>>| message.as_ref().and_then(|message| message.error);
        [self.error, said(&self.delta), said(&self.message)]
            .into_iter()
            .flatten()
    }

    /// True for a choice of a whole answer, not of a stream.
    pub(super) const fn is_whole(&self) -> bool {
        self.delta.is_none()
    }

    /// True when it brings a part of the answer.
    pub(super) fn says_something(&self) -> bool {
        self.text().is_some() || self.message().is_some_and(|(message, _)| !message.is_empty())
    }

    /// True when it brings neither a part of the answer nor its end.
    pub(super) fn is_silent(&self) -> bool {
        !self.says_something() && self.finish_reason().is_empty()
    }

    /// Returns the server's word for why the model stopped; an empty one while it goes on.
    pub(super) fn finish_reason(&self) -> &str {
        let own = [
            &self.finish_reason,
            &self.own_finish_reason,
            &self.finish_details,
            &self.stop_reason,
        ];
        let said = [self.delta.as_deref(), self.message.as_deref()]
            .into_iter()
            .flatten();
        let words = own
            .into_iter()
            .flatten()
            .chain(said.filter_map(|message| message.finish_reason.as_ref()));
        words
            .map(|word| &*word.0)
            .find(|word| !word.is_empty())
            .unwrap_or_default()
    }
}
