//! When to try again.

use std::time::Duration;

/// The longest that a server may have us wait. A longer `Retry-After` is an answer, not a pause.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The first pause where the server names none; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// How many tries are left, and how long to wait before the next.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    tries: u32,
    limit: u32,
}

impl Backoff {
    /// Allows one try and so many more.
    #[must_use]
    pub const fn new(retries: u32) -> Self {
        Self {
            tries: 1,
            limit: retries.saturating_add(1),
        }
    }

    /// Returns how many tries have begun.
    #[must_use]
    pub const fn tries(&self) -> u32 {
        self.tries
    }

    /// Returns how many tries there are at most.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Begins another try: returns the pause before it, or `None` when there is no try left or the server asks for more
    /// patience than [`LONGEST_WAIT`].
    ///
    /// `asked` is the server's `Retry-After`. `chance` in 0..1 spreads the pauses of processes that failed together; it
    /// only ever adds to what the server asked for.
    pub fn next_pause(&mut self, asked: Option<Duration>, chance: f64) -> Option<Duration> {
        if self.tries >= self.limit || asked.is_some_and(|asked| asked > LONGEST_WAIT) {
            return None;
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << (self.tries - 1).min(10));
        self.tries += 1;
        Some(match asked {
            Some(asked) => asked + FIRST_PAUSE.mul_f64(chance / 2.0),
            None => doubled.min(LONGEST_PAUSE).mul_f64(0.75 + chance / 2.0),
        })
    }
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
