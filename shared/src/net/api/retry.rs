//! When to retry.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// The longest `Retry-After` that is waited for. A longer one is a refusal.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The first pause where the server names none; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// How many attempts are left, and how long to wait before the next.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    tries: u32,
    limit: u32,
}

impl Backoff {
    /// Allows one attempt and `retries` more.
    #[must_use]
    pub const fn new(retries: u32) -> Self {
        Self {
            tries: 1,
            limit: retries.saturating_add(1),
        }
    }

    /// Returns how many attempts have begun.
    #[must_use]
    pub const fn tries(&self) -> u32 {
        self.tries
    }

    /// Returns the most attempts.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Begins another attempt: returns the pause before it, or `None` when there is no attempt left or the server asks
    /// for more than [`LONGEST_WAIT`].
    ///
    /// `jitter` in 0..1 spreads the pauses of processes that failed together; it never shortens `retry_after`.
    pub fn next_pause(&mut self, retry_after: Option<Duration>, jitter: f64) -> Option<Duration> {
        if self.tries >= self.limit || retry_after.is_some_and(|wait| wait > LONGEST_WAIT) {
            return None;
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << (self.tries - 1).min(10));
        self.tries += 1;
        Some(match retry_after {
            Some(wait) => wait + FIRST_PAUSE.mul_f64(jitter / 2.0),
            None => doubled.min(LONGEST_PAUSE).mul_f64(0.75 + jitter / 2.0),
        })
    }
}

/// Returns a random number in 0..1.
#[must_use]
pub fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use std::time::Duration;

    #[test]
    fn pauses_double_and_tries_end() {
        let mut backoff = Backoff::new(3);
        let pauses: Vec<_> = std::iter::from_fn(|| backoff.next_pause(None, 0.5)).collect();
        assert_eq!(pauses, [500, 1000, 2000].map(Duration::from_millis));
        assert_eq!((backoff.tries(), backoff.limit()), (4, 4));
        assert_eq!(Backoff::new(0).next_pause(None, 0.5), None);
        let mut many = Backoff::new(u32::MAX);
        for _ in 0..100 {
            assert!(many.next_pause(None, 0.99).unwrap() <= Duration::from_secs(20));
        }
    }

    #[test]
    fn the_server_is_waited_for_as_long_as_it_asks_but_not_for_ever() {
        let asked = Duration::from_secs(7);
        assert_eq!(Backoff::new(1).next_pause(Some(asked), 0.0), Some(asked));
        assert!(Backoff::new(1).next_pause(Some(asked), 0.9).unwrap() > asked);
        assert_eq!(
            Backoff::new(1).next_pause(Some(Duration::from_secs(61)), 0.0),
            None
        );
    }
}
