//! An answer put together from its bytes, whatever form they come in.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::chunk::{Choice, Chunk, Message, says_error};
use super::content::Text;
use super::content_kind::{ContentKind, content_kind};
use super::error::{ANSWER_LIMIT, AnswerError, EVENT_LIMIT};
use super::events::{Event, EventReader};
use super::fingerprint::Fingerprint;
use super::finish_reason::{FinishReason, Meaning};
use super::reasoning::{Delta, ReasoningSplitter};
use super::repair_json::repair_json;
use super::tool_calls::{ToolCall, ToolCalls};

/// What is known of a server before it answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dialect {
    /// The provider's name in the catalogue: some use a finish reason in a sense of their own.
    pub provider: &'static str,
    /// Answers begin in thought, without a tag that says so.
    pub starts_in_reasoning: bool,
}

/// How far an answer has come, in counts that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Events, or pieces of an answer that is no stream. Comments and blank lines are none.
    pub events: u64,
    /// Those that said something: text, reasoning, a part of a tool call, a finish reason, a count of tokens, an error.
    pub telling: u64,
}

/// Reads one answer, streamed or whole, from bytes that may be cut anywhere.
///
/// Memory is bounded by the longest event, not by the answer; tool calls are kept, up to 64 MiB. The text of one choice is
/// emitted: of the one with index 0, or else of the first that comes.
#[derive(Debug)]
pub struct AnswerReader {
    content_type: Option<String>,
    dialect: Dialect,
    kind: Option<ContentKind>,
    /// Bytes before the kind is known; later the whole answer of a server that does not stream.
    body: Vec<u8>,
    events: EventReader,
    splitter: ReasoningSplitter,
    choosing: Choosing,
    tool_calls: ToolCalls,
    summary: Summary,
    progress: Progress,
    /// The last `usage` member.
    usage: Option<String>,
    /// Text as it was sent, and as it was emitted.
    sent: Fingerprint,
    emitted: Fingerprint,
    /// The first half of a surrogate pair, whose second half comes with the next text.
    half: Option<u16>,
    end: End,
}

/// Which choice of several is the answer.
#[derive(Debug)]
enum Choosing {
    /// None had index 0 so far: these chunks wait for the decision.
    Open(Vec<String>),
    Index(u64),
}

impl Default for Choosing {
    fn default() -> Self {
        Self::Open(Vec::new())
    }
}

/// After how many chunks without a choice of index 0 another one is the answer.
const HELD_CHUNKS: usize = 32;

/// What is known about the end of an answer.
#[derive(Debug, Default)]
struct End {
    is_done: bool,
    /// A choice has come.
    has_choice: bool,
    /// A JSON document that is a whole answer.
    is_document: bool,
    /// A choice, and text, that did not come with a finish reason.
    has_chunk_without: bool,
    has_text_without: bool,
    /// The finish reason came with nothing else.
    is_alone: bool,
    /// The number of the event that brought the finish reason.
    reason_at: u64,
    /// The count of tokens came after the finish reason.
    has_tail: bool,
    /// A finish reason was followed by more of the answer: such a server's reasons are no sign of the end.
    is_unreliable: bool,
    /// The stream ended within an event.
    is_mid_event: bool,
    /// The answer came by deltas.
    has_deltas: bool,
    /// A whole message that came after them says something else.
    differs: bool,
    has_refused: bool,
    is_filtered: bool,
    not_text: Option<String>,
}

/// Everything known about an answer except its text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The server's name for the answer.
    pub id: String,
    /// The model that answered, as the server names it.
    pub model: String,
    /// Why the model stopped; `None` where the server names no reason.
    pub finish_reason: Option<FinishReason>,
    /// The `usage` object, when the server sends one.
    pub usage: Option<Value>,
    /// The tool calls that the model asks for.
    pub tool_calls: Vec<ToolCall>,
    /// True when there was text that is not all blank.
    pub has_text: bool,
    /// True when there was reasoning.
    pub has_reasoning: bool,
    /// True when the model refused, by its own word.
    pub is_refusal: bool,
    /// What is doubtful about an answer that is complete as a stream, in words.
    pub caveats: Vec<String>,
}

impl AnswerReader {
    /// Makes the reader for a body of that content type.
    #[must_use]
    pub fn new(content_type: Option<&str>) -> Self {
        Self {
            content_type: content_type.map(str::to_owned),
            dialect: Dialect::default(),
            kind: None,
            body: Vec::new(),
            events: EventReader::default(),
            splitter: ReasoningSplitter::default(),
            choosing: Choosing::default(),
            tool_calls: ToolCalls::default(),
            summary: Summary::default(),
            progress: Progress::default(),
            usage: None,
            sent: Fingerprint::default(),
            emitted: Fingerprint::default(),
            half: None,
            end: End::default(),
        }
    }

