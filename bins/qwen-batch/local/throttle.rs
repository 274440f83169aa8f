//! How fast requests to one model are sent: additive increase, multiplicative decrease (AIMD), as TCP has it.
//!
//! Nothing is held back until the server refuses for too many requests (429). Where it names a pause, that is kept.
//! Where it names none, the pace becomes what got through since the last refusal, and a little less; every answer
//! raises it again. While nothing gets through, the pauses double; those that the server names are then the least.

use std::time::{Duration, Instant};

/// The pause after the first refusal where the server names none; each further one without an answer between them is
/// twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A pause that the server names counts up to this: the clock knows no moment that is further away.
const LONGEST_NAMED: Duration = Duration::from_secs(100 * 24 * 3600);
/// The pace after a first refusal before any answer.
const FIRST_INTERVAL: Duration = Duration::from_millis(100);
/// What each answer takes off the interval.
const GROWTH: f64 = 1.05;
/// A pace faster than this is no limit any more.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);
/// What got through in less time, or in fewer answers, says nothing about a rate.
const SHORTEST_MEASURE: Duration = Duration::from_secs(1);
const FEWEST_ANSWERS: u32 = 3;

#[derive(Debug)]
pub(super) struct Throttle {
    /// The least time between two requests; `None` where there is none.
    interval: Option<Duration>,
    /// Nothing is sent before.
    next: Option<Instant>,
    pause: Duration,
    /// True from a refusal until an answer.
    is_refusing: bool,
    /// The answers since `since`, when the pace was last lowered.
    answers: u32,
    since: Instant,
    /// How often the run was held. A refusal of a request that was sent before is about the pace that was.
    epoch: u64,
    /// The sum of the pauses since the last answer.
    waited: Duration,
}

