//! The rate limit's state: who is next, how long to wait, what was counted.

use serde::{Deserialize, Serialize};

/// Milliseconds since the epoch. Wall time, because it is compared across processes and restarts.
pub(super) type Millis = u64;

/// The version of the file's form.
const VERSION: u8 = 1;
/// How long starts are kept: longer than the longest window.
const KEPT: Millis = 61_000;
/// The most starts that are kept: more than any window counts.
const MOST_STARTS: usize = 300;
/// The most that a start may lie ahead of the clock: more than the longest window's margin.
const AHEAD: Millis = KEPT / 15;
/// How long a waiter keeps its place without being heard of. A process that died must not hold up the others for long.
const LEASE: Millis = 5_000;
/// How often a waiter has to call at least, to keep its place and to see what changed.
pub(super) const HEARTBEAT: Millis = 1_000;
/// The longest pause that a server's word can impose on everybody.
const LONGEST_PAUSE: Millis = 60_000;
/// What a waiter has before it is given a ticket, and a request that is not counted. No ticket is 0.
pub(super) const NO_TICKET: u64 = 0;
/// A day of UTC.
const DAY: Millis = 86_400_000;

/// What the quota allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) window: Option<Window>,
    pub(super) per_day: Option<u32>,
}

impl Limits {
    /// True when there is nothing to keep.
    pub(super) const fn is_none(&self) -> bool {
        self.window.is_none() && self.per_day.is_none()
    }
}

/// What a waiter is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send the request now: it has been counted.
    Go,
    /// Its turn comes in this many milliseconds, as it looks now.
    Wait(Millis, Why),
    /// The day's quota is used up; it renews at this time.
    UsedUp(Millis),
}

/// Why there is a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The quota has no room.
    Quota,
    /// The server asked for a pause.
    Server,
}

/// A request that was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Start {
    ticket: u64,
    /// When the server got it, at the latest: an estimate until its answer has come.
    at: Millis,
}

/// A request that waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiter {
    ticket: u64,
    lease: Millis,
}

/// The requests of one credential: those of the last minute, those that wait, and the day's count.
///
/// Waiters are served in the order in which they came; but one that is slow to wake does not hold up those behind it
/// for whom there is room as well. One that has not been heard of for five seconds has lost its place.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Book {
    version: u8,
    next: u64,
    starts: Vec<Start>,
    queue: Vec<Waiter>,
    not_before: Millis,
    day: u64,
    count: u32,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            version: VERSION,
            next: 1,
            starts: Vec::new(),
            queue: Vec::new(),
            not_before: 0,
            day: 0,
            count: 0,
        }
    }
}

