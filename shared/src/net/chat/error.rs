//! Why a body is not a complete answer.

use std::fmt;

use super::api_error::{ApiError, MESSAGE_LIMIT};
use super::finish_reason::{FinishReason, Meaning};
use super::verdict::Asked;
use crate::exit::{Exit, Failure};
use crate::text::{clip, one_line};

/// The largest event that is kept, in bytes. Servers have sent single events of 8 MiB; what is larger is an attack.
pub(super) const EVENT_LIMIT: usize = 64 << 20;

/// The most bytes of one answer that are kept, of all that must be kept until its end.
pub const ANSWER_LIMIT: usize = 64 << 20;

/// Why a body is not a complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The body is something else: a captive portal's page, another service's answer. With its content type.
    NotAnAnswer(String),
    /// The body is JSON, but no answer. With the JSON.
    OtherJson(String),
    /// The body is plain text. With the beginning of it.
    OtherText(String),
    /// An event, or the whole body, is not valid JSON.
    Malformed(String),
    /// One event, or a whole answer in one piece, is larger than 64 MiB.
    TooLong,
    /// What has to be kept of the answer is more than 64 MiB, or more tool calls than anybody makes.
    TooMuch,
    /// The server reports an error in the answer.
    Api(ApiError),
    /// In the place of text stands something of that kind, which is no text.
    NotText(String),
    /// The server says that it was interrupted.
    Interrupted(FinishReason),
    /// The body ended, without an error, and no part of it was an answer. With what it said instead.
    NoChoice(Option<String>),
    /// The answer is whole, and nothing is in it.
    Empty,
    /// The body ended, without an error, before the answer did.
    Incomplete {
        /// A finish reason had come, and more of the answer after it.
        is_withdrawn: bool,
    },
}

impl AnswerError {
    /// Returns how a program ends because of it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Api(error) => error.verdict().exit(),
            Self::Interrupted(reason) if reason.meaning == Meaning::Busy => Exit::TryAgain,
            _ => Exit::Protocol,
        }
    }

    /// Turns it into a failure that names the server.
    #[must_use]
    pub fn failure(&self, server: &str) -> Failure {
        let failure = Failure::new(self.exit(), format!("'{server}': {self}"));
        match self {
            Self::NotAnAnswer(_) | Self::OtherText(_) => {
                failure.hint("check the base URL, and whether this network wants you to log in to it first")
            }
            Self::Api(error) => error
                .verdict()
                .hints(Asked::Chat)
                .into_iter()
                .fold(failure, Failure::hint),
            Self::OtherJson(_) | Self::NoChoice(Some(_)) => {
                failure.hint("check the base URL: many end in '/v1'")
            }
            _ => failure,
        }
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnAnswer(kind) => write_kind(f, "not an API answer: the content type is", kind),
            Self::OtherJson(said) | Self::OtherText(said) | Self::NoChoice(Some(said)) => {
                write_said(f, "not an API answer", said)
            }
            Self::Malformed(reason) => write_said(f, "the answer is malformed", reason),
            Self::TooLong => write!(
                f,
                "the answer is malformed: an event is larger than {} MiB",
                EVENT_LIMIT >> 20
            ),
            Self::TooMuch => write!(
                f,
                "the answer is too large: more than {} MiB would have to be kept",
                ANSWER_LIMIT >> 20
            ),
            Self::Api(error) => write!(f, "error within the answer: {}", error.describe()),
            Self::NotText(kind) => write_kind(f, "the answer holds what is no text:", kind),
            Self::Interrupted(reason) => write!(
                f,
                "the server interrupted the answer (finish_reason {})",
                reason.quoted()
            ),
            Self::Empty => f.write_str("the answer is empty"),
            Self::NoChoice(None) => f.write_str("the answer is incomplete: it ended before it began"),
            Self::Incomplete { is_withdrawn: false } => {
                f.write_str("the answer is incomplete: it ended without a finish reason")
            }
            Self::Incomplete { is_withdrawn: true } => f.write_str(
                "the answer is incomplete: it went on after its finish reason, and ended without another one",
            ),
        }
    }
}

impl std::error::Error for AnswerError {}

/// Writes a message and what the server said, on one line.
fn write_said(f: &mut fmt::Formatter<'_>, message: &str, said: &str) -> fmt::Result {
    write!(f, "{message}: {}", clip(one_line(said).trim(), MESSAGE_LIMIT))
}

/// Writes a message and the server's name for what it sent, on one line.
fn write_kind(f: &mut fmt::Formatter<'_>, message: &str, kind: &str) -> fmt::Result {
    const LONGEST: usize = 60;
    write!(f, "{message} '{}'", clip(one_line(kind).trim(), LONGEST))
}
