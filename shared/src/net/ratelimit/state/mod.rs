//! The state of a rate limit: recent requests, the queue, the day's count.

use serde::{Deserialize, Serialize};

/// Milliseconds since the epoch. Wall time, because it is compared across processes and restarts.
pub(super) type Millis = u64;

/// A digest of a model's name.
pub(super) type Model = u64;

/// The version of the file format.
const VERSION: u8 = 1;
/// How long a start is kept: longer than the longest window.
const KEEP: Millis = 61_000;
/// The most starts that are kept: more than any window holds.
const MAX_STARTS: usize = 300;
/// The most that a start may lie ahead of the clock: more than the longest window's margin.
const MAX_AHEAD: Millis = KEEP / 15;
/// How long a waiter keeps its place without asking again. A process that died must not block the others for long.
const LEASE: Millis = 5_000;
/// How often a waiter has to ask, to keep its place and to see changes.
pub(super) const HEARTBEAT: Millis = 1_000;
/// The longest `Retry-After` that pauses all processes.
pub(super) const LONGEST_PAUSE: Millis = 60_000;
/// The ticket of a waiter that has not asked yet, and of a request that is not counted.
pub(super) const NO_TICKET: u64 = 0;
/// A UTC day.
const DAY: Millis = 86_400_000;

/// The limits of a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) window: Option<Window>,
    pub(super) per_day: Option<u32>,
}

impl Limits {
    /// True when nothing is limited.
    pub(super) const fn is_none(&self) -> bool {
        self.window.is_none() && self.per_day.is_none()
    }
}

/// What a waiter may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Send the request now: it has been counted.
    Send,
    /// Wait about this many milliseconds.
    Wait(Millis, WaitReason),
    /// The day's requests are used up until this time.
    DayUsedUp(Millis),
}

/// Why a request has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitReason {
    /// The rate is reached.
    Rate,
    /// The server asked for a pause.
    Server,
}

/// A request that was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Start {
    ticket: u64,
    /// The latest time at which the server received it: an estimate until the answer arrives.
    at: Millis,
}

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiter {
    ticket: u64,
    lease: Millis,
    #[serde(default)]
    model: Model,
}

/// A pause that the server asked for: it is about one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pause {
    model: Model,
    until: Millis,
    /// How long it is: where more than this is left, the clock was set back.
    #[serde(default = "longest_pause")]
    length: Millis,
}

/// The length of a pause that an older version has written.
const fn longest_pause() -> Millis {
    LONGEST_PAUSE
}

impl Pause {
    fn remaining(&self, now: Millis) -> Millis {
        self.until.saturating_sub(now).min(self.length).min(LONGEST_PAUSE)
    }
}

/// The requests of one credential: those of the last minute, those that wait, and the day's count.
///
/// Waiters are served in order, but one that is slow to wake does not block those behind it when there is room for
/// them as well. One that has not asked for five seconds loses its place.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    version: u8,
    next: u64,
    starts: Vec<Start>,
    queue: Vec<Waiter>,
    #[serde(default)]
    pauses: Vec<Pause>,
    day: u64,
    count: u32,
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: VERSION,
            next: 1,
            starts: Vec::new(),
            queue: Vec::new(),
            pauses: Vec::new(),
            day: 0,
            count: 0,
        }
    }
}

