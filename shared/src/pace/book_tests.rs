//! The book under many waiters, crashes, and clocks that step.

use super::super::window::Window;
use super::{Book, DAY, LEASE, Limits, Millis, NO_TICKET, Step, Why};

/// Some morning, in the middle of a UTC day.
const MORNING: Millis = 20_000 * DAY + DAY / 3;

fn a_minute(rate: u32) -> Limits {
    Limits {
        window: Window::of(Some(rate)),
        per_day: None,
    }
}

fn a_day(most: u32) -> Limits {
    Limits {
        window: None,
        per_day: Some(most),
    }
}

fn step(book: &mut Book, limits: Limits, now: Millis) -> Step {
    book.step(&mut NO_TICKET.clone(), limits, now)
}

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
    let mut book = Book::default();
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
            book.answered(ticket, limits.window, now);
            continue;
        }
        let place = waiting.iter().position(|entry| entry.0 <= now).unwrap();
        let (_, mut ticket) = waiting.swap_remove(place);
        match book.step(&mut ticket, limits, now) {
            Step::Go => {
                let way = dice.below(latency / 2);
                assert!(
                    server.takes(rate as usize, now + way),
                    "refused at {}",
                    now - MORNING
                );
                asking.push((now + way + dice.below(latency / 2), ticket));
            }
            Step::Wait(wait, Why::Quota) => waiting.push((now + wait.min(1_000) + dice.below(20), ticket)),
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

#[test]
fn a_prompt_answer_tells_when_its_minute_begins_and_a_slow_one_does_not() {
    // Sixty in six seconds: the estimate is 400 ms, and an answer within a second is believed.
    for (answered, begins) in [(5, 6), (399, 400), (700, 701), (999, 1_000), (1_500, 400)] {
        let limits = a_minute(600);
        let mut book = Book::default();
        let mut tickets = [NO_TICKET; 60];
        for ticket in &mut tickets {
            assert_eq!(book.step(ticket, limits, MORNING), Step::Go);
        }
        for ticket in tickets {
            book.answered(ticket, limits.window, MORNING + answered);
        }
        let now = MORNING + 2_000;
        let wait = book.step(&mut NO_TICKET.clone(), limits, now);
        assert_eq!(wait, Step::Wait(begins + 6_006 - 2_000, Why::Quota), "{answered}");
    }
}

#[test]
fn those_who_wait_are_served_in_the_order_in_which_they_came() {
    let limits = a_minute(2);
    let mut book = Book::default();
    for _ in 0..2 {
        assert_eq!(step(&mut book, limits, MORNING), Step::Go);
    }
    let mut tickets = [NO_TICKET; 4];
    let waits: Vec<Step> = tickets
        .iter_mut()
        .map(|ticket| book.step(ticket, limits, MORNING))
        .collect();
    // Not yet answered, a request may have come as late as the margin allows; the minute runs from then.
    let (first, second) = (64_064, 124_124);
    let expected = [first, first, second, second].map(|wait| Step::Wait(wait, Why::Quota));
    assert_eq!(waits[..], expected);
    for later in (1_000..=64_000).step_by(1_000) {
        for ticket in &mut tickets {
            assert!(matches!(
                book.step(ticket, limits, MORNING + later),
                Step::Wait(..)
            ));
        }
    }
    // The last to come asks first, and has to let the others go before it.
    let now = MORNING + 64_064;
    let order: Vec<bool> = [3, 2, 1, 0]
        .into_iter()
        .map(|place| book.step(&mut tickets[place], limits, now) == Step::Go)
        .collect();
    assert_eq!(order, [false, false, true, true]);
}

#[test]
fn one_that_died_while_it_waited_holds_up_nobody_for_long() {
    let limits = a_minute(1);
    let mut book = Book::default();
    assert_eq!(step(&mut book, limits, MORNING), Step::Go);
    for _ in 0..50 {
        step(&mut book, limits, MORNING);
    }
    let mut mine = NO_TICKET;
    let Step::Wait(long, _) = book.step(&mut mine, limits, MORNING) else {
        panic!()
    };
    assert!(long > 50 * 60_000);
    let mut now = MORNING;
    while now < MORNING + LEASE {
        now += 1_000;
        book.step(&mut mine, limits, now);
    }
    let Step::Wait(short, _) = book.step(&mut mine, limits, now) else {
        panic!()
    };
    assert!(short <= 60_000, "{short}");
}

#[test]
fn one_that_was_stopped_for_long_gets_a_new_place() {
    let limits = a_minute(1);
    let mut book = Book::default();
    step(&mut book, limits, MORNING);
    let mut ticket = NO_TICKET;
    book.step(&mut ticket, limits, MORNING);
    let before = ticket;
    assert_eq!(book.step(&mut ticket, limits, MORNING + 90_000), Step::Go);
    assert_ne!(ticket, before);
    assert_eq!(book.today(MORNING + 90_000), 2);
}

#[test]
fn a_clock_that_steps_costs_a_minute_at_most() {
    let hour = 3_600_000;
    for now in [MORNING - hour, MORNING - 5_000, MORNING - 100 * 365 * DAY / 2] {
        let limits = a_minute(2);
        let mut book = Book::default();
        for _ in 0..3 {
            step(&mut book, limits, MORNING);
        }
        book.hold_back(60_000, MORNING);
        match step(&mut book, limits, now) {
            Step::Wait(wait, _) => assert!(wait <= 66_000, "{wait}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(step(&mut book, limits, now + 70_000), Step::Go);
    }
    let mut book = Book::default();
    step(&mut book, a_minute(1), MORNING);
    assert_eq!(step(&mut book, a_minute(1), MORNING + hour), Step::Go);
}

#[test]
fn the_day_is_counted_and_renews_at_midnight() {
    let midnight = 20_001 * DAY;
    let limits = a_day(2);
    let mut book = Book::default();
    assert_eq!(step(&mut book, limits, MORNING), Step::Go);
    assert_eq!(step(&mut book, limits, midnight - 1), Step::Go);
    assert_eq!(step(&mut book, limits, midnight - 1), Step::UsedUp(midnight));
    assert_eq!((book.today(midnight - 1), book.today(midnight)), (2, 0));
    assert_eq!(step(&mut book, limits, midnight), Step::Go);
    assert_eq!(book.today(midnight), 1);
    // Set back over midnight, the clock does not renew anything; set back from nowhere, it does.
    assert_eq!(step(&mut book, a_day(1), midnight - 5), Step::UsedUp(midnight));
    assert_eq!(step(&mut book, a_day(1), MORNING - 400 * DAY), Step::Go);
}

#[test]
fn a_request_that_was_never_sent_does_not_count() {
    let limits = Limits {
        per_day: Some(1),
        ..a_minute(1)
    };
    let mut book = Book::default();
    let mut ticket = NO_TICKET;
    assert_eq!(book.step(&mut ticket, limits, MORNING), Step::Go);
    book.not_sent(ticket, MORNING + 9);
    book.not_sent(ticket, MORNING + 9);
    assert_eq!(book.today(MORNING), 0);
    assert_eq!(step(&mut book, limits, MORNING + 10), Step::Go);
}

#[test]
fn a_pause_that_the_server_asked_for_holds_everybody() {
    let mut book = Book::default();
    book.hold_back(7_000, MORNING);
    book.hold_back(3_000, MORNING);
    assert_eq!(book.pause(MORNING), 7_000);
    assert_eq!(
        step(&mut book, a_day(9), MORNING + 2_000),
        Step::Wait(5_000, Why::Server)
    );
    assert_eq!(step(&mut book, a_day(9), MORNING + 7_000), Step::Go);
    book.hold_back(Millis::MAX, MORNING);
    assert_eq!(book.pause(MORNING), 60_000);
}

#[test]
fn whoever_does_not_wait_is_counted_all_the_same() {
    let limits = Limits {
        per_day: Some(2),
        ..a_minute(1)
    };
    let mut book = Book::default();
    for _ in 0..3 {
        book.jump(limits, MORNING);
    }
    assert_eq!(book.today(MORNING), 3);
    assert!(matches!(step(&mut book, a_minute(3), MORNING), Step::Wait(..)));
}

#[test]
fn what_is_no_book_is_none_and_what_is_one_comes_back() {
    let mut book = Book::default();
    for _ in 0..5 {
        step(&mut book, a_minute(3), MORNING);
    }
    let written = book.to_json().unwrap();
    assert_eq!(Book::from_json(&written), Some(book));
    for end in 0..written.len() {
        assert_eq!(Book::from_json(&written[..end]), None);
    }
    for bad in [
        "{}",
        "[]",
        r#"{"version":2,"next":1,"starts":[],"queue":[],"not_before":0,"day":0,"count":0}"#,
        r#"{"version":1,"next":1,"starts":[],"queue":[],"not_before":-1,"day":0,"count":0}"#,
    ] {
        assert_eq!(Book::from_json(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn hostile_numbers_neither_crash_nor_block() {
    let most = u64::MAX;
    let json = format!(
        r#"{{"version":1,"next":{most},"starts":[{{"ticket":{most},"at":{most}}},{{"ticket":1,"at":0}}],
        "queue":[{{"ticket":{most},"lease":{most}}}],"not_before":{most},"day":{most},"count":4294967295}}"#
    );
    let limits = Limits {
        per_day: Some(5),
        ..a_minute(2)
    };
    let mut book = Book::from_json(json.as_bytes()).unwrap();
    let mut ticket = NO_TICKET;
    let mut now = MORNING;
    while book.step(&mut ticket, limits, now) != Step::Go {
        now += 1_000;
        assert!(now < MORNING + 125_000, "{book:?}");
    }
}
