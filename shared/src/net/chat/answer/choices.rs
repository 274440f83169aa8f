//! The choice that is the answer, and what it brings.

use super::AnswerReader;
use crate::net::chat::answer_text::Brought;
use crate::net::chat::choosing::Observed;
use crate::net::chat::chunk::{Choice, Chunk};
use crate::net::chat::error::AnswerError;
use crate::net::chat::finish_reason::FinishReason;
use crate::net::chat::message::Message;
use crate::net::chat::reasoning::Delta;

impl AnswerReader {
    /// Takes the choice that is the answer; keeps the chunk while that is open.
    pub(super) fn choose(
        &mut self,
        chunk: &Chunk<'_>,
        json: &str,
        sink: &mut impl FnMut(Delta<'_>),
    ) -> Result<(), AnswerError> {
        let indices = chunk.choices().map(|choice| choice.index.unwrap_or_default());
        let Some(highest) = indices.max() else {
            return Ok(());
        };
        self.choices = self.choices.max(highest.saturating_add(1));
        self.ending.said = None;
        match self.choosing.observe(chunk, json, self.ending.reason.is_some())? {
            Observed::Nothing => {}
            Observed::Held => {
                self.ending.has_choice = true;
                self.progress.telling += 1;
                return Ok(());
            }
            Observed::Counter(held) => return self.take_counted(&held, sink),
        }
        if let Some(choice) = self.choosing.find(chunk) {
            self.ending.has_choice = true;
            self.take_choice(choice, sink)?;
            if let Some(text) = chunk.plain_text() {
                self.frame.remember(json, text);
            }
            return Ok(());
        }
        self.ending.has_choice |= !self.choosing.is_only();
        match self.choosing.hold(json)? {
            true => self.choose_first(sink),
            false => Ok(()),
        }
    }

    /// Takes the chunks of a server that numbers them where the number of the choice should stand.
    fn take_counted(
        &mut self,
        chunks: &[String],
        sink: &mut impl FnMut(Delta<'_>),
    ) -> Result<(), AnswerError> {
        self.ending.has_choice = true;
        for json in chunks {
            let mut straightened = String::new();
            if let Ok(chunk) = Chunk::parse(json, &mut straightened)
                && let Some(choice) = chunk.choices().next()
            {
                self.take_choice(choice, sink)?;
            }
        }
        Ok(())
    }

    /// Decides what is still open at the end: chunks that were numbered, or the first choice where none had index 0.
    pub(super) fn choose_first(&mut self, sink: &mut impl FnMut(Delta<'_>)) -> Result<(), AnswerError> {
        if let Some(held) = self.choosing.end_of_count(self.ending.reason.is_some()) {
            return self.take_counted(&held, sink);
        }
        for json in self.choosing.take_held() {
            let mut straightened = String::new();
            let Ok(chunk) = Chunk::parse(&json, &mut straightened) else {
                continue;
            };
            self.choosing.settle(&chunk);
            self.choose(&chunk, &json, sink)?;
        }
        Ok(())
    }

    /// Takes the text of a chunk that is the last one but for its text: what that one said of the answer and its choices
    /// is known.
    pub(super) fn take_text(&mut self, text: &str, sink: &mut impl FnMut(Delta<'_>)) {
        self.ending.said = None;
        self.has_deltas = true;
        self.text.push(text, sink);
        self.take_part(true, None);
    }

    /// Takes note of a part of the answer; `says` is true where it brings more than its finish reason.
    fn take_part(&mut self, says: bool, reason: Option<FinishReason>) {
        self.progress.telling += u64::from(says || reason.is_some());
        if says {
            self.ending.withdraw_reason();
        }
        self.ending.take_part(says, reason, self.progress.events);
    }

    fn take_choice(
        &mut self,
        choice: &Choice<'_>,
        sink: &mut impl FnMut(Delta<'_>),
    ) -> Result<(), AnswerError> {
        let reason = FinishReason::parse(choice.finish_reason(), self.dialect.provider);
        let mut says = choice.text().is_some();
        match choice.message() {
            Some((message, true)) => says |= self.take_message(message, reason.is_some(), sink)?,
            Some((message, false)) => {
                says |= !message.is_empty();
                self.has_deltas = true;
                self.text.push_reasoning(message.reasoning(), sink);
                self.text.push(message.text(), sink);
                self.take_rest(message, sink)?;
            }
            None => {}
        }
        if let Some(content) = choice.text() {
            self.text.push(&content.text, sink);
            self.note_odd(content.odd.as_deref());
        }
        self.has_deltas |= !choice.is_whole();
        self.take_part(says, reason);
        Ok(())
    }

    /// True for a whole message that comes after what it holds: behind deltas, or with the finish reason.
    fn is_repetition(&self, text: &str, has_reason: bool) -> bool {
        let has_any = !self.text.is_empty() || self.text.has_reasoning || !self.tool_calls.is_empty();
        has_any && (self.has_deltas || has_reason && self.text.is_repeated_by(text))
    }

    /// Takes a whole message; true when it brings more than what came.
    fn take_message(
        &mut self,
        message: &Message<'_>,
        has_reason: bool,
        sink: &mut impl FnMut(Delta<'_>),
    ) -> Result<bool, AnswerError> {
        let text = message.text();
        let is_repetition = self.is_repetition(text, has_reason);
        let brought = if is_repetition {
            self.text.push_repetition(text, sink)
        } else {
            self.text.push_message_reasoning(message.reasoning(), sink);
            let brought = self.text.push_message(text, sink);
            self.take_rest(message, sink)?;
            brought
        };
        self.ending.differs |= brought == Brought::OtherWords;
        let has_other =
            !is_repetition && !message.is_empty() && (text.is_empty() || message.has_tool_calls());
        Ok(brought == Brought::More || has_other)
    }

    /// Takes what a message holds besides text and reasoning.
    fn take_rest(
        &mut self,
        message: &Message<'_>,
        sink: &mut impl FnMut(Delta<'_>),
    ) -> Result<(), AnswerError> {
        let refusal = message.refusal();
        if !refusal.is_empty() {
            self.ending.has_refused = true;
            self.text.push(refusal, sink);
        }
        self.note_odd(message.odd());
        if let Some(kind) = message.beside() {
            self.ending.beside = Some(kind);
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

    /// Takes note of what stands in the place of text and is none.
    fn note_odd(&mut self, kind: Option<&str>) {
        if let Some(kind) = kind {
            self.ending.not_text = Some(kind.to_owned());
        }
    }
}
