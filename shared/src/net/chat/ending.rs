//! The end of an answer: what is known of it, and whether it is one.

use super::api_error::ApiError;
use super::error::AnswerError;
use super::finish_reason::{FinishReason, Meaning};

/// What is known about the end of an answer.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// Why the model stopped.
    pub(super) reason: Option<FinishReason>,
    /// `[DONE]` has come.
    pub(super) is_done: bool,
    /// A choice has come.
    pub(super) has_choice: bool,
    /// A JSON document that is a whole answer.
    pub(super) is_document: bool,
    /// The stream ended within an event.
    pub(super) is_mid_event: bool,
    /// A whole message that came after the deltas says something else.
    pub(super) differs: bool,
    pub(super) has_refused: bool,
    /// The provider says that its filter cut the answer.
    pub(super) is_filtered: bool,
    /// The kind of what stood in the place of text and is none.
    pub(super) not_text: Option<String>,
    /// The kind of what came beside the text and is none.
    pub(super) beside: Option<&'static str>,
    /// What an event said that is no part of an answer.
    pub(super) foreign: Option<String>,
    /// Words that came last, and are an error unless more of the answer follows.
    pub(super) said: Option<ApiError>,
    /// An event of an unknown form, with text that may be a part of the answer.
    pub(super) unread: Option<String>,
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
}

/// What of an answer has come, besides its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Came {
    pub(super) text: bool,
    pub(super) reasoning: bool,
    pub(super) tool_calls: bool,
}

impl Ending {
    /// Takes note of a part of the answer; `says` is true where it brings more than its finish reason. `event` is its number.
    pub(super) fn take_part(&mut self, says: bool, reason: Option<FinishReason>, event: u64) {
        let Some(reason) = reason else {
            self.has_chunk_without = true;
            self.has_text_without |= says;
            return;
        };
        self.reason = Some(match self.reason.take() {
            Some(earlier) => earlier.worse(reason),
            None => {
                self.reason_at = event;
                reason
            }
        });
        self.is_alone = !says;
    }

    /// Forgets a finish reason that more of the answer follows.
    pub(super) fn withdraw_reason(&mut self) {
        if self.reason.take().is_some() {
            self.is_unreliable = true;
            self.has_tail = false;
        }
    }

    /// Takes note of a count of tokens.
    pub(super) const fn take_usage(&mut self) {
        self.has_tail = self.reason.is_some();
    }

    /// True once there is nothing left to wait for.
    pub(super) const fn is_over(&self) -> bool {
        self.is_done || self.has_tail && self.is_complete()
    }

    /// True once the end is known.
    pub(super) const fn is_complete(&self) -> bool {
        self.is_done
            || self.reason.is_some()
                && !self.is_unreliable
                && (self.has_text_without || self.is_alone && self.has_chunk_without)
    }

    /// Returns the number of the event since which nothing but a count of tokens can follow.
    pub(super) fn awaits_tail(&self) -> Option<u64> {
        (self.is_complete() && self.is_alone).then_some(self.reason_at)
    }

    /// Says why the answer is not whole after the end of the body.
    pub(super) fn judge(&self, came: Came) -> Result<(), AnswerError> {
        let said = || self.said.clone().map(AnswerError::Api);
        if !self.has_choice {
            return Err(said().unwrap_or_else(|| AnswerError::NoChoice(self.foreign.clone())));
        }
        if let Some(kind) = &self.not_text {
            return Err(AnswerError::NotText(kind.clone()));
        }
        let incomplete = || {
            let is_withdrawn = self.is_unreliable && self.reason.is_none();
            Err(said().unwrap_or(AnswerError::Incomplete { is_withdrawn }))
        };
        match &self.reason {
            Some(reason) if reason.is_interruption() => {
                return Err(AnswerError::Interrupted(reason.clone()));
            }
            Some(_) if self.is_mid_event && !self.is_complete() => return incomplete(),
            Some(_) => {}
            None if self.is_document => {}
            None if self.is_done && (came.text || came.tool_calls || self.beside.is_some()) => {}
            None => return incomplete(),
        }
        let is_void = !came.text && !came.tool_calls;
        match self.beside {
            Some(kind) if is_void => Err(AnswerError::NotText(kind.to_owned())),
            // All of the answer, it seems, came in a form that is not known.
            None if is_void && self.unread.is_some() => Err(AnswerError::NoChoice(self.unread.clone())),
            _ => Ok(()),
        }
    }

    /// Says what is doubtful about an answer that is whole as a stream.
    pub(super) fn caveats(&self, came: Came) -> Vec<String> {
        let of_reason = self.reason.as_ref().and_then(FinishReason::caveat);
        let doubts = self.doubts(came).into_iter().filter(|(is_so, _)| *is_so);
        let doubts = doubts.map(|(_, words)| words.to_owned());
        let beside = self
            .beside
            .map(|kind| format!("the answer holds more than text, which is not shown: '{kind}'"));
        let unread = self.unread.as_ref().map(|words| {
            format!("an event of an unknown form came with the answer, and is not shown: '{words}'")
        });
        let caveats = of_reason.into_iter().chain(doubts).chain(beside);
        let mut caveats: Vec<String> = caveats.chain(unread).collect();
        if !came.text && !came.tool_calls && caveats.is_empty() {
            caveats.push(match came.reasoning {
                true => "the answer is empty: nothing but reasoning came".to_owned(),
                false => "the answer is empty".to_owned(),
            });
        }
        caveats
    }

    /// What may be doubtful, and whether it is.
    fn doubts(&self, came: Came) -> [(bool, &'static str); 6] {
        let is = |meaning| {
            self.reason
                .as_ref()
                .is_some_and(|reason| reason.meaning == meaning)
        };
        let has_no_reason = self.reason.is_none() && !self.is_document;
        [
            (
                self.has_refused && !is(Meaning::Refusal),
                "the model refused to answer",
            ),
            (
                self.is_filtered && !is(Meaning::Filter),
                "the answer is cut: by the provider's filter",
            ),
            (
                has_no_reason && !self.is_unreliable,
                "the answer may be incomplete: the server named no finish reason",
            ),
            (
                has_no_reason && self.is_unreliable,
                "the answer may be incomplete: it went on after its finish reason, and no other one came",
            ),
            (
                is(Meaning::ToolCalls) && !came.tool_calls,
                "the model wanted to call a tool, and no call came",
            ),
            (
                self.differs,
                "the server repeated the answer in other words; the first ones are shown",
            ),
        ]
    }
}
