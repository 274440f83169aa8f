//! Why a request got no response.

use std::time::Duration;

use super::retry::LONGEST_WAIT;
use crate::exit::Failure;
use crate::net::chat::{Asked, ErrorKind, Refusal};
use crate::net::http::HttpError;

/// Why there is no response.
#[derive(Debug)]
pub enum SendError {
    /// The request could not be made; another attempt would not change that.
    Failed(Failure),
    /// No HTTP response.
    Http(HttpError),
    /// A status other than 2xx.
    Refused(Refusal),
}

impl SendError {
    /// Turns it into a failure that names the server, with hints that fit what was asked for.
    #[must_use]
    pub fn failure(self, server: &str, asked: Asked) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::Http(error) => error.failure(server),
            Self::Refused(refusal) => {
                let failure = refusal.failure(server, asked);
                match refusal.verdict.wait.filter(|wait| *wait > LONGEST_WAIT) {
                    Some(wait) => failure.hint(format!("the server asks to wait {} s", wait.as_secs())),
                    None => failure,
                }
            }
        }
    }

    /// True when the server refuses the credential.
    #[must_use]
    pub const fn is_refused_credential(&self) -> bool {
        matches!(self, Self::Refused(refusal) if matches!(refusal.verdict.kind, ErrorKind::Auth))
    }

    /// True when another attempt may succeed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Failed(_) => false,
            Self::Http(error) => error.is_unsent() || matches!(error, HttpError::Reset(_)),
            Self::Refused(refusal) => refusal.verdict.retry,
        }
    }

    /// Returns how long the server asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.verdict.wait,
            _ => None,
        }
    }

    /// Returns the message without the name of the server.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Failed(failure) => failure.message.clone(),
            Self::Http(error) => error.to_string(),
            Self::Refused(refusal) => refusal.describe(),
        }
    }
}

impl From<HttpError> for SendError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}