    /// Tells what is known of the server.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.splitter = ReasoningSplitter::new(dialect.starts_in_reasoning);
        self.dialect = dialect;
        self
    }

    /// Reads the next bytes and emits what they bring.
    ///
    /// # Errors
    /// What makes the rest of the body useless. Text of earlier events has been emitted by then; call
    /// [`AnswerReader::close`] for what is still held.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        match self.kind {
            Some(ContentKind::Events) => self.read_events(bytes, sink),
            Some(ContentKind::Json) => self.keep(bytes),
            None => {
                self.keep(bytes)?;
                trim_head(&mut self.body);
                if self.body.is_empty() {
                    return Ok(());
                }
                self.kind = content_kind(self.content_type.as_deref(), &self.body)?;
                if self.kind == Some(ContentKind::Events) {
                    let head = std::mem::take(&mut self.body);
                    self.progress = Progress::default();
                    self.read_events(&head, sink)?;
                }
                Ok(())
            }
        }
    }

    /// True once `[DONE]` has come, or the count of tokens after the end: there is nothing left to wait for.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.end.is_done || self.end.has_tail && self.is_complete()
    }

    /// True once the end is known, so that nothing which happens to the connection makes the answer less than whole.
    ///
    /// A finish reason alone is not enough: some servers send one with every piece. It counts when text came without one
    /// before, and none after it.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        let end = &self.end;
        end.is_done
            || self.summary.finish_reason.is_some()
                && !end.is_unreliable
                && (end.has_text_without || end.is_alone && end.has_chunk_without)
    }

    /// Returns the number of the event since which nothing but a count of tokens can follow: some servers neither send it
    /// nor end the stream.
    #[must_use]
    pub fn awaits_tail(&self) -> Option<u64> {
        (self.is_complete() && self.end.is_alone).then_some(self.end.reason_at)
    }

    /// Returns how far the answer has come.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// Emits what was held back because more might have changed its meaning. Call it when the body ends or breaks.
    pub fn close(&mut self, sink: &mut impl FnMut(Delta<'_>)) {
        // What these could still report is less than why the body broke.
        let _ = self.end_events(sink);
        let _ = self.choose_first(sink);
        self.flush(sink);
    }

    /// Ends the answer after the end of the body.
    ///
    /// # Errors
    /// What makes the answer less than whole: it has no choice, no known end, an end that is an interruption, or something
    /// else than text; with a whole JSON answer also everything that [`AnswerReader::push`] reports. What is known of the
    /// answer comes with the error.
    #[expect(clippy::result_large_err, reason = "returned once per answer")]
    pub fn finish(mut self, sink: &mut impl FnMut(Delta<'_>)) -> Result<Summary, (AnswerError, Summary)> {
        let mut outcome = match self.kind {
            // A body without a byte is judged by its content type alone.
            None => content_kind(self.content_type.as_deref(), &self.body).map(|_| ()),
            Some(ContentKind::Json) => {
                let body = std::mem::take(&mut self.body);
                self.read_body(&body, sink)
            }
            Some(ContentKind::Events) => self.end_events(sink),
        };
        outcome = outcome.and_then(|()| self.choose_first(sink));
        self.flush(sink);
        match outcome.and_then(|()| self.judge()) {
            Err(error) => Err((error, self.into_summary())),
            Ok(()) => {
                let caveats = self.caveats();
                let mut summary = self.into_summary();
                summary.caveats = caveats;
                Ok(summary)
            }
        }
    }

    /// Returns what is known so far, of an answer that broke too.
    #[must_use]
    pub fn into_summary(self) -> Summary {
        let mut summary = self.summary;
        summary.tool_calls = self.tool_calls.into_calls();
        summary.is_refusal = self.end.has_refused;
        summary.usage = self.usage.and_then(|json| serde_json::from_str(&json).ok());
        summary
    }
}

impl Summary {
    /// Returns the answer as the object that a server which does not stream would have sent.
    #[must_use]
    pub fn completion(&self, text: &str, reasoning: &str) -> Value {
        let mut message = json!({ "role": "assistant", "content": text });
        if !reasoning.is_empty() {
            message["reasoning_content"] = reasoning.into();
        }
        if !self.tool_calls.is_empty() {
            let call = |call: &ToolCall| {
                let function = json!({ "name": call.name, "arguments": call.arguments });
                json!({ "id": call.id, "type": "function", "function": function })
            };
            message["tool_calls"] = self.tool_calls.iter().map(call).collect();
        }
        let reason = self.finish_reason.as_ref().map(FinishReason::as_str);
        let mut completion = json!({
            "id": self.id,
            "object": "chat.completion",
            "model": self.model,
            "choices": [{ "index": 0, "message": message, "finish_reason": reason }],
        });
        if let Some(usage) = &self.usage {
            completion["usage"] = usage.clone();
        }
        completion
    }
}

/// The end.
impl AnswerReader {
    /// Says why the answer is not whole after the end of the body.
    fn judge(&self) -> Result<(), AnswerError> {
        let end = &self.end;
        if !end.has_choice {
            return Err(AnswerError::NoChoice);
        }
        if let Some(kind) = &end.not_text {
            return Err(AnswerError::NotText(kind.clone()));
        }
        match &self.summary.finish_reason {
            Some(reason) if reason.is_interruption() => Err(AnswerError::Interrupted(reason.clone())),
            Some(_) if end.is_mid_event && !self.is_complete() => Err(AnswerError::Incomplete),
            Some(_) => Ok(()),
            None if end.is_document => Ok(()),
            None if end.is_done && (self.summary.has_text || !self.tool_calls.is_empty()) => Ok(()),
            None => Err(AnswerError::Incomplete),
        }
    }

    /// Says what is doubtful about an answer that is whole as a stream.
    fn caveats(&self) -> Vec<String> {
        let summary = &self.summary;
        let reason = summary.finish_reason.as_ref();
        let mut caveats: Vec<String> = reason.and_then(FinishReason::caveat).into_iter().collect();
        let calls_tool = reason.is_some_and(|reason| reason.meaning == Meaning::ToolCalls);
        if self.end.has_refused && reason.is_none_or(|reason| reason.meaning != Meaning::Refusal) {
            caveats.push("the model refused to answer".to_owned());
        }
        if self.end.is_filtered && reason.is_none_or(|reason| reason.meaning != Meaning::Filter) {
            caveats.push("the answer is cut: by the provider's filter".to_owned());
        }
        if reason.is_none() && !self.end.is_document {
            caveats.push("the answer may be incomplete: the server named no finish reason".to_owned());
        }
        if calls_tool && self.tool_calls.is_empty() {
            caveats.push("the model wanted to call a tool, and no call came".to_owned());
        }
        if self.end.differs {
            caveats
                .push("the server repeated the answer in other words; the first ones are shown".to_owned());
        }
        if !summary.has_text && self.tool_calls.is_empty() && caveats.is_empty() {
            caveats.push(match summary.has_reasoning {
                true => "the answer is empty: nothing but reasoning came".to_owned(),
                false => "the answer is empty".to_owned(),
            });
        }
        caveats
    }

    /// Emits what is held back as what it is when nothing follows.
    fn flush(&mut self, sink: &mut impl FnMut(Delta<'_>)) {
        self.end_half(sink);
        let Self {
            splitter,
            summary,
            emitted,
            ..
        } = self;
        splitter.close(&mut |delta| emit(delta, summary, emitted, sink));
    }
}

/// Events and bodies.
impl AnswerReader {
    fn keep(&mut self, bytes: &[u8]) -> Result<(), AnswerError> {
        if self.body.len() + bytes.len() > EVENT_LIMIT {
            return Err(AnswerError::TooLong);
        }
        if !bytes.trim_ascii().is_empty() {
            self.progress.events += 1;
            self.progress.telling += 1;
        }
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    fn read_events(&mut self, bytes: &[u8], sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        let mut events = std::mem::take(&mut self.events);
        let result = events.push(bytes, &mut |event| self.read_event(event, sink));
        self.events = events;
        result
    }

    /// Reads an event whose end did not come, if it is whole all the same.
    fn end_events(&mut self, sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        let mut events = std::mem::take(&mut self.events);
        self.end.is_mid_event = events.finish(&mut |event| self.read_event(event, sink))?;
        Ok(())
    }

    fn read_event(&mut self, event: Event<'_>, sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        let data = event.data.trim();
        if self.end.is_done {
            return Ok(());
        }
        if event.name.eq_ignore_ascii_case("error") {
            self.progress.telling += 1;
            return self.read_error(data);
        }
        if data.is_empty() {
            return Ok(());
        }
        self.progress.events += 1;
        if data == "[DONE]" {
            self.end.is_done = true;
            self.progress.telling += 1;
            return Ok(());
        }
        // Events of another name are the answer's only by what they hold.
        let is_answer = matches!(event.name, "" | "message") || data.contains("\"choices\"");
        if !is_answer && !data.contains("\"error\"") {
            return Ok(());
        }
        match self.read_json(data, sink) {
            // Nor is what comes after the end.
            Err(AnswerError::Malformed(_)) if !is_answer || self.is_complete() => Ok(()),
            result => result.map(|_| ()),
        }
    }

    /// Reads an event that is an error by its name.
    fn read_error(&self, data: &str) -> Result<(), AnswerError> {
        match serde_json::from_str(data) {
            Ok(value) if !says_error(&value) => Ok(()),
            Ok(value) => Err(self.api_error(ApiError::from_member(&value))),
            Err(_) => Err(self.api_error(ApiError::from_text(data))),
        }
    }

    /// Adds to an error whose words it uses.
    fn api_error(&self, error: ApiError) -> AnswerError {
        AnswerError::Api(match self.dialect.provider {
            "" => error,
            provider => error.sent_by(provider),
        })
    }

    /// Reads the body of a server that does not stream: a document, or several on lines of their own.
    fn read_body(&mut self, body: &[u8], sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        if let Ok(Value::String(inner)) = serde_json::from_str(text) {
            return self.read_body(inner.as_bytes(), sink);
        }
        let is_lone = serde_json::from_str::<&RawValue>(text).is_ok();
        let has_choices = self.read_json(text, sink)?;
        self.end.is_document = is_lone && self.end.has_choice && !self.end.has_deltas;
        if has_choices {
            return Ok(());
        }
        Err(AnswerError::OtherJson(text.to_owned()))
    }

    /// Reads one object, or several that stand behind each other; true when it has choices, and so is, or could be, an
    /// answer.
    fn read_json(&mut self, json: &str, sink: &mut impl FnMut(Delta<'_>)) -> Result<bool, AnswerError> {
        match json.as_bytes().first() {
            Some(b'{') => {}
            // serde would take a list for a struct too, member by member in order; here it can only hold an error (Google).
            Some(b'[') => {
                return Err(match ApiError::parse(json) {
                    Some(error) => self.api_error(error),
                    None => AnswerError::Malformed("a list where an object should be".to_owned()),
                });
            }
            _ => return self.read_other_json(json, sink),
        }
        let mut straightened = String::new();
        let error = match Chunk::parse(json, &mut straightened) {
            Ok(chunk) => return self.take(&chunk, json, sink),
            Err(error) => error,
        };
        if let Some(repaired) = repair_json(json, self.half) {
            let mut straightened = String::new();
            if let Ok(chunk) = Chunk::parse(&repaired.json, &mut straightened) {
                if repaired.is_joined {
                    self.half = None;
                }
                let result = self.take(&chunk, &repaired.json, sink);
                self.half = repaired.half.or(self.half);
                return result;
            }
        }
        if let Some((first, rest)) = split_documents(json) {
            let has_choices = self.read_json(first, sink)?;
            if rest == "[DONE]" {
                self.end.is_done = true;
                return Ok(has_choices);
            }
            return Ok(self.read_json(rest, sink)? || has_choices);
        }
        Err(AnswerError::Malformed(if error.is_eof() {
            "it breaks off within its JSON".to_owned()
        } else {
            format!("no JSON at column {}", error.column())
        }))
    }

    /// Reads JSON that is no object: `null` says nothing, text may be JSON.
    fn read_other_json(&mut self, json: &str, sink: &mut impl FnMut(Delta<'_>)) -> Result<bool, AnswerError> {
        match serde_json::from_str(json) {
            Ok(Value::Null) => Ok(false),
            Ok(Value::String(inner)) if inner.starts_with('{') => self.read_json(&inner, sink),
            _ => Err(AnswerError::Malformed("no JSON object".to_owned())),
        }
    }

    fn take(
        &mut self,
        chunk: &Chunk<'_>,
        json: &str,
        sink: &mut impl FnMut(Delta<'_>),
    ) -> Result<bool, AnswerError> {
        let summary = &mut self.summary;
        for (known, sent) in [(&mut summary.id, chunk.id), (&mut summary.model, chunk.model)] {
            if known.is_empty()
                && let Some(sent) = sent
                && let Ok(Text(text)) = serde_json::from_str(sent.get())
            {
                known.push_str(&text);
            }
        }
        if let Some(usage) = chunk.usage() {
            self.usage = Some(usage.get().to_owned());
            self.end.has_tail = self.summary.finish_reason.is_some();
            self.progress.telling += 1;
        }
        self.end.is_filtered |= chunk.is_filtered();
        let error = chunk.error();
        let has_choices = chunk.choices().next().is_some();
        self.choose(chunk, json, sink)?;
        if let Some(error) = error {
            self.progress.telling += 1;
            return Err(self.api_error(ApiError::from_member(&error)));
        }
        // An object that is no part of the answer is an error by what it says; after the end it is none of ours.
        if !has_choices
            && self.summary.finish_reason.is_none()
            && let Some(error) = ApiError::parse(json)
        {
            return Err(self.api_error(error));
        }
        Ok(has_choices || chunk.choices.is_some())
    }
}

/// Drops the byte-order mark and the white space before a body, which may be of any length.
fn trim_head(body: &mut Vec<u8>) {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let blanks = body.len() - text.trim_ascii_start().len();
    body.drain(..blanks);
}

/// Splits JSON objects that stand behind each other, as events do that lost the line feed between them.
fn split_documents(json: &str) -> Option<(&str, &str)> {
    let mut documents = serde_json::Deserializer::from_str(json).into_iter::<&RawValue>();
    let first = documents.next()?.ok()?.get();
    let rest = json.get(documents.byte_offset()..)?.trim();
    let rest = rest.strip_prefix("data:").unwrap_or(rest).trim();
    (rest == "[DONE]" || rest.starts_with('{')).then_some((first, rest))
}

/// Choices.
impl AnswerReader {
    /// Takes the choice that is the answer; keeps the chunk while that is open.
    fn choose(
        &mut self,
        chunk: &Chunk<'_>,
        json: &str,
        sink: &mut impl FnMut(Delta<'_>),
    ) -> Result<(), AnswerError> {
        let mut choices = chunk.choices();
        let Some(first) = choices.next() else {
            return Ok(());
        };
        self.end.has_choice = true;
        let index = match &self.choosing {
            Choosing::Index(index) => *index,
            Choosing::Open(_) => 0,
        };
        // One without an index is the one that there is, or the first of several.
        let is_lone = choices.next().is_none();
        let chosen = chunk.choices().find(|choice| choice.index == Some(index));
        let chosen =
            chosen.or_else(|| Some(first).filter(|first| first.index.is_none() && (is_lone || index == 0)));
        let Some(choice) = chosen else {
            return self.hold(json, sink);
        };
        if choice.index.is_some() || choice.says_something() {
            self.choosing = Choosing::Index(index);
        }
        self.take_choice(choice, sink)
    }

    /// Keeps a chunk until it is known whether its choice is the answer.
    fn hold(&mut self, json: &str, sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        let Choosing::Open(held) = &mut self.choosing else {
            return Ok(());
        };
        if held.iter().map(String::len).sum::<usize>() + json.len() > ANSWER_LIMIT {
            return Err(AnswerError::TooMuch);
        }
        held.push(json.to_owned());
        if held.len() < HELD_CHUNKS {
            return Ok(());
        }
        self.choose_first(sink)
    }

    /// Makes the first choice that came the answer, where none had index 0.
    fn choose_first(&mut self, sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        let Choosing::Open(held) = &mut self.choosing else {
            return Ok(());
        };
        for json in std::mem::take(held) {
            let mut straightened = String::new();
            let Ok(chunk) = Chunk::parse(&json, &mut straightened) else {
                continue;
            };
            if matches!(self.choosing, Choosing::Open(_))
                && let Some(index) = chunk.choices().filter_map(|choice| choice.index).min()
            {
                self.choosing = Choosing::Index(index);
            }
            self.choose(&chunk, &json, sink)?;
        }
        Ok(())
    }

    fn take_choice(
        &mut self,
        choice: &Choice<'_>,
        sink: &mut impl FnMut(Delta<'_>),
    ) -> Result<(), AnswerError> {
        let reason = FinishReason::parse(choice.finish_reason(), self.dialect.provider);
        let mut says = choice.says_something();
        if let Some((message, true)) = choice.message()
            && self.is_repetition(message, reason.is_some())
        {
            says = self.repeat(message, sink);
            self.withdraw_reason(says);
        } else {
            self.withdraw_reason(says);
            if let Some((message, is_whole)) = choice.message() {
                self.end.has_deltas |= !is_whole;
                self.take_message(message, sink)?;
            }
            self.push_text(&choice.text().text, sink);
        }
        self.end.has_deltas |= !choice.is_whole();
        self.progress.telling += u64::from(says || reason.is_some());
        let Some(reason) = reason else {
            self.end.has_chunk_without = true;
            self.end.has_text_without |= says;
            return Ok(());
        };
        self.summary.finish_reason = Some(match self.summary.finish_reason.take() {
            Some(earlier) => earlier.worse(reason),
            None => {
                self.end.reason_at = self.progress.events;
                reason
            }
        });
        self.end.is_alone = !says;
        Ok(())
    }

    /// Forgets a finish reason that more of the answer follows.
    fn withdraw_reason(&mut self, says: bool) {
        if says && self.summary.finish_reason.take().is_some() {
            self.end.is_unreliable = true;
            self.end.has_tail = false;
        }
    }

    fn take_message(
        &mut self,
        message: &Message<'_>,
        sink: &mut impl FnMut(Delta<'_>),
    ) -> Result<(), AnswerError> {
        let content = message.content();
        let reasoning = message.reasoning();
        if !reasoning.is_empty() {
            let Self {
                splitter,
                summary,
                emitted,
                ..
            } = self;
            splitter.note_reasoning(&mut |delta| emit(delta, summary, emitted, sink));
            emit(Delta::Reasoning(reasoning), summary, emitted, sink);
        }
        self.push_text(&content.text, sink);
        let refusal = message.refusal();
        if !refusal.is_empty() {
            self.end.has_refused = true;
            self.push_text(refusal, sink);
        }
        if content.odd.is_some() {
            self.end.not_text.clone_from(&content.odd);
        }
        if message.has_tool_calls() {
            if let Some(deltas) = message.tool_calls {
                self.tool_calls.add(deltas)?;
            }
            if let Some(call) = message.function_call {
                self.tool_calls.add_function_call(call)?;
            }
        }
        Ok(())
    }

    /// True for a whole message that comes after what it holds: behind deltas, or with the finish reason.
    fn is_repetition(&self, message: &Message<'_>, has_reason: bool) -> bool {
        let text = &message.content().text;
        let extends = || self.sent.rest(text).is_some() || self.emitted.rest(text).is_some();
        let has_any = !self.sent.is_empty() || self.summary.has_reasoning || !self.tool_calls.is_empty();
        has_any && (self.end.has_deltas || has_reason && !self.sent.is_empty() && extends())
    }

    /// Takes what a whole message has more than what came before; true when there is more.
    fn repeat(&mut self, message: &Message<'_>, sink: &mut impl FnMut(Delta<'_>)) -> bool {
        let text = &message.content().text;
        if self.sent.is_empty() {
            self.push_text(text, sink);
            return !text.is_empty();
        }
        match self.sent.rest(text).or_else(|| self.emitted.rest(text)) {
            Some(rest) if rest.trim().is_empty() => false,
            Some(rest) => {
                self.push_text(rest, sink);
                true
            }
            None => {
                self.end.differs |= !text.is_empty();
                false
            }
        }
    }

    fn push_text(&mut self, text: &str, sink: &mut impl FnMut(Delta<'_>)) {
        if text.is_empty() {
            return;
        }
        self.end_half(sink);
        self.push_whole_text(text, sink);
    }

    fn push_whole_text(&mut self, text: &str, sink: &mut impl FnMut(Delta<'_>)) {
        let Self {
            splitter,
            summary,
            emitted,
            sent,
            ..
        } = self;
        sent.add(text);
        splitter.push(text, &mut |delta| emit(delta, summary, emitted, sink));
    }

    /// Gives up the second half of a surrogate pair.
    fn end_half(&mut self, sink: &mut impl FnMut(Delta<'_>)) {
        if self.half.take().is_some() {
            self.push_whole_text("\u{fffd}", sink);
        }
    }
}

fn emit(
    delta: Delta<'_>,
    summary: &mut Summary,
    emitted: &mut Fingerprint,
    sink: &mut impl FnMut(Delta<'_>),
) {
    match delta {
        Delta::Text(text) => {
            emitted.add(text);
            summary.has_text |= !text.trim_ascii().is_empty();
        }
        Delta::Reasoning(_) => summary.has_reasoning = true,
        Delta::TextWasReasoning => {
            *emitted = Fingerprint::default();
            summary.has_reasoning |= std::mem::take(&mut summary.has_text);
        }
    }
    sink(delta);
}

#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
