//! How often to poll (RFC 8628, section 3.5).

use std::time::Duration;

/// What `slow_down` adds to the interval, for good (RFC 8628, section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The longest wait after polls that got no answer, unless the interval is longer.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// A poll that did not end the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollOutcome {
    /// The person has not decided yet.
    Pending,
    /// The server wants fewer polls.
    SlowDown,
    /// No answer, or one by which the server says that it is not well; it may have said when to come back.
    Unreachable {
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
}

/// The rhythm of the polls. Pure: it neither waits nor looks at a clock.
#[derive(Clone, Debug)]
pub(super) struct Rhythm {
    interval: Duration,
    unanswered: u32,
}

impl Rhythm {
    /// Begins with the interval of the server.
    #[must_use]
    pub(super) const fn new(interval: Duration) -> Self {
        Self {
            interval,
            unanswered: 0,
        }
    }

    /// Returns how long to wait before the first poll.
    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns how long to wait, from the end of the last poll to the start of the next.
    ///
    /// `slow_down` adds five seconds for the rest of the exchange, not once (RFC 8628, section 3.5); a client that
    /// forgets is blocked by the server. Each poll without an answer doubles the wait, which begins above the interval
    /// and is never below it; an answer ends the doubling.
    pub(super) fn next_poll(&mut self, outcome: PollOutcome) -> Duration {
        match outcome {
            PollOutcome::Pending => self.unanswered = 0,
            PollOutcome::SlowDown => {
                self.unanswered = 0;
                self.interval = self.interval.saturating_add(SLOW_DOWN);
            }
            PollOutcome::Unreachable { retry_after } => {
                self.unanswered = (self.unanswered + 1).min(16);
                let doubled = self.interval.saturating_mul(1 << self.unanswered);
                let wait = doubled.min(LONGEST_BACK_OFF).max(self.interval);
                return wait.max(retry_after.unwrap_or_default());
            }
        }
        self.interval
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{PollOutcome, Rhythm};

    #[test]
    fn the_rhythm_follows_the_standard() {
        use PollOutcome::{Pending, SlowDown, Unreachable};
        let lost = Unreachable { retry_after: None };
        let told = |seconds| Unreachable {
            retry_after: Some(Duration::from_secs(seconds)),
        };
        for (interval, outcomes, waits) in [
            (5, vec![Pending, Pending], vec![5, 5]),
            (
                5,
                vec![SlowDown, Pending, SlowDown, Pending],
                vec![10, 10, 15, 15],
            ),
            (
                5,
                vec![lost, lost, lost, lost, Pending, lost],
                vec![10, 20, 40, 60, 5, 10],
            ),
            (90, vec![lost, lost], vec![90, 90]),
            (5, vec![SlowDown, lost, Pending], vec![10, 20, 10]),
            (5, vec![told(30), told(1), Pending], vec![30, 20, 5]),
        ] {
            let mut rhythm = Rhythm::new(Duration::from_secs(interval));
            let got: Vec<u64> = outcomes
                .iter()
                .map(|&outcome| rhythm.next_poll(outcome).as_secs())
                .collect();
            assert_eq!(got, waits, "{outcomes:?}");
        }
    }

    #[test]
    fn a_rhythm_never_overflows() {
        let mut rhythm = Rhythm::new(Duration::MAX);
        for outcome in [
            PollOutcome::SlowDown,
            PollOutcome::Unreachable {
                retry_after: Some(Duration::MAX),
            },
        ] {
            for _ in 0..100 {
                assert_eq!(rhythm.next_poll(outcome), Duration::MAX);
            }
        }
    }
}
