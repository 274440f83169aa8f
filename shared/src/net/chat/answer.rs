//! An answer put together from its bytes, whatever form they come in.

use serde_json::Value;
use serde_json::value::RawValue;

use super::answer_text::AnswerText;
use super::api_error::ApiError;
use super::broken_event::{error_within, named_error};
use super::choosing::Choosing;
use super::chunk::{Choice, Chunk, says_error};
use super::content_kind::{ContentKind, content_kind};
use super::ending::{Came, Ending};
use super::error::{AnswerError, EVENT_LIMIT};
use super::events::{Event, EventReader, is_done_mark};
use super::foreign::{holds_text, names_error};
use super::frame::Frame;
use super::reasoning::Delta;
use super::summary::Summary;
use super::tool_calls::ToolCalls;
use crate::net::json::is_whole_object;
use crate::text::{clip, one_line};

/// What is known of a server before it answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dialect {
    /// The provider's name in the catalogue: some use a finish reason in a sense of their own.
    pub provider: &'static str,
    /// Answers begin in thought, without a tag that says so.
    pub starts_in_reasoning: bool,
    /// How many choices were asked for; 0 where nothing was said, which is one.
    pub choices: u64,
}

/// How far an answer has come, in counts that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Events, or pieces of an answer that is no stream. Comments and blank lines are none.
    pub events: u64,
    /// Those that said something: text, reasoning, a part of a tool call, a finish reason, a count of tokens, an error.
    pub telling: u64,
}

/// The most characters that are kept of what is no part of an answer.
const FOREIGN: usize = 400;