impl State {
    /// Parses a state; `None` when it is invalid.
    pub(super) fn from_json(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes)
            .ok()
            .filter(|state: &Self| state.version == VERSION)
    }

    /// Serializes the state.
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

    /// Returns how much is left of a pause of that model, and when it was to end.
    pub(super) fn remaining_pause(&self, model: Model, now: Millis) -> (Millis, Millis) {
        let pause = self.pauses.iter().find(|pause| pause.model == model);
        pause.map_or((0, 0), |pause| (pause.remaining(now), pause.until))
    }

    fn paused_until(&self, model: Model) -> Millis {
        let pause = self.pauses.iter().find(|pause| pause.model == model);
        pause.map_or(0, |pause| pause.until)
    }

    /// Takes a place at the end of the queue and returns its ticket.
    fn enqueue(&mut self, model: Model, now: Millis) -> u64 {
        let ticket = self.next.max(1);
        self.next = self.next.wrapping_add(1).max(1);
        self.queue.push(Waiter {
            ticket,
            lease: now.saturating_add(LEASE),
            model,
        });
        ticket
    }

    /// Decides whether a request may be sent. A ticket that has lost its place gets a new one at the end.
    pub(super) fn decide(&mut self, ticket: &mut u64, model: Model, limits: Limits, now: Millis) -> Decision {
        self.expire(now);
        if limits.per_day.is_some_and(|most| self.count >= most) {
            self.dequeue(*ticket);
            return Decision::DayUsedUp((now / DAY + 1) * DAY);
        }
        let place = match self.place_of(*ticket) {
            Some(place) => place,
            None => {
                *ticket = self.enqueue(model, now);
                self.queue.len() - 1
            }
        };
        let start = self.start_time(place, limits.window, now);
        if start > now {
            self.queue[place].lease = now.saturating_add(LEASE);
            let reason = if start == self.paused_until(model) {
                WaitReason::Server
            } else {
                WaitReason::Rate
            };
            return Decision::Wait(start - now, reason);
        }
        self.queue.remove(place);
        self.start(*ticket, limits.window, now);
        Decision::Send
    }

    /// Counts a request that does not wait, and returns its ticket.
    pub(super) fn count_unlimited(&mut self, limits: Limits, now: Millis) -> u64 {
        self.expire(now);
        let ticket = self.enqueue(Model::default(), now);
        self.dequeue(ticket);
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

    fn dequeue(&mut self, ticket: u64) {
        self.queue.retain(|waiter| waiter.ticket != ticket);
    }

    /// Records that the answer to a request has begun: the server has received it by now.
    ///
    /// A prompt answer says when, better than the estimate, which may be wrong on a machine under load. A slow answer
    /// says nothing: the server may have received the request long ago.
    pub(super) fn answered(&mut self, ticket: u64, window: Option<Window>, now: Millis) {
        let Some(window) = window else { return };
        let Some(place) = self.starts.iter().position(|start| start.ticket == ticket) else {
            return;
        };
        // The clock counts whole milliseconds: the answer came within this one.
        let received = now.saturating_add(1);
        let allowed = self.starts[place].at.saturating_sub(window.margin());
        if received <= allowed.saturating_add(window.prompt()) {
            let mut start = self.starts.remove(place);
            start.at = received;
            self.insert(start);
        }
    }

    /// Records that a request never reached the server. One that was allowed yesterday does not count today in any case; that it
    /// was yesterday is taken for true where its time, an estimate, leaves it open.
    pub(super) fn not_sent(&mut self, ticket: u64, now: Millis) {
        let Some(place) = self.starts.iter().position(|start| start.ticket == ticket) else {
            return;
        };
        let start = self.starts.remove(place);
        if self.day == now / DAY && self.day == start.at.saturating_sub(MAX_AHEAD) / DAY {
            self.count = self.count.saturating_sub(1);
        }
    }

    /// Pauses all requests to a model, in all processes, as the server asks.
    pub(super) fn pause(&mut self, model: Model, pause: Millis, now: Millis) {
        let length = pause.min(LONGEST_PAUSE);
        let until = now.saturating_add(length);
        let new = Pause { model, until, length };
        match self.pauses.iter_mut().find(|pause| pause.model == model) {
            Some(pause) if pause.remaining(now) < length => *pause = new,
            Some(_) => {}
            None => self.pauses.push(new),
        }
    }

    /// Drops what no longer counts, and corrects times that lie ahead because the clock was set back.
    fn expire(&mut self, now: Millis) {
        for start in &mut self.starts {
            if start.at > now.saturating_add(MAX_AHEAD) {
                start.at = now;
            }
        }
        self.starts.retain(|start| start.at.saturating_add(KEEP) > now);
        self.starts.sort_by_key(|start| start.at);
        let surplus = self.starts.len().saturating_sub(MAX_STARTS);
        self.starts.drain(..surplus);
        for waiter in &mut self.queue {
            waiter.lease = waiter.lease.min(now.saturating_add(LEASE));
        }
        self.queue.retain(|waiter| waiter.lease > now);
        for pause in &mut self.pauses {
            pause.until = now.saturating_add(pause.remaining(now));
        }
        self.pauses.retain(|pause| pause.until > now);
        let today = now / DAY;
        // A clock set back over midnight does not start a new day; a day further ahead was never right.
        if self.day != today && self.day != today + 1 {
            self.count = 0;
        }
        self.day = today;
    }

    fn place_of(&self, ticket: u64) -> Option<usize> {
        self.queue.iter().position(|waiter| waiter.ticket == ticket)
    }

    /// Returns when the waiter at that place may start, if all before it start as early as they may. One whose model is
    /// paused waits for the server, not for the rate, and is not in the way of others.
    fn start_time(&self, place: usize, window: Option<Window>, now: Millis) -> Millis {
        let own = self.queue[place].model;
        let earliest = now.max(self.paused_until(own));
        let Some(window) = window else { return earliest };
        let before = self.queue[..place]
            .iter()
            .filter(|waiter| waiter.model == own || self.paused_until(waiter.model) <= now);
        let mut times: Vec<Millis> = self.starts.iter().map(|start| start.at).collect();
        let mut start = earliest;
        for _ in 0..=before.count() {
            start = times.len().checked_sub(window.count).map_or(earliest, |oldest| {
                earliest.max(times[oldest].saturating_add(window.span))
            });
            let at = times.partition_point(|&time| time <= start);
            times.insert(at, start);
        }
        start
    }

    fn insert(&mut self, start: Start) {
        let at = self.starts.partition_point(|other| other.at <= start.at);
        self.starts.insert(at, start);
    }
}

/// A minute, and a thousandth more: the server's clock is not ours.
const MINUTE: Millis = 60_060;
/// From this rate on, the minute is divided into shorter windows.
const FAST: u32 = 300;
/// How long a machine under load may take between two steps of a program.
const PROMPT: Millis = 1_000;
/// About how many requests such a window holds.
const BURST: u32 = 60;

/// At most `count` requests in any `span`.
///
/// A rate is enforced over a sliding minute, within which requests may come all at once: a script waits no longer than
/// the limit makes necessary. From 300 a minute on, the minute is divided into equal windows of about 60 requests,
/// because providers enforce large rates by the second and refuse a burst that the minute would allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// The most requests in the span.
    pub(super) count: usize,
    /// The span, in milliseconds.
    pub(super) span: Millis,
}

impl Window {
    /// Returns the window for a rate; `None` for no rate or a rate of zero.
    pub(super) fn of(per_minute: Option<u32>) -> Option<Self> {
        let rate = per_minute.filter(|&rate| rate > 0)?;
        let parts = if rate < FAST { 1 } else { rate / BURST };
        Some(Self {
            count: (rate / parts) as usize,
            // Rounded up: a window that is too short would let too many through.
            span: MINUTE.div_ceil(parts.into()),
        })
    }

    /// Returns how long after it was allowed a request is expected to reach the server.
    pub(super) const fn margin(&self) -> Millis {
        self.span / 15
    }

    /// Returns how long after a request was allowed its answer still tells when the server received it: up to a second,
    /// which a machine under load may need, also where the margin is shorter.
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