impl Book {
    /// Reads a book; `None` when it is not one.
    pub(super) fn from_json(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes)
            .ok()
            .filter(|book: &Self| book.version == VERSION)
    }

    /// Writes the book.
    ///
    /// # Errors
    /// None in practice: it holds nothing but numbers.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Returns the day's count.
    pub(super) const fn today(&self, now: Millis) -> u32 {
        if self.day == now / DAY { self.count } else { 0 }
    }

    /// Returns how long a server's word still holds everybody back.
    pub(super) fn pause(&self, now: Millis) -> Millis {
        self.not_before.saturating_sub(now).min(LONGEST_PAUSE)
    }

    /// Takes a place at the end of the queue and returns its ticket.
    fn enter(&mut self, now: Millis) -> u64 {
        let ticket = self.next.max(1);
        self.next = self.next.wrapping_add(1).max(1);
        self.queue.push(Waiter {
            ticket,
            lease: now.saturating_add(LEASE),
        });
        ticket
    }

    /// Asks whether it is the ticket's turn. A ticket that has lost its place gets a new one at the end.
    pub(super) fn step(&mut self, ticket: &mut u64, limits: Limits, now: Millis) -> Step {
        self.settle(now);
        if limits.per_day.is_some_and(|most| self.count >= most) {
            self.leave(*ticket);
            return Step::UsedUp((now / DAY + 1) * DAY);
        }
        let place = match self.place_of(*ticket) {
            Some(place) => place,
            None => {
                *ticket = self.enter(now);
                self.queue.len() - 1
            }
        };
        let turn = self.turn_of(place, limits.window, now);
        if turn > now {
            self.queue[place].lease = now.saturating_add(LEASE);
            let why = if turn == self.not_before {
                Why::Server
            } else {
                Why::Quota
            };
            return Step::Wait(turn - now, why);
        }
        self.queue.remove(place);
        self.start(*ticket, limits.window, now);
        Step::Go
    }

    /// Counts a request that does not wait for its turn, and returns its ticket.
    pub(super) fn jump(&mut self, limits: Limits, now: Millis) -> u64 {
        self.settle(now);
        let ticket = self.enter(now);
        self.leave(ticket);
        self.start(ticket, limits.window, now);
        ticket
    }

    fn start(&mut self, ticket: u64, window: Option<Window>, now: Millis) {
        let margin = window.map_or(0, |window| window.margin());
        self.insert(Start {
            ticket,
            at: now.saturating_add(margin),
        });
        self.count = self.count.saturating_add(1);
    }

    /// Gives up a place.
    pub(super) fn leave(&mut self, ticket: u64) {
        self.queue.retain(|waiter| waiter.ticket != ticket);
    }

    /// Takes note that the request's answer has begun: the server has had it by now.
    ///
    /// A prompt answer tells when, better than the estimate does, which a machine under load may have belied. Of a slow
    /// one the server may have had the question all the while.
    pub(super) fn answered(&mut self, ticket: u64, window: Option<Window>, now: Millis) {
        let Some(window) = window else { return };
        let Some(place) = self.starts.iter().position(|start| start.ticket == ticket) else {
            return;
        };
        // The clock counts whole milliseconds: the answer came within this one.
        let heard = now.saturating_add(1);
        let let_go = self.starts[place].at.saturating_sub(window.margin());
        if heard <= let_go.saturating_add(window.prompt()) {
            let mut start = self.starts.remove(place);
            start.at = heard;
            self.insert(start);
        }
    }

    /// Takes note that the request never reached the server.
    pub(super) fn not_sent(&mut self, ticket: u64, now: Millis) {
        let before = self.starts.len();
        self.starts.retain(|start| start.ticket != ticket);
        if self.starts.len() < before && self.day == now / DAY {
            self.count = self.count.saturating_sub(1);
        }
    }

    /// Takes note that the server asks to wait.
    pub(super) fn hold_back(&mut self, pause: Millis, now: Millis) {
        let until = now.saturating_add(pause.min(LONGEST_PAUSE));
        self.not_before = self.not_before.max(until);
    }

    /// Drops what no longer counts, and makes sense of what a step of the clock has left ahead of it.
    fn settle(&mut self, now: Millis) {
        for start in &mut self.starts {
            if start.at > now.saturating_add(AHEAD) {
                start.at = now;
            }
        }
        self.starts.retain(|start| start.at.saturating_add(KEPT) > now);
        self.starts.sort_by_key(|start| start.at);
        let surplus = self.starts.len().saturating_sub(MOST_STARTS);
        self.starts.drain(..surplus);
        for waiter in &mut self.queue {
            waiter.lease = waiter.lease.min(now.saturating_add(LEASE));
        }
        self.queue.retain(|waiter| waiter.lease > now);
        self.not_before = self.not_before.min(now.saturating_add(LONGEST_PAUSE));
        let today = now / DAY;
        // A clock set back over midnight does not renew the quota; a day further ahead was never a true one.
        if self.day != today && self.day != today + 1 {
            self.count = 0;
        }
        self.day = today;
    }

    fn place_of(&self, ticket: u64) -> Option<usize> {
        self.queue.iter().position(|waiter| waiter.ticket == ticket)
    }

    /// Returns when the waiter at that place may start, if all before it start as early as they may.
    fn turn_of(&self, place: usize, window: Option<Window>, now: Millis) -> Millis {
        let earliest = now.max(self.not_before);
        let Some(window) = window else { return earliest };
        let mut times: Vec<Millis> = self.starts.iter().map(|start| start.at).collect();
        let mut turn = earliest;
        for _ in 0..=place {
            turn = times.len().checked_sub(window.count).map_or(earliest, |oldest| {
                earliest.max(times[oldest].saturating_add(window.span))
            });
            let at = times.partition_point(|&time| time <= turn);
            times.insert(at, turn);
        }
        turn
    }

    fn insert(&mut self, start: Start) {
        let at = self.starts.partition_point(|other| other.at <= start.at);
        self.starts.insert(at, start);
    }
}

