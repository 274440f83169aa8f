//! An answer put together from its bytes, whatever form they come in.

use serde_json::Value;

use super::api_error::ApiError;
use super::chunk::{self, Choice, Chunk, Text, ToolCall};
use super::content_kind::{ContentKind, content_kind};
use super::error::{AnswerError, EVENT_LIMIT};
use super::events::{Event, EventReader};
use super::reasoning::{Delta, ReasoningSplitter};
use super::repair_json::repair_json;

/// Reads one answer, streamed or whole, from bytes that may be cut anywhere.
///
/// Memory is bounded by the longest event, not by the answer. The text of the first choice (by its index) is emitted; a
/// leading `<think>` block counts as reasoning.
#[derive(Debug)]
pub struct AnswerReader {
    content_type: Option<String>,
    kind: Option<ContentKind>,
    /// Bytes before the kind is known; later the whole answer of a server that does not stream.
    body: Vec<u8>,
    events: EventReader,
    splitter: ReasoningSplitter,
    summary: Summary,
    /// The last `usage` member.
    usage: Option<String>,
    is_done: bool,
}

impl AnswerReader {
    /// Makes the reader for a body of that content type.
    #[must_use]
    pub fn new(content_type: Option<&str>) -> Self {
        Self {
            content_type: content_type.map(str::to_owned),
            kind: None,
            body: Vec::new(),
            events: EventReader::default(),
            splitter: ReasoningSplitter::default(),
            summary: Summary::default(),
            usage: None,
            is_done: false,
        }
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
                self.kind = content_kind(self.content_type.as_deref(), &self.body)?;
                if self.kind == Some(ContentKind::Events) {
                    let head = std::mem::take(&mut self.body);
                    self.read_events(&head, sink)?;
                }
                Ok(())
            }
        }
    }

    /// True once `[DONE]` has come: there is nothing left to wait for.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.is_done
    }

    /// True once the answer is whole: a finish reason or `[DONE]` has come. A count of tokens may still follow.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.is_done || self.summary.finish_reason.is_some()
    }

    /// Emits text that was held back because it might have become a tag. Call it when the body ends or breaks.
    pub fn close(&mut self, sink: &mut impl FnMut(Delta<'_>)) {
        let Self {
            splitter, summary, ..
        } = self;
        splitter.close(&mut |delta| emit(delta, summary, sink));
    }

    /// Ends the answer after the end of the body.
    ///
    /// # Errors
    /// [`AnswerError::Incomplete`] when neither a finish reason nor `[DONE]` has come; with a whole JSON answer also
    /// everything that [`AnswerReader::push`] reports. What is known of the answer comes with the error.
    #[expect(clippy::result_large_err, reason = "returned once per answer")]
    pub fn finish(mut self, sink: &mut impl FnMut(Delta<'_>)) -> Result<Summary, (AnswerError, Summary)> {
        // A body without a byte is judged by its content type alone.
        let mut outcome = match self.kind {
            None => content_kind(self.content_type.as_deref(), &self.body).map(|_| ()),
            Some(_) => Ok(()),
        };
        if self.kind == Some(ContentKind::Json) && !self.body.is_empty() {
            let body = std::mem::take(&mut self.body);
            outcome = self.read_body(&body, sink);
        }
        self.close(sink);
        match outcome {
            Err(error) => Err((error, self.into_summary())),
            Ok(()) if self.is_complete() => Ok(self.into_summary()),
            Ok(()) => Err((AnswerError::Incomplete, self.into_summary())),
        }
    }

    /// Returns what is known so far, of an answer that broke too.
    #[must_use]
    pub fn into_summary(self) -> Summary {
        let mut summary = self.summary;
        let usage = self
            .usage
            .as_deref()
            .and_then(|json| serde_json::from_str(json).ok());
        summary.usage = usage.filter(Value::is_object);
        summary
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), AnswerError> {
        if self.body.len() + bytes.len() > EVENT_LIMIT {
            return Err(AnswerError::TooLong);
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
}

/// Everything known about an answer except its text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The server's name for the answer.
    pub id: String,
    /// The model that answered, as the server names it.
    pub model: String,
    /// Why the model stopped; `None` when the stream ended by `[DONE]` alone.
    pub finish_reason: Option<FinishReason>,
    /// The `usage` object, when the server sends one.
    pub usage: Option<Value>,
    /// The tool calls that the model asks for.
    pub tool_calls: Vec<ToolCall>,
    /// True when there was text that is not all blank.
    pub has_text: bool,
}

impl AnswerReader {
    fn read_event(&mut self, event: Event<'_>, sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        let data = event.data.trim();
        if self.is_done || data.is_empty() {
            return Ok(());
        }
        if data == "[DONE]" {
            self.is_done = true;
            return Ok(());
        }
        if event.name == "error" {
            return Err(AnswerError::Api(named_error(data)));
        }
        self.read_json(data, sink).map(|_| ())
    }

    /// Reads the body of a server that does not stream.
    fn read_body(&mut self, body: &[u8], sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}');
        if self.read_json(text, sink)? {
            return Ok(());
        }
        let content_type = self.content_type.as_deref().unwrap_or("none");
        Err(AnswerError::NotAnAnswer(content_type.to_owned()))
    }

    /// Reads one object; true when it has choices, and so is, or could be, an answer.
    fn read_json(&mut self, json: &str, sink: &mut impl FnMut(Delta<'_>)) -> Result<bool, AnswerError> {
        // serde would take a list for a struct too, member by member in order; here it can only hold an error (Google).
        if json.trim_start().starts_with('[') {
            return Err(match ApiError::parse(json) {
                Some(error) => AnswerError::Api(error),
                None => AnswerError::Malformed("a list where an object should be".to_owned()),
            });
        }
        let error = match serde_json::from_str::<Chunk<'_>>(json) {
            Ok(chunk) => return self.take(&chunk, json, sink),
            Err(error) => error,
        };
        if let Some(repaired) = repair_json(json)
            && let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(&repaired)
        {
            return self.take(&chunk, &repaired, sink);
        }
        Err(AnswerError::Malformed(if error.is_eof() {
            "it breaks off within its JSON".to_owned()
        } else {
            error.to_string()
        }))
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
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage.get().to_owned());
        }
        if let Some(choice) = chunk.choice() {
            self.take_choice(choice, sink);
        }
        if let Some(error) = chunk.error() {
            let value = serde_json::from_str(error.get()).unwrap_or_default();
            return Err(AnswerError::Api(ApiError::from_member(&value)));
        }
        if chunk.is_bare()
            && let Some(error) = ApiError::parse(json)
        {
            return Err(AnswerError::Api(error));
        }
        Ok(chunk.choices.is_some())
    }

    fn take_choice(&mut self, choice: &Choice<'_>, sink: &mut impl FnMut(Delta<'_>)) {
        if let Some(message) = choice.message() {
            let Self {
                splitter, summary, ..
            } = self;
            if !message.reasoning().is_empty() {
                sink(Delta::Reasoning(message.reasoning()));
            }
            if !message.content().is_empty() {
                splitter.push(message.content(), &mut |delta| emit(delta, summary, sink));
            }
            let calls = &mut summary.tool_calls;
            if let Some(deltas) = message.tool_calls {
                chunk::add_tool_calls(calls, deltas);
            }
            if let Some(call) = message.function_call {
                chunk::add_function_call(calls, call);
            }
        }
        if let Some(reason) = choice
            .finish_reason
            .as_ref()
            .and_then(|word| FinishReason::parse(&word.0))
        {
            self.summary.finish_reason = Some(reason);
        }
    }
}

