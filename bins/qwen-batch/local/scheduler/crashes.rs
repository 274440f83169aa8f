//! Questions that bring the server down, in whatever order a loaded machine lets things happen.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::{Cause, Fault, Next, QuestionId, Scheduler, Turn};

/// Questions below this bring the server down.
const POISONS: u64 = 2;
const QUESTIONS: u64 = 52;
/// The health check.
const CHECK: QuestionId = u64::MAX;

/// A small generator (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// How long things take on this machine, in steps.
#[derive(Clone, Copy)]
struct Machine {
    /// A request until the server takes it, and a reply until it is noticed.
    longest_way: u64,
    /// One in so many takes ten times as long.
    rarely: u64,
    /// Milliseconds a step.
    step: u64,
}

/// What a question does to the server that is to bring it down.
#[derive(Clone, Copy, Debug)]
enum Crash {
    /// The next few requests fall with it.
    Next(u32),
    /// Whatever is under way falls with it.
    UnderWay,
}

struct World {
    scheduler: Scheduler,
    random: Random,
    machine: Machine,
    crash: Crash,
    fault: Fault,
    now: Instant,
    step: u64,
    unread: VecDeque<QuestionId>,
    /// Those that wait for their turn; the first one asks.
    queue: VecDeque<QuestionId>,
    pausing: BTreeMap<QuestionId, Instant>,
    /// Requests on their way, and the step at which they arrive.
    requests: Vec<(u64, QuestionId)>,
    /// Replies on their way, and whether they are answers.
    replies: Vec<(u64, QuestionId, bool)>,
    falling: u32,
    crashes: u32,
    given_up: Vec<QuestionId>,
    answered: Vec<QuestionId>,
}

impl World {
    fn new(seed: u64, jobs: usize, retries: u32, crash: Crash, cause: Cause) -> Self {
        let mut random = Random(seed);
        let machine = Machine {
            longest_way: [1, 2, 8, 64][random.below(4) as usize],
            rarely: [2, 5, 20, 1_000][random.below(4) as usize],
            step: [0, 1, 30, 700][random.below(4) as usize],
        };
        let mut unread: VecDeque<QuestionId> = (POISONS..QUESTIONS).collect();
        for poison in 0..POISONS {
            let place = random.below(unread.len() as u64 + 1) as usize;
            unread.insert(place, poison);
        }
        Self {
            scheduler: Scheduler::new(jobs, retries, Duration::from_secs(1 << 20)),
            random,
            machine,
            crash,
            fault: Fault {
                cause,
                is_final: false,
                wait: None,
            },
            now: Instant::now(),
            step: 0,
            unread,
            queue: VecDeque::new(),
            pausing: BTreeMap::new(),
            requests: Vec::new(),
            replies: Vec::new(),
            falling: 0,
            crashes: 0,
            given_up: Vec::new(),
            answered: Vec::new(),
        }
    }

    fn arrival(&mut self) -> u64 {
        let Machine {
            longest_way, rarely, ..
        } = self.machine;
        let way = self.random.below(longest_way);
        let factor = if self.random.below(rarely) == 0 { 10 } else { 1 };
        self.step + 1 + factor * way
    }

    /// Lets everything happen until each question has its result.
    fn run(&mut self) {
        for _ in 0..1_000_000 {
            if self.given_up.len() + self.answered.len() == QUESTIONS as usize {
                return;
            }
            self.step += 1;
            self.now += Duration::from_millis(self.machine.step);
            let is_idle = self.requests.is_empty() && self.replies.is_empty();
            let turn = self.ask();
            self.arrive();
            self.notice();
            let next = self.pausing.values().copied().chain(turn).min();
            if is_idle && let Some(next) = next {
                self.now = self.now.max(next);
            }
            let now = self.now;
            let woken: Vec<QuestionId> = self
                .pausing
                .extract_if(.., |_, until| *until <= now)
                .map(|(question, _)| question)
                .collect();
            self.queue.extend(woken);
        }
        panic!("the run does not end");
    }