/// The most characters that are shown of an event of an unknown form.
const UNREAD: usize = 100;

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
    text: AnswerText,
    choosing: Choosing,
    /// What stood around the text of the last chunk.
    frame: Frame,
    tool_calls: ToolCalls,
    /// The server's names for the answer and the model.
    id: String,
    model: String,
    /// The last `usage` member.
    usage: Option<String>,
    progress: Progress,
    /// The answer came by deltas.
    has_deltas: bool,
    /// One more than the highest index of a choice.
    choices: u64,
    ending: Ending,
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
            text: AnswerText::default(),
            choosing: Choosing::default(),
            frame: Frame::default(),
            tool_calls: ToolCalls::default(),
            id: String::new(),
            model: String::new(),
            usage: None,
            progress: Progress::default(),
            has_deltas: false,
            choices: 0,
            ending: Ending::default(),
        }
    }

    /// Tells what is known of the server.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.text = AnswerText::new(dialect.starts_in_reasoning);
        self.choosing = Choosing::new(dialect.choices);
        self.dialect = dialect;
        self
    }

    /// Reads the choice of that index alone.
    #[must_use]
    pub(super) fn only(mut self, index: u64) -> Self {
        self.choosing = Choosing::only(index);
        self
    }

    /// Returns how many choices have come, by the highest index.
    pub(super) const fn count(&self) -> u64 {
        if self.choosing.is_counted() {
            1
        } else {
            self.choices
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
                trim_head(&mut self.body);
                if self.body.is_empty() {
                    return Ok(());
                }
                self.kind = content_kind(self.content_type.as_deref(), &self.body, false)?;
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
        self.ending.is_over()
    }

    /// True once the end is known, so that nothing which happens to the connection makes the answer less than whole.
    ///
    /// A finish reason alone is not enough: some servers send one with every piece. It counts when text came without one
    /// before, and none after it.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.ending.is_complete()
    }

    /// True for an answer in one JSON object that is there to its last brace: nothing can follow it, whatever the connection
    /// was to bring. A piece of a stream may stand so too, on a line of its own.
    #[must_use]
    pub fn is_document(&self) -> bool {
        let is_whole = self.kind == Some(ContentKind::Json) && is_whole_object(&self.body);
        let text = || std::str::from_utf8(&self.body).unwrap_or_default();
        is_whole && {
            let mut straightened = String::new();
            let chunk = Chunk::parse(text().trim_start_matches('\u{feff}'), &mut straightened);
            chunk.is_ok_and(|chunk| chunk.choices().all(Choice::is_whole))
        }
    }

    /// Returns the number of the event since which nothing but a count of tokens can follow: some servers neither send it
    /// nor end the stream.
    #[must_use]
    pub fn awaits_tail(&self) -> Option<u64> {
        self.ending.awaits_tail()
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
        self.text.close(sink);
    }

    /// Ends the answer after the end of the body.
    ///
    /// # Errors
    /// What makes the answer less than whole: it has no choice, no known end, an end that is an interruption, or something
    /// else than text; with a whole JSON answer also everything that [`AnswerReader::push`] reports. What is known of the
    /// answer comes with the error.
    #[expect(clippy::result_large_err, reason = "returned once per answer")]
    pub fn finish(self, sink: &mut impl FnMut(Delta<'_>)) -> Result<Summary, (AnswerError, Summary)> {
        self.finish_with(sink, |_| ()).map(|(summary, ())| summary)
    }

    /// As [`AnswerReader::finish`], with something that is only known once all has been read.
    #[expect(clippy::result_large_err, reason = "returned once per answer")]
    pub(super) fn finish_with<T>(
        mut self,
        sink: &mut impl FnMut(Delta<'_>),
        known: impl FnOnce(&Self) -> T,
    ) -> Result<(Summary, T), (AnswerError, Summary)> {
        let mut outcome = match self.kind {
            // A body without a byte is judged by its content type alone.
            None => content_kind(self.content_type.as_deref(), &self.body, true).map(|_| ()),
            Some(ContentKind::Json) => {
                let body = std::mem::take(&mut self.body);
                self.read_body(&body, sink)
            }
            Some(ContentKind::Events) => self.end_events(sink),
        };
        outcome = outcome.and_then(|()| self.choose_first(sink));
        self.text.close(sink);
        let came = self.came();
        match outcome.and_then(|()| self.ending.judge(came)) {
            Err(error) => Err((error, self.into_summary())),
            Ok(()) => {
                let known = known(&self);
                let caveats = self.ending.caveats(came);
                let mut summary = self.into_summary();
                summary.caveats = caveats;
                Ok((summary, known))
            }
        }
    }

    fn came(&self) -> Came {
        Came {
            text: self.text.has_text,
            reasoning: self.text.has_reasoning,
            tool_calls: !self.tool_calls.is_empty(),
        }
    }

    /// Returns what is known so far, of an answer that broke too.
    #[must_use]
    pub fn into_summary(self) -> Summary {
        Summary {
            id: self.id,
            model: self.model,
            finish_reason: self.ending.reason,
            usage: self.usage.and_then(|json| serde_json::from_str(&json).ok()),
            tool_calls: self.tool_calls.into_calls(),
            has_text: self.text.has_text,
            has_reasoning: self.text.has_reasoning,
            is_refusal: self.ending.has_refused,
            caveats: Vec::new(),
        }
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
        self.ending.is_mid_event = events.finish(&mut |event| self.read_event(event, sink))?;
        // What comes after the end changes nothing.
        if !self.ending.is_mid_event || self.is_complete() {
            return Ok(());
        }
        let (name, data) = events.cut_off();
        let error = match names_error(&name) {
            true if !data.is_empty() => Some(named_error(&data).of_event(&name)),
            _ => error_within(&data),
        };
        error.map_or(Ok(()), |error| Err(self.api_error(error)))
    }

    fn read_event(&mut self, event: Event<'_>, sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        // A gateway may put the field's name before lines that have it.
        let mut data = event.data.trim();
        while let Some(again) = data.strip_prefix("data:") {
            data = again.trim_start();
        }
        if self.ending.is_done {
            return Ok(());
        }
        let is_plain = matches!(event.name, "" | "message");
        if event.name.eq_ignore_ascii_case("error")
            || !is_plain && names_error(event.name) && !data.contains("\"choices\"")
        {
            self.progress.telling += 1;
            return self.read_error(event.name, data);
        }
        if data.is_empty() {
            return Ok(());
        }
        self.progress.events += 1;
        if is_done_mark(data.as_bytes()) {
            self.ending.is_done = true;
            self.progress.telling += 1;
            return Ok(());
        }
        // Events of another name are the answer's only by what they hold: a piece of it, or its end.
        let holds = |member: &str| data.contains(member);
        let is_answer = is_plain || holds("\"choices\"") || holds("\"finish_reason\"");
        if !is_answer && !data.contains("\"error\"") {
            self.note_foreign(data);
            return Ok(());
        }
        match self.read_json(data, sink) {
            // Nor is what comes after the end.
            Err(AnswerError::Malformed(_)) if !is_answer || self.is_complete() => Ok(()),
            result => self.hear(data, result).map(|_| ()),
        }
    }

    /// Turns a document that does not parse into the error that it names.
    fn hear<T>(&self, json: &str, result: Result<T, AnswerError>) -> Result<T, AnswerError> {
        match result {
            Err(AnswerError::Malformed(reason)) => {
                Err(error_within(json).map_or(AnswerError::Malformed(reason), |error| self.api_error(error)))
            }
            result => result,
        }
    }

    /// Reads an event that is an error by its name.
    fn read_error(&self, name: &str, data: &str) -> Result<(), AnswerError> {
        let error = match serde_json::from_str(data) {
            Ok(value) if !says_error(&value) => return Ok(()),
            Ok(value) => ApiError::from_member(&value),
            Err(_) => ApiError::from_text(data),
        };
        Err(self.api_error(error.of_event(name)))
    }

    /// Adds to an error whose words it uses.
    fn api_error(&self, error: ApiError) -> AnswerError {
        AnswerError::Api(self.sent(error))
    }

    fn sent(&self, error: ApiError) -> ApiError {
        match self.dialect.provider {
            "" => error,
            provider => error.sent_by(provider),
        }
    }

    /// Keeps the words of the first event that is no part of an answer.
    fn note_foreign(&mut self, data: &str) {
        if self.ending.foreign.is_none() && !self.ending.has_choice {
            self.ending.foreign = Some(clip(one_line(data).trim(), FOREIGN));
        }
        if let Ok(value) = serde_json::from_str(data)
            && self.ending.reason.is_none()
            && holds_text(&value)
        {
            self.note_unread(data);
        }
    }

    /// Keeps the words of the first event of an unknown form that may be a part of the answer.
    fn note_unread(&mut self, data: &str) {
        let words = || clip(one_line(data).trim(), UNREAD);
        self.ending.unread.get_or_insert_with(words);
    }

    /// Reads the body of a server that does not stream: a document, or several on lines of their own.
    fn read_body(&mut self, body: &[u8], sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        if let Ok(Value::String(inner)) = serde_json::from_str(text) {
            return self.read_body(inner.as_bytes(), sink);
        }
        let is_lone = serde_json::from_str::<&RawValue>(text).is_ok();
        let result = self.read_json(text, sink);
        let has_choices = self.hear(text, result)?;
        self.ending.is_document = is_lone && self.ending.has_choice && !self.has_deltas;
        if has_choices {
            return Ok(());
        }
        Err(match self.ending.said.take() {
            Some(said) => AnswerError::Api(said),
            None => AnswerError::OtherJson(text.to_owned()),
        })
    }
}

/// Drops the byte-order mark and the white space before a body, which may be of any length.
fn trim_head(body: &mut Vec<u8>) {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let blanks = body.len() - text.trim_ascii_start().len();
    body.drain(..blanks);
}

mod choices;
mod documents;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
