//! From the bytes of a body to the answer in it.

use super::assembly::{Assembly, Delta, Summary};
use super::error::AnswerError;
use super::events::{EVENT_LIMIT, EventReader};
use super::sniff::{Format, sniff};

/// Reads one answer, streamed or whole, from bytes that may be cut anywhere.
///
/// Memory is bounded by the longest event, not by the answer. The text of the first choice (by its index) is handed
/// out; a leading `<think>` block counts as reasoning.
#[derive(Debug)]
pub struct AnswerReader {
    content_type: Option<String>,
    format: Option<Format>,
    /// Bytes before the format is known; later the whole answer of a server that does not stream.
    body: Vec<u8>,
    events: EventReader,
    assembly: Assembly,
}

impl AnswerReader {
    /// Makes the reader for a body of that content type.
    #[must_use]
    pub fn new(content_type: Option<&str>) -> Self {
        Self {
            content_type: content_type.map(str::to_owned),
            format: None,
            body: Vec::new(),
            events: EventReader::default(),
            assembly: Assembly::default(),
        }
    }

    /// Reads the next bytes and hands out what they bring.
    ///
    /// # Errors
    /// What makes the rest of the body worthless. Text of earlier events has been handed out by then; call
    /// [`AnswerReader::close`] for what is still held.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        match self.format {
            Some(Format::Events) => self.read_events(bytes, sink),
            Some(Format::Whole) => self.keep(bytes),
            None => {
                self.keep(bytes)?;
                self.format = sniff(self.content_type.as_deref(), &self.body)?;
                if self.format == Some(Format::Events) {
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
        self.assembly.is_done()
    }

    /// True once the answer is whole: a finish reason or `[DONE]` has come. A count of tokens may still follow.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.assembly.is_complete()
    }

    /// Hands out text that was held back because it might have become a tag. Call it when the body ends or breaks.
    pub fn close(&mut self, sink: &mut impl FnMut(Delta<'_>)) {
        self.assembly.close(sink);
    }

    /// Ends the answer in good order: the body has ended.
    ///
    /// # Errors
    /// [`AnswerError::Incomplete`] when neither a finish reason nor `[DONE]` has come; with a whole JSON answer also
    /// everything that [`AnswerReader::push`] reports. What is known of the answer comes with the error.
    #[expect(clippy::result_large_err, reason = "returned once per answer")]
    pub fn finish(mut self, sink: &mut impl FnMut(Delta<'_>)) -> Result<Summary, (AnswerError, Summary)> {
        // A body without a byte is judged by its content type alone.
        let mut outcome = match self.format {
            None => sniff(self.content_type.as_deref(), &self.body).map(|_| ()),
            Some(_) => Ok(()),
        };
        if self.format == Some(Format::Whole) && !self.body.is_empty() {
            let body = std::mem::take(&mut self.body);
            outcome = self
                .assembly
                .read_whole(&body, self.content_type.as_deref(), sink);
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
        self.assembly.into_summary()
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), AnswerError> {
        if self.body.len() + bytes.len() > EVENT_LIMIT {
            return Err(AnswerError::TooLong);
        }
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    fn read_events(&mut self, bytes: &[u8], sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        let assembly = &mut self.assembly;
        self.events
            .push(bytes, &mut |event| assembly.read_event(event, sink))
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod stream_tests;
#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