    /// Lets those that wait ask for their turn; returns when the first one may ask again.
    fn ask(&mut self) -> Option<Instant> {
        if self.queue.len() < 4
            && let Some(question) = self.unread.pop_front()
        {
            self.queue.push_back(question);
        }
        while let Some(question) = self.queue.front().copied() {
            match self.scheduler.turn(question, "m", self.now) {
                Turn::Send => {
                    self.queue.pop_front();
                    let arrival = self.arrival();
                    self.requests.push((arrival, question));
                }
                Turn::Check => {
                    let arrival = self.arrival();
                    self.requests.push((arrival, CHECK));
                    return None;
                }
                Turn::Yield => self.queue.rotate_left(1),
                Turn::Wait(until) => return until,
                Turn::Leave => panic!("question {question} is left"),
            }
        }
        None
    }

    /// Lets the server take the requests that have arrived.
    fn arrive(&mut self) {
        let step = self.step;
        let arrived: Vec<QuestionId> = self
            .requests
            .extract_if(.., |(arrival, _)| *arrival <= step)
            .map(|(_, question)| question)
            .collect();
        for question in arrived {
            let is_answered = if question < POISONS {
                self.crashes += 1;
                self.crash();
                false
            } else if self.falling > 0 {
                self.falling -= 1;
                false
            } else {
                true
            };
            let arrival = self.arrival();
            self.replies.push((arrival, question, is_answered));
        }
    }

    /// Lets the run notice the reply to a health check, which was sent in the place of the first in the queue.
    fn notice_check(&mut self, is_answered: bool) {
        let question = self.queue[0];
        if is_answered {
            return self.scheduler.check_answered(question);
        }
        let next = self.scheduler.check_failed(question, self.fault, self.now);
        assert_eq!(next, Next::Again(Duration::ZERO));
    }

    fn crash(&mut self) {
        match self.crash {
            Crash::Next(count) => self.falling = count,
            Crash::UnderWay => {
                for (_, _, is_answered) in &mut self.replies {
                    *is_answered = false;
                }
                for (_, question) in std::mem::take(&mut self.requests) {
                    let arrival = self.arrival();
                    self.replies.push((arrival, question, false));
                }
            }
        }
    }

    /// Lets the run notice the replies that have come.
    fn notice(&mut self) {
        let step = self.step;
        let come: Vec<(u64, QuestionId, bool)> = self
            .replies
            .extract_if(.., |(arrival, ..)| *arrival <= step)
            .collect();
        for (_, question, is_answered) in come {
            if question == CHECK {
                self.notice_check(is_answered);
                continue;
            }
            if is_answered {
                self.scheduler.written(question);
                self.answered.push(question);
                continue;
            }
            match self.scheduler.failed(question, self.fault, self.now) {
                Next::Again(pause) if pause.is_zero() => self.queue.push_back(question),
                Next::Again(pause) => {
                    self.pausing.insert(question, self.now + pause);
                }
                Next::GiveUp => {
                    self.scheduler.written(question);
                    self.given_up.push(question);
                }
                end => panic!("{end:?}"),
            }
        }
    }
}

#[test]
fn only_what_brings_the_server_down_is_given_up() {
    let crashes = [
        Crash::Next(0),
        Crash::Next(1),
        Crash::Next(3),
        Crash::Next(8),
        Crash::UnderWay,
    ];
    for crash in crashes {
        for cause in [Cause::Broken, Cause::Unavailable] {
            for (jobs, retries) in [(1, 3), (2, 3), (3, 3), (8, 3), (32, 3), (1, 1), (8, 1)] {
                for seed in 0..40 {
                    let mut world = World::new(seed, jobs, retries, crash, cause);
                    world.run();
                    world.given_up.sort_unstable();
                    let case = format!("seed {seed}, {jobs} jobs, {retries} retries, {cause:?}, {crash:?}");
                    assert_eq!(world.given_up, [0, 1], "{case}");
                    // As many as the tries on either side of an answer, and those alone.
                    let limit = 2 * (3 * (retries + 1) + 2);
                    assert!(world.crashes <= limit, "{case}: {} crashes", world.crashes);
                }
            }
        }
    }
}
