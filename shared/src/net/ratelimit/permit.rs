//! What became of a request.

use std::time::Duration;

use super::Pace;
use super::state::{Book, Millis, NO_TICKET};

/// How long the book's lock is waited for here. Not to get it costs others a moment, no more.
const LOCK_LIMIT: Duration = Duration::from_millis(50);

/// A request that may be sent now. Tell it what became of the request; a turn that hears nothing counts as used.
#[derive(Debug)]
#[must_use = "a turn is for one request, to be sent at once"]
pub struct Turn {
    pace: Pace,
    ticket: u64,
}

impl Turn {
    pub(super) fn new(pace: &Pace, ticket: u64) -> Self {
        Self {
            pace: pace.clone(),
            ticket,
        }
    }

    /// The head of an answer has come, whatever its status: from now on the request's minute runs for certain.
    pub fn answered(&self) {
        if self.ticket != NO_TICKET {
            let window = self.pace.0.limits.window;
            self.change(|book, now| book.answered(self.ticket, window, now));
        }
    }

    /// The server asks to wait (429 or 503 with `Retry-After`): so do all processes then, for 60 s at most.
    ///
    /// A longer pause is no matter of pace but a refusal: the next process hears it for itself.
    pub fn held_back(&self, pause: Duration) {
        if !pause.is_zero() && pause <= super::LONGEST_PAUSE && self.pace.0.holds {
            let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            self.change(|book, now| book.hold_back(pause, now));
        }
    }

    /// The request did not reach the server: no connection. It does not count then.
    pub fn not_sent(self) {
        if self.ticket != NO_TICKET {
            self.change(|book, now| book.not_sent(self.ticket, now));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Book, Millis)) {
        if let Some(ledger) = &self.pace.0.ledger {
            // A trouble was told when the turn was taken, or is none of the user's.
            let _ = ledger.change(LOCK_LIMIT, change);
        }
    }
}
