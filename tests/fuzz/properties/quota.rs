//! The state of a quota: from whatever a file holds, no more requests start than the limits allow, waits end, and what is written
//! is read again.
//!
//! The first line of an input is the file. The next two bytes choose the limits, and every further byte is a step of some process.

use super::state::{Decision, LONGEST_PAUSE, Limits, Millis, NO_TICKET, State, WaitReason, Window};

/// When the steps begin, in milliseconds since the epoch: soon another UTC day begins.
const EVENING: Millis = 20_001 * DAY - 100_000;
const DAY: Millis = 86_400_000;

/// The rates of a minute and of a day that are tried; 0 stands for no limit.
const A_MINUTE: [u32; 8] = [0, 1, 2, 5, 60, 299, 300, 6_000];
const A_DAY: [u32; 4] = [0, 1, 3, 100];

/// Requests that wait or were sent, and the time.
struct Processes {
    state: State,
    limits: Limits,
    now: Millis,
    waiting: [u64; 4],
    /// The ticket of each request that was sent and not taken back, and when it was allowed.
    sent: Vec<(u64, Millis)>,
}

/// Reads an input as a file, and plays the steps behind it.
pub(crate) fn holds(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (file, rest) = data.split_at(end);
    let (limits, steps) = match rest {
        [_, minute, day, steps @ ..] => (limits(*minute, *day), steps),
        _ => (limits(2, 0), [].as_slice()),
    };
    let mut processes = Processes {
        state: State::from_json(file).unwrap_or_default(),
        limits,
        now: EVENING,
        waiting: [NO_TICKET; 4],
        sent: Vec::new(),
    };
    for step in steps {
        processes.step(*step);
    }
    processes.is_read_again();
}

fn limits(minute: u8, day: u8) -> Limits {
    let per_day = A_DAY[usize::from(day) % A_DAY.len()];
    Limits {
        window: Window::of(Some(A_MINUTE[usize::from(minute) % A_MINUTE.len()])),
        per_day: (per_day > 0).then_some(per_day),
    }
}

impl Processes {
    fn step(&mut self, step: u8) {
        let (kind, which) = (step % 6, step / 6);
        let newest = self.sent.len().checked_sub(1 + usize::from(which) % 4);
        match kind {
            0 => self.now += 1 << (which % 18),
            1 => self.ask(usize::from(which) % 4, u64::from(which) / 4 % 2),
            2 => {
                if let Some(place) = newest {
                    self.state
                        .answered(self.sent[place].0, self.limits.window, self.now);
                }
            }
            3 => {
                if let Some(place) = newest {
                    let (ticket, _) = self.sent.remove(place);
                    self.state.not_sent(ticket, self.now);
                }
            }
            4 => {
                let pause = Millis::from(which) * 3_000;
                self.state.pause(u64::from(which) % 2, pause, self.now);
            }
            _ => self.is_read_again(),
        }
    }

    fn ask(&mut self, process: usize, model: u64) {
        let decided = self
            .state
            .decide(&mut self.waiting[process], model, self.limits, self.now);
        match decided {
            Decision::Send => {
                let ticket = std::mem::replace(&mut self.waiting[process], NO_TICKET);
                assert_ne!(ticket, NO_TICKET, "a request that is not counted");
                self.sent.push((ticket, self.now));
                self.keeps_the_limits();
            }
            Decision::Wait(wait, reason) => {
                assert!(wait > 0, "a wait of no time");
                assert!(
                    reason != WaitReason::Server || wait <= LONGEST_PAUSE,
                    "a pause of {wait} ms"
                );
            }
            Decision::DayUsedUp(until) => {
                assert!(self.limits.per_day.is_some(), "a limit that nobody set");
                assert!(
                    (1..=DAY).contains(&until.saturating_sub(self.now)),
                    "until {until}"
                );
            }
        }
    }

    /// Checks what was sent against the server's count.
    fn keeps_the_limits(&self) {
        if let Some(window) = self.limits.window {
            let within = self
                .sent
                .iter()
                .filter(|(_, at)| at + window.span > self.now)
                .count();
            assert!(within <= window.count, "{within} in {} ms", window.span);
        }
        if let Some(most) = self.limits.per_day {
            let today = self.sent.iter().filter(|(_, at)| at / DAY == self.now / DAY);
            let today = today.count();
            assert!(today <= most as usize, "{today} in a day");
        }
    }

    fn is_read_again(&self) {
        let written = self.state.to_json().expect("numbers");
        let read = State::from_json(&written);
        assert_eq!(read.as_ref(), Some(&self.state), "what was written is not read");
    }
}

#[cfg(test)]
#[test]
fn every_input_that_a_fuzzer_kept_stays_within_its_limits() {
    crate::played::play("quota", holds);
}