impl Throttle {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            interval: None,
            next: None,
            pause: Duration::ZERO,
            is_refusing: false,
            answers: 0,
            since: now,
            epoch: 0,
            waited: Duration::ZERO,
        }
    }

    /// Returns when the next request may be sent; `None` for now: it counts as sent then.
    pub(super) fn turn(&mut self, now: Instant) -> Option<Instant> {
        if let Some(next) = self.next.filter(|next| *next > now) {
            return Some(next);
        }
        self.next = self.interval.map(|interval| now + interval);
        None
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the sum of the pauses since the last answer.
    pub(super) const fn waited(&self) -> Duration {
        self.waited
    }

    pub(super) fn answered(&mut self) {
        self.answers = self.answers.saturating_add(1);
        (self.pause, self.waited) = (Duration::ZERO, Duration::ZERO);
        self.is_refusing = false;
        self.interval = self
            .interval
            .map(|interval| interval.div_f64(GROWTH))
            .filter(|interval| *interval > SHORTEST_INTERVAL);
    }

    /// Takes note of a 429 to a request that was sent in that epoch. Returns how long nothing is sent, unless this was
    /// known already. A pause of ours ends where patience does; one that the server names may end after it.
    pub(super) fn refused(
        &mut self,
        epoch: u64,
        named: Option<Duration>,
        patience: Duration,
        now: Instant,
    ) -> Option<Duration> {
        let named = named.map(|wait| wait.min(LONGEST_NAMED));
        if epoch < self.epoch {
            if let Some(until) = named.map(|wait| now + wait) {
                self.next = self.next.max(Some(until));
            }
            return None;
        }
        self.epoch += 1;
        if named.is_none() {
            self.slow_down(now);
        }
        // A server that refuses again after the pause that it named has named too short a one.
        let is_again = std::mem::replace(&mut self.is_refusing, true);
        let pause = match named {
            Some(named) if !is_again => named,
            _ => self.grow_pause(patience).max(named.unwrap_or_default()),
        };
        self.waited += pause;
        self.next = self.next.max(Some(now + pause));
        Some(pause)
    }

    /// Returns the pause that is ours, twice as long as the one before, or what is left of patience.
    fn grow_pause(&mut self, patience: Duration) -> Duration {
        self.pause = match self.pause {
            Duration::ZERO => FIRST_PAUSE,
            pause => (2 * pause).min(LONGEST_PAUSE),
        };
        match patience.saturating_sub(self.waited) {
            Duration::ZERO => self.pause,
            left => self.pause.min(left),
        }
    }

    /// Lowers the pace once for all refusals without an answer between them.
    fn slow_down(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        let is_measured = elapsed >= SHORTEST_MEASURE && self.answers >= FEWEST_ANSWERS;
        let measured = is_measured.then(|| elapsed / self.answers);
        self.interval = match (self.interval, measured) {
            (Some(interval), _) if self.answers == 0 => Some(interval),
            (Some(interval), Some(measured)) => Some(measured.mul_f64(1.1).max(interval.mul_f64(1.25))),
            (Some(interval), None) => Some(2 * interval),
            (None, _) if self.answers == 0 => Some(FIRST_INTERVAL),
            (None, _) => Some(2 * elapsed / self.answers),
        };
        self.interval = self.interval.map(|interval| interval.min(LONGEST_PAUSE));
        (self.answers, self.since) = (0, now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Throttle;

    /// Asks a server for `count` answers, one request at a time; returns how long it took and how many were refused.
    fn simulate(count: u32, mut accepts: impl FnMut(Duration) -> bool) -> (Duration, u32) {
        let start = Instant::now();
        let (mut now, mut refused, mut answered) = (start, 0, 0);
        let mut throttle = Throttle::new(start);
        while answered < count {
            if let Some(next) = throttle.turn(now) {
                now = next;
                continue;
            }
            let epoch = throttle.epoch();
            now += Duration::from_millis(5);
            if accepts(now - start) {
                throttle.answered();
                answered += 1;
            } else {
                throttle.refused(epoch, None, Duration::MAX, now);
                refused += 1;
            }
        }
        (now - start, refused)
    }

    #[test]
    fn a_leaky_bucket_is_found_and_kept_nearly_full() {
        // nginx's limit_req at 30 a minute without a burst.
        let mut last = None;
        let (time, refused) = simulate(60, |now| {
            let is_due = last.is_none_or(|last| now >= last + Duration::from_secs(2));
            if is_due {
                last = Some(now);
            }
            is_due
        });
        println!("{time:?}, {refused} refused");
        assert!(time < Duration::from_secs(2 * 60 * 17 / 10), "{time:?}");
        assert!(refused < 60, "{refused}");
    }

    #[test]
    fn a_window_is_found_and_kept_nearly_full() {
        let (mut window, mut used) = (0, 0);
        let (time, refused) = simulate(200, |now| {
            let current = now.as_secs() / 25;
            if current != window {
                (window, used) = (current, 0);
            }
            used += 1;
            used <= 20
        });
        println!("{time:?}, {refused} refused");
        assert!(time < Duration::from_secs(225 * 17 / 10), "{time:?}");
    }

    #[test]
    fn a_limit_that_is_lifted_is_left_behind() {
        let (time, _) = simulate(2_000, |now| now > Duration::from_secs(30));
        println!("{time:?}");
        assert!(time < Duration::from_secs(240), "{time:?}");
    }

    #[test]
    fn a_pause_that_the_server_names_is_kept_by_all_and_slows_nothing_else() {
        let now = Instant::now();
        let wait = Duration::from_secs(25);
        let mut throttle = Throttle::new(now);
        assert_eq!(throttle.turn(now), None);
        assert_eq!(throttle.refused(0, Some(wait), Duration::MAX, now), Some(wait));
        // One that was under way already.
        assert_eq!(throttle.refused(0, Some(wait), Duration::MAX, now), None);
        assert_eq!(throttle.turn(now), Some(now + wait));
        for _ in 0..100 {
            assert_eq!(throttle.turn(now + wait), None);
        }
        assert_eq!(throttle.waited(), wait);
        throttle.answered();
        assert_eq!(throttle.waited(), Duration::ZERO);
    }

    #[test]
    fn a_named_pause_that_does_not_help_is_the_least_of_pauses_that_grow() {
        for (named, expected) in [
            (0, [0, 500, 1_000, 2_000, 4_000]),
            (1, [1, 500, 1_000, 2_000, 4_000]),
            (1_500, [1_500, 1_500, 1_500, 2_000, 4_000]),
        ] {
            let mut now = Instant::now();
            let mut throttle = Throttle::new(now);
            // From the beginning again after an answer.
            for _ in 0..2 {
                for (count, pause) in (0..).zip(expected) {
                    let pause = Duration::from_millis(pause);
                    let refused = throttle.refused(
                        throttle.epoch(),
                        Some(Duration::from_millis(named)),
                        Duration::MAX,
                        now,
                    );
                    assert_eq!(refused, Some(pause), "{named}, {count}");
                    now += pause;
                }
                assert_eq!(throttle.waited().as_millis(), expected.iter().sum::<u64>().into());
                throttle.answered();
            }
        }
    }

    #[test]
    fn a_pause_of_ours_ends_where_patience_does() {
        let (now, patience) = (Instant::now(), Duration::from_secs(3));
        let mut throttle = Throttle::new(now);
        let mut refused = |named| throttle.refused(throttle.epoch(), named, patience, now);
        let pauses = [500, 1_000, 1_500].map(|pause| Some(Duration::from_millis(pause)));
        assert_eq!([None; 3].map(&mut refused), pauses);
        assert!(throttle.waited() == patience);
        // The last try was refused too.
        throttle.refused(throttle.epoch(), None, patience, now);
        assert!(throttle.waited() > patience);
        throttle.answered();
        let named = Duration::from_secs(4);
        let pause = throttle.refused(throttle.epoch(), Some(named), patience, now);
        assert_eq!(pause, Some(named));
        assert!(throttle.waited() > patience);
    }

    #[test]
    fn no_pause_is_too_long_for_the_clock() {
        let now = Instant::now();
        let mut throttle = Throttle::new(now);
        for _ in 0..3 {
            // Of this pace, and of the one before.
            throttle.refused(throttle.epoch(), Some(Duration::MAX), Duration::MAX, now);
            throttle.refused(0, Some(Duration::MAX), Duration::MAX, now);
        }
        assert!(throttle.turn(now).is_some());
    }
}
