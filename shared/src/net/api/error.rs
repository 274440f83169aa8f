//! Why a call got no answer, or not all of it.

use std::borrow::Cow;
use std::time::Duration;

use crate::exit::{Exit, Failure};
use crate::net::chat::{AnswerError, Asked, ErrorKind, Refusal, Verdict};
use crate::net::http::HttpError;

/// Why there is no complete answer.
#[derive(Debug)]
pub enum Error {
    /// Nothing that the server did: the request cannot be made, the answer cannot be written.
    Failed(Failure),
    /// No HTTP response, or only a part of one.
    Http(HttpError),
    /// A status other than 2xx.
    Refused(Refusal),
    /// The answer is invalid, incomplete, or reports an error.
    Answer(AnswerError),
    /// The caller wants no answer any more.
    Stopped,
}

impl Error {
    /// Turns it into a failure that names the server.
    #[must_use]
    pub fn failure(self, server: &str, asked: Asked) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::Http(error) => error.failure(server),
            Self::Refused(refusal) => refusal.failure(server, asked),
            Self::Answer(error) => error.failure(server),
            Self::Stopped => Failure::new(Exit::TryAgain, "stopped"),
        }
    }

    /// Returns what the server means by it; `None` when the server did not say anything.
    #[must_use]
    pub fn verdict(&self) -> Option<Cow<'_, Verdict>> {
        match self {
            Self::Refused(refusal) => Some(Cow::Borrowed(&refusal.verdict)),
            Self::Answer(AnswerError::Api(error)) => Some(Cow::Owned(error.verdict())),
            _ => None,
        }
    }

    /// Returns what the server says it is about.
    #[must_use]
    pub fn kind(&self) -> Option<ErrorKind> {
        Some(self.verdict()?.kind)
    }

    /// Returns how long the server asks to wait.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.verdict()?.wait
    }

    /// Returns the message without the name of the server.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Failed(failure) => failure.message.clone(),
            Self::Http(error) => error.to_string(),
            Self::Refused(refusal) => refusal.describe(),
            Self::Answer(error) => error.to_string(),
            Self::Stopped => "stopped".to_owned(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl From<AnswerError> for Error {
    fn from(error: AnswerError) -> Self {
        Self::Answer(error)
    }
}
