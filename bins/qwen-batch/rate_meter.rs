//! How fast results come.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time over which the rate is taken.
const WINDOW: Duration = Duration::from_secs(60);
/// How often a count is kept.
const STEP: Duration = Duration::from_millis(250);

/// The rate of the last minute. Counts nothing that an earlier run did.
#[derive(Debug)]
pub(crate) struct RateMeter {
    count: u64,
    /// When there were how many, from oldest to newest.
    samples: VecDeque<(Instant, u64)>,
}

impl RateMeter {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            count: 0,
            samples: VecDeque::from([(now, 0)]),
        }
    }

    pub(crate) fn step(&mut self, now: Instant) {
        self.count += 1;
        let is_due = |last: &(Instant, u64)| now.saturating_duration_since(last.0) >= STEP;
        if self.samples.back().is_none_or(is_due) {
            self.samples.push_back((now, self.count));
            while self.samples.len() > 2 && self.samples.get(1).is_some_and(|next| now - next.0 > WINDOW) {
                self.samples.pop_front();
            }
        }
    }

    /// Returns how many come in a second, 0 before the first.
    pub(crate) fn per_second(&self, now: Instant) -> f64 {
        let oldest = self
            .samples
            .iter()
            .find(|(at, _)| now.saturating_duration_since(*at) <= WINDOW);
        let Some((at, count)) = oldest.or(self.samples.back()) else {
            return 0.0;
        };
        let elapsed = now.saturating_duration_since(*at).as_secs_f64();
        (self.count - count) as f64 / elapsed.max(0.001)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::RateMeter;

    #[test]
    fn the_rate_is_that_of_the_last_minute() {
        let start = Instant::now();
        let mut meter = RateMeter::new(start);
        assert!(meter.per_second(start) < 0.5);
        let mut now = start;
        for (count, pause) in [(100, 1_000), (600, 200)] {
            for _ in 0..count {
                now += Duration::from_millis(pause);
                meter.step(now);
            }
            let rate = meter.per_second(now);
            assert!((rate - 1000.0 / pause as f64).abs() < 0.1, "{rate}");
        }
        assert!(meter.per_second(now + Duration::from_secs(120)) < 0.1);
    }
}
