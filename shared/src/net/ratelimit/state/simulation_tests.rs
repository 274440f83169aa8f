//! Many processes that share the state, and a server that counts requests.

use super::tests::{MORNING, a_minute};
use super::{Decision, Millis, NO_TICKET, State, WaitReason};

/// A server that refuses whatever is above the rate in any sixty seconds.
#[derive(Default)]
struct Server {
    seen: Vec<Millis>,
}

impl Server {
    fn takes(&mut self, rate: usize, at: Millis) -> bool {
        self.seen.push(at);
        self.seen.sort_unstable();
        let place = self.seen.partition_point(|&other| other <= at);
        let within = self.seen[..place].iter().filter(|&&other| other + 60_000 > at);
        within.count() <= rate
    }
}

/// Numbers without pattern, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Runs `total` requests, `width` at a time, to their end; returns how long that took.
fn run(rate: u32, total: usize, width: usize, latency: Millis, dice: &mut Dice) -> Millis {
    let limits = a_minute(rate);
    let mut state = State::default();
    let mut server = Server::default();
    let mut now = MORNING;
    let mut begun = 0;
    // When each process looks again, and its ticket; or when its answer comes, and the ticket that is answered.
    let mut waiting: Vec<(Millis, u64)> = Vec::new();
    let mut asking: Vec<(Millis, u64)> = Vec::new();
    while begun < total || !waiting.is_empty() || !asking.is_empty() {
        while begun < total && waiting.len() + asking.len() < width {
            waiting.push((now, NO_TICKET));
            begun += 1;
        }
        now = waiting
            .iter()
            .chain(&asking)
            .map(|entry| entry.0)
            .min()
            .unwrap()
            .max(now);
        if let Some(place) = asking.iter().position(|entry| entry.0 <= now) {
            let (_, ticket) = asking.swap_remove(place);
            state.answered(ticket, limits.window, now);
            continue;
        }
        let place = waiting.iter().position(|entry| entry.0 <= now).unwrap();
        let (_, mut ticket) = waiting.swap_remove(place);
        match state.decide(&mut ticket, 0, limits, now) {
            Decision::Send => {
                let way = dice.below(latency / 2);
                assert!(
                    server.takes(rate as usize, now + way),
                    "refused at {}",
                    now - MORNING
                );
                asking.push((now + way + dice.below(latency / 2), ticket));
            }
            Decision::Wait(wait, WaitReason::Rate) => {
                waiting.push((now + wait.min(1_000) + dice.below(20), ticket))
            }
            other => panic!("{other:?}"),
        }
    }
    now - MORNING
}

#[test]
fn no_request_is_refused_and_none_waits_much_longer_than_it_must() {
    let mut dice = Dice(7);
    for (rate, total, width) in [
        (60, 150, 32),
        (60, 61, 100),
        (1, 4, 3),
        (7, 50, 50),
        (100, 150, 32),
        (299, 700, 64),
    ] {
        let necessary = 60_000 * (total as u64 - 1).div_euclid(rate.into());
        for latency in [4, 100, 2_000] {
            let taken = run(rate, total, width, latency, &mut dice);
            let limit = necessary + necessary / 20 + 2 * latency;
            assert!(
                taken <= limit,
                "{rate}, {total}, {latency}: {taken} of {limit} ms"
            );
        }
    }
}

#[test]
fn a_fast_rate_is_kept_in_windows_of_sixty() {
    let taken = run(600, 150, 32, 20, &mut Dice(3));
    assert!((12_000..13_200).contains(&taken), "{taken}");
}