/// Reads an error out of an event that is one by its name.
fn named_error(data: &str) -> ApiError {
    match serde_json::from_str(data) {
        Ok(value) => ApiError::from_json(&value).unwrap_or_else(|| ApiError::from_member(&value)),
        Err(_) => ApiError::from_text(data),
    }
}

fn emit(delta: Delta<'_>, summary: &mut Summary, sink: &mut impl FnMut(Delta<'_>)) {
    if let Delta::Text(text) = delta {
        summary.has_text |= !text.trim_ascii().is_empty();
    }
    sink(delta);
}

/// Why the model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The answer is complete, or met a stop sequence.
    Stop,
    /// `max_tokens` or the context was used up: the answer is cut.
    Length,
    /// A filter cut the answer.
    ContentFilter,
    /// It calls a tool.
    ToolCalls,
    /// A reason that the API does not define.
    Other(String),
}

impl FinishReason {
    /// Parses a `finish_reason`; an empty one and `null` (as DashScope writes it) mean that the answer continues.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "" | "null" => return None,
            "stop" => Self::Stop,
            "length" => Self::Length,
            "content_filter" => Self::ContentFilter,
            "tool_calls" | "function_call" => Self::ToolCalls,
            other => Self::Other(other.to_owned()),
        })
    }

    /// Returns the reason as the API spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::ToolCalls => "tool_calls",
            Self::Other(word) => word,
        }
    }

    /// True when the text is known to be incomplete.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        matches!(self, Self::Length | Self::ContentFilter)
    }
}

#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
