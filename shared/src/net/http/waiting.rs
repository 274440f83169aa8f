//! What is waited for, and until when.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::error::{HttpError, Phase};

/// After so long a silence it is told what is waited for.
pub const SILENCE: Duration = Duration::from_secs(30);

/// A wait that has become long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What is waited for.
    pub(super) stage: Phase,
    /// For how long.
    pub(super) silence: Duration,
    /// The limit that ends it, if nothing comes.
    pub limit: (Phase, Duration),
}

impl Waiting {
    /// Makes it of what is waited for, since when and until when, and the end of the request as a whole.
    pub(super) fn new(
        stage: Phase,
        since: Instant,
        limit: Duration,
        deadline: Option<(Instant, Duration)>,
    ) -> Self {
        Self {
            stage,
            silence: since.elapsed(),
            limit: match deadline {
                Some((at, total)) if at < since + limit => (Phase::Total, total),
                _ => (stage, limit),
            },
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.silence.as_secs();
        match self.stage {
            Phase::Connect => write!(f, "no connection for {seconds} s"),
            Phase::Upload => write!(f, "nothing of the request was taken for {seconds} s"),
            Phase::FirstByte | Phase::Total => write!(f, "waiting for the first word for {seconds} s"),
            Phase::Idle => write!(f, "nothing of the answer for {seconds} s"),
            Phase::Progress => write!(f, "nothing new of the answer for {seconds} s"),
        }?;
        write!(f, "; giving up after {} s", self.limit.1.as_secs_f64())
    }
}

/// Returns the earlier of a phase's end and the deadline of the whole request, and the error for it.
pub(super) fn nearer(
    deadline: Option<(Instant, Duration)>,
    end: Instant,
    error: HttpError,
) -> (Instant, HttpError) {
    match deadline {
        Some((at, total)) if at < end => (at, HttpError::Timeout(Phase::Total, total)),
        _ => (end, error),
    }
}