/// A minute, and a thousandth more: the server's clock is not ours.
const MINUTE: Millis = 60_060;
/// From this rate on the minute is cut into shorter windows.
const FAST: u32 = 300;
/// How long a machine under load may take between two steps of a program.
const PROMPT: Millis = 1_000;
/// How many requests such a window is to hold, about.
const BURST: u32 = 60;

/// So many requests in any span of that length.
///
/// A rate is kept in a sliding minute: all at once where there is room, so that a script waits no longer than the limit
/// makes necessary. From 300 a minute on the minute is cut into equal windows of about 60 requests each, because
/// providers enforce large rates by the second, and refuse a burst that the minute would allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// The most requests in the span.
    pub(super) count: usize,
    /// The span, in milliseconds.
    pub(super) span: Millis,
}

impl Window {
    /// Returns the window for a rate; `None` for no rate, or one of zero, which says nothing.
    pub(super) fn of(per_minute: Option<u32>) -> Option<Self> {
        let rate = per_minute.filter(|&rate| rate > 0)?;
        let parts = if rate < FAST { 1 } else { rate / BURST };
        Some(Self {
            count: (rate / parts) as usize,
            // Rounded up: a window that is too short would let too many through.
            span: MINUTE.div_ceil(parts.into()),
        })
    }

    /// Returns how long after it was let go a request may still reach the server, as far as is provided for.
    pub(super) const fn margin(&self) -> Millis {
        self.span / 15
    }

    /// Returns how long after it was let go an answer still tells when the server got the request: up to a second, which
    /// a machine under load may take over it, also where the margin is shorter.
    pub(super) fn prompt(&self) -> Millis {
        self.margin().max(PROMPT.min(self.span / 6))
    }
}

#[cfg(test)]
mod simulation_tests;
#[cfg(test)]
mod tests;

#[cfg(test)]
mod window_tests {
    use super::Window;

    #[test]
    fn a_window_never_lets_more_through_than_the_rate() {
        for rate in 1..=20_000 {
            let window = Window::of(Some(rate)).unwrap();
            let whole = 60_000 / window.span;
            assert!(window.count as u64 * whole <= rate.into(), "{rate}: {window:?}");
            assert!(window.count < 300 && window.count >= 1, "{rate}: {window:?}");
            let sustained = window.count as f64 * 60_000.0 / window.span as f64;
            assert!(sustained > f64::from(rate) * 0.93, "{rate}: {sustained}");
        }
    }

    #[test]
    fn rates_up_to_a_few_a_second_have_the_whole_minute() {
        for (rate, expected) in [
            (None, None),
            (Some(0), None),
            (Some(1), Some((1, 60_060))),
            (Some(60), Some((60, 60_060))),
            (Some(299), Some((299, 60_060))),
            (Some(300), Some((60, 12_012))),
            (Some(600), Some((60, 6_006))),
            (Some(3_600), Some((60, 1_001))),
        ] {
            let window = Window::of(rate).map(|window| (window.count, window.span));
            assert_eq!(window, expected, "{rate:?}");
        }
    }
}
