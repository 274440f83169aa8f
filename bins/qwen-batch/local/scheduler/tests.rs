use std::time::{Duration, Instant};

use super::{Cause, Change, Fault, LIMIT_OF_REFUSALS, Next, Scheduler, Turn};

const UNSENT: Fault = Fault {
    cause: Cause::Unsent,
    is_final: false,
    wait: None,
};
const BROKEN: Fault = Fault {
    cause: Cause::Failed,
    is_final: false,
    wait: None,
};
const CRASH: Fault = Fault {
    cause: Cause::Broken,
    is_final: false,
    wait: None,
};
const NOW: Next = Next::Again(Duration::ZERO);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn scheduler(jobs: usize) -> (Scheduler, Instant) {
    (Scheduler::new(jobs, 3, seconds(600)), Instant::now())
}

/// Asks for a turn, and once more where others may go first and nobody does.
fn turn(scheduler: &mut Scheduler, question: u64, now: Instant) -> Turn {
    match scheduler.turn(question, "m", now) {
        Turn::Yield => scheduler.turn(question, "m", now),
        turn => turn,
    }
}

/// Sends questions that may be sent.
#[track_caller]
fn send(scheduler: &mut Scheduler, questions: impl IntoIterator<Item = u64>, now: Instant) {
    for question in questions {
        assert_eq!(turn(scheduler, question, now), Turn::Send, "{question}");
    }
}

/// Begins an outage by a fault of each of these.
#[track_caller]
fn break_down(scheduler: &mut Scheduler, questions: &[u64], now: Instant) {
    send(scheduler, questions.iter().copied(), now);
    for question in questions {
        scheduler.failed(*question, BROKEN, now);
    }
    assert_eq!(scheduler.take_changes(), [Change::OutageBegan]);
}

#[test]
fn a_question_that_fails_while_others_pass_has_its_tries_and_then_a_record() {
    let (mut scheduler, now) = scheduler(8);
    let mut pauses = Vec::new();
    let last = loop {
        send(&mut scheduler, [1, 2], now);
        scheduler.answered(2);
        match scheduler.failed(1, BROKEN, now) {
            Next::Again(pause) => pauses.push(pause.as_millis()),
            last => break last,
        }
    };
    assert_eq!((pauses, last), (vec![500, 1000, 2000], Next::GiveUp));
    assert!(scheduler.take_changes().is_empty());
}

#[test]
fn a_lone_question_is_tried_longer_where_the_server_was_there_before() {
    let (mut scheduler, now) = scheduler(8);
    send(&mut scheduler, [1], now);
    scheduler.answered(1);
    let mut tries = 0;
    loop {
        send(&mut scheduler, [2], now);
        tries += 1;
        if scheduler.failed(2, BROKEN, now) == Next::GiveUp {
            break;
        }
    }
    assert_eq!(tries, 8);
}

#[test]
fn a_lone_question_to_a_server_that_is_not_there_waits_for_it() {
    let gone = Fault {
        cause: Cause::Unavailable,
        ..BROKEN
    };
    for answers in [0, 5] {
        let (mut scheduler, mut now) = scheduler(8);
        for question in 10..10 + answers {
            send(&mut scheduler, [question], now);
            scheduler.answered(question);
        }
        let start = now;
        for question in [1, 2].iter().cycle() {
            let turn = loop {
                match turn(&mut scheduler, *question, now) {
                    Turn::Wait(next) => now = next.unwrap(),
                    turn => break turn,
                }
            };
            let next = match turn {
                Turn::Check => scheduler.check_failed(*question, gone, now),
                _ => scheduler.failed(*question, gone, now),
            };
            match next {
                Next::Again(pause) => now += pause,
                Next::End => break,
                other => panic!("question {question}: {other:?}"),
            }
        }
        assert!(now - start >= seconds(600));
        assert_eq!(scheduler.take_changes(), [Change::OutageBegan]);
    }
}

#[test]
fn a_lone_question_that_fails_right_after_a_health_check_is_given_up() {
    // An answer that is cut shows by itself that the server is there.
    for (cause, expected) in [(Cause::Unavailable, 1), (Cause::Broken, 1), (Cause::Cut, 0)] {
        let (mut scheduler, now) = scheduler(8);
        let fault = Fault { cause, ..BROKEN };
        let (mut tries, mut checks) = (0, 0);
        loop {
            match turn(&mut scheduler, 1, now) {
                Turn::Check => {
                    checks += 1;
                    scheduler.check_answered(1);
                    continue;
                }
                turn => assert_eq!(turn, Turn::Send),
            }
            tries += 1;
            if scheduler.failed(1, fault, now) == Next::GiveUp {
                break;
            }
        }
        assert_eq!((tries, checks), (5, expected), "{cause:?}");
        assert!(scheduler.take_changes().is_empty());
    }
}

#[test]
fn a_health_check_that_tells_nothing_is_not_repeated() {
    let (mut scheduler, mut now) = scheduler(8);
    let gone = Fault {
        cause: Cause::Unavailable,
        ..BROKEN
    };
    let mut checks = 0;
    loop {
        let next = match turn(&mut scheduler, 1, now) {
            Turn::Wait(next) => {
                now = next.unwrap();
                continue;
            }
            Turn::Check => {
                checks += 1;
                scheduler.check_is_unclear(1);
                continue;
            }
            _ => scheduler.failed(1, gone, now),
        };
        match next {
            Next::Again(pause) => now += pause,
            Next::End | Next::GiveUp => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(checks, 1);
}

#[test]
fn what_never_reached_the_server_is_never_a_questions_fault() {
    let (mut scheduler, now) = scheduler(8);
    for _ in 0..3 {
        send(&mut scheduler, [1], now);
        assert!(matches!(scheduler.failed(1, UNSENT, now), Next::Again(pause) if !pause.is_zero()));
    }
    send(&mut scheduler, [1], now);
    assert_eq!(scheduler.failed(1, UNSENT, now), NOW);
    assert_eq!(scheduler.take_changes(), [Change::OutageBegan]);
}

#[test]
fn an_outage_is_probed_by_one_question_after_another_until_patience_is_lost() {
    let (mut scheduler, mut now) = scheduler(4);
    break_down(&mut scheduler, &[1, 2, 3, 4], now);
    let mut pauses = Vec::new();
    for probe in 5.. {
        let Turn::Wait(Some(next)) = scheduler.turn(probe, "m", now) else {
            panic!("no pause before probe {probe}")
        };
        pauses.push((next - now).as_secs());
        now = next;
        send(&mut scheduler, [probe], now);
        assert_eq!(
            scheduler.turn(probe + 1, "m", now),
            Turn::Wait(None),
            "one at a time"
        );
        if scheduler.failed(probe, BROKEN, now) == Next::End {
            break;
        }
    }
    assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(pauses.iter().sum::<u64>(), 600);
}

#[test]
fn what_may_have_brought_the_server_down_lets_others_go_first() {
    let (mut scheduler, mut now) = scheduler(4);
    break_down(&mut scheduler, &[1, 2, 3, 4], now);
    now += seconds(1);
    assert_eq!(scheduler.turn(1, "m", now), Turn::Yield);
    assert_eq!(scheduler.turn(2, "m", now), Turn::Yield);
    send(&mut scheduler, [5], now);
    scheduler.failed(5, BROKEN, now);
    now += seconds(2);
    // Nobody else is there.
    assert_eq!(scheduler.turn(5, "m", now), Turn::Yield);
    assert_eq!(scheduler.turn(2, "m", now), Turn::Yield);
    assert_eq!(scheduler.turn(2, "m", now), Turn::Check);
    scheduler.check_is_unclear(2);
    assert_eq!(scheduler.turn(2, "m", now), Turn::Yield);
    assert_eq!(scheduler.turn(2, "m", now), Turn::Send);
}

#[test]
fn an_answer_ends_an_outage_and_the_run_begins_slowly_again() {
    let (mut scheduler, mut now) = scheduler(4);
    break_down(&mut scheduler, &[1, 2, 3, 4], now);
    now += seconds(1);
    send(&mut scheduler, [5], now);
    scheduler.answered(5);
    assert_eq!(scheduler.take_changes(), [Change::OutageEnded(seconds(1))]);
    send(&mut scheduler, [6], now);
    assert_eq!(scheduler.turn(7, "m", now), Turn::Wait(None));
    scheduler.answered(6);
    send(&mut scheduler, [7, 8], now);
    assert_eq!(scheduler.turn(9, "m", now), Turn::Wait(None));
    // It has used up no try of theirs.
    scheduler.answered(7);
    scheduler.answered(8);
    send(&mut scheduler, [1], now);
    assert_eq!(
        scheduler.failed(1, BROKEN, now),
        Next::Again(Duration::from_millis(500))
    );
}

#[test]
fn what_was_sent_before_an_outage_neither_ends_it_nor_begins_another() {
    let (mut scheduler, mut now) = scheduler(8);
    send(&mut scheduler, 100..108, now);
    for question in 100..104 {
        scheduler.answered(question);
        send(&mut scheduler, [question - 100], now);
    }
    for question in 0..4 {
        scheduler.failed(question, BROKEN, now);
        send(&mut scheduler, [question + 4], now);
    }
    for question in 4..8 {
        scheduler.failed(question, BROKEN, now);
    }
    assert_eq!(scheduler.take_changes(), [Change::OutageBegan]);
    // Answers and refusals that were on the way.
    scheduler.answered(104);
    scheduler.throttled(105, None, now);
    assert!(scheduler.take_changes().is_empty());
    now += seconds(1);
    send(&mut scheduler, [9], now);
    scheduler.answered(9);
    assert_eq!(scheduler.take_changes(), [Change::OutageEnded(seconds(1))]);
    // Two hang from before, and hold up nothing.
    send(&mut scheduler, [10], now);
    assert_eq!(scheduler.turn(11, "m", now), Turn::Wait(None));
    for question in 10..50 {
        scheduler.answered(question);
        send(&mut scheduler, [question + 1], now);
    }
    for question in [106, 107] {
        assert_eq!(scheduler.failed(question, CRASH, now), NOW);
    }
    assert!(scheduler.take_changes().is_empty());
}

#[test]
fn the_faults_of_all_that_was_under_way_are_one_outage() {
    let (mut scheduler, mut now) = scheduler(64);
    send(&mut scheduler, 0..64, now);
    for question in 0..8 {
        scheduler.failed(question, CRASH, now);
    }
    now += seconds(1);
    send(&mut scheduler, [100], now);
    scheduler.answered(100);
    for question in 8..64 {
        assert_eq!(scheduler.failed(question, CRASH, now), NOW);
    }
    let changes = [Change::OutageBegan, Change::OutageEnded(seconds(1))];
    assert_eq!(scheduler.take_changes(), changes);
}

#[test]
fn a_question_that_brings_the_server_down_each_time_is_sent_alone_and_given_up() {
    // Question 0 kills the server, which takes all under way with it and is back at the next probe.
    let (mut scheduler, mut now) = scheduler(4);
    let mut waiting: Vec<u64> = (0..40).collect();
    let (mut given_up, mut answered) = (Vec::new(), Vec::new());
    let mut crashes = 0;
    while !waiting.is_empty() {
        let mut sent = Vec::new();
        while let Some(&question) = waiting.first() {
            match scheduler.turn(question, "m", now) {
                Turn::Send => sent.push(waiting.remove(0)),
                Turn::Wait(Some(next)) if sent.is_empty() => now = next,
                Turn::Wait(_) => break,
                Turn::Yield => waiting.rotate_left(1),
                Turn::Check => scheduler.check_answered(question),
                Turn::Leave => panic!("question {question} is left"),
            }
        }
        let is_crash = sent.contains(&0);
        crashes += u32::from(is_crash);
        for question in sent {
            if !is_crash {
                scheduler.answered(question);
                answered.push(question);
                continue;
            }
            match scheduler.failed(question, CRASH, now) {
                Next::Again(_) => waiting.push(question),
                Next::GiveUp => given_up.push(question),
                end => panic!("{end:?}"),
            }
        }
    }
    assert_eq!(given_up, [0]);
    answered.sort_unstable();
    assert_eq!(answered, (1..40).collect::<Vec<_>>());
    assert!(crashes <= 8, "{crashes}");
}

#[test]
fn an_answer_to_what_was_sent_before_a_fault_does_not_prove_that_the_server_is_back() {
    let (mut scheduler, mut now) = scheduler(4);
    for _ in 0..2 {
        break_down(&mut scheduler, &[1, 2, 3, 4], now);
        now += seconds(1);
        for _ in 0..4 {
            send(&mut scheduler, [9], now);
            scheduler.answered(9);
        }
        scheduler.take_changes();
    }
    for _ in 0..3 {
        send(&mut scheduler, [8, 7], now);
        scheduler.failed(7, CRASH, now);
        // Its answer was on the way already.
        scheduler.answered(8);
        assert_eq!(turn(&mut scheduler, 1, now), Turn::Check);
        scheduler.abandoned(1);
        send(&mut scheduler, [9], now);
        scheduler.answered(9);
    }
}

#[test]
fn a_refusal_for_too_many_requests_costs_no_try_while_others_pass_and_not_for_ever() {
    let (mut scheduler, mut now) = scheduler(8);
    let mut refusals = 0;
    loop {
        refusals += 1;
        while let Turn::Wait(next) = scheduler.turn(1, "m", now) {
            now = next.unwrap();
        }
        let next = scheduler.throttled(1, None, now);
        if next == Next::GiveUp {
            break;
        }
        assert_eq!(next, NOW);
        while let Turn::Wait(next) = scheduler.turn(2, "m", now) {
            now = next.unwrap();
        }
        scheduler.answered(2);
    }
    assert_eq!(refusals, LIMIT_OF_REFUSALS + 1);
}

#[test]
fn a_server_that_refuses_everything_ends_the_run_once_patience_is_lost() {
    let (mut scheduler, start) = scheduler(8);
    let mut now = start;
    for question in 0.. {
        while let Turn::Wait(next) = scheduler.turn(question, "m", now) {
            now = next.unwrap();
        }
        if scheduler.throttled(question, None, now) == Next::End {
            break;
        }
    }
    assert!(
        (seconds(540)..seconds(720)).contains(&(now - start)),
        "{:?}",
        now - start
    );
    let first = |change: &Change| matches!(change, Change::Pause { is_first: true, .. });
    assert_eq!(
        scheduler
            .take_changes()
            .iter()
            .filter(|change| first(change))
            .count(),
        1
    );
}

#[test]
fn a_server_that_says_now_again_and_again_is_not_asked_without_a_pause_and_ends_the_run() {
    for named in [0, 1, 999] {
        let (mut scheduler, start) = scheduler(8);
        let (mut now, mut asked) = (start, 0);
        loop {
            while let Turn::Wait(next) = scheduler.turn(1, "m", now) {
                now = next.unwrap();
            }
            asked += 1;
            assert!(asked < 30, "{named}");
            if scheduler.throttled(1, Some(Duration::from_millis(named)), now) == Next::End {
                break;
            }
        }
        assert!(now - start > seconds(500), "{named}: {:?}", now - start);
        // The pauses are ours, and are announced as such.
        let changes = scheduler.take_changes();
        let is_ours = |change: &Change| matches!(change, Change::Pause { is_named: false, .. });
        assert!(!changes.is_empty() && changes.iter().all(is_ours), "{changes:?}");
    }
}

#[test]
fn a_pause_longer_than_patience_ends_the_run_before_it() {
    let (mut scheduler, now) = scheduler(8);
    send(&mut scheduler, [1, 2], now);
    assert_eq!(scheduler.throttled(1, Some(seconds(600)), now), NOW);
    assert_eq!(scheduler.turn(3, "m", now), Turn::Wait(Some(now + seconds(600))));
    scheduler.answered(2);
    let now = now + seconds(600);
    send(&mut scheduler, [1], now);
    assert_eq!(scheduler.throttled(1, Some(seconds(601)), now), Next::End);
}

/// Sends `wave` questions at once, all of which are refused without a word on how long; returns the pause after it.
fn refuse_wave(wave: u64) -> Duration {
    let (mut scheduler, start) = scheduler(64);
    let mut now = start;
    // What got through before: ten a second.
    for question in 1_000..1_020 {
        send(&mut scheduler, [question], now);
        now += Duration::from_millis(100);
        scheduler.answered(question);
    }
    send(&mut scheduler, 0..wave, now);
    for question in 0..wave {
        now += Duration::from_millis(1);
        assert_eq!(scheduler.throttled(question, None, now), NOW);
    }
    // One is let through after the pause; the next has to wait for the interval.
    let mut at = now;
    while let Turn::Wait(Some(next)) = turn(&mut scheduler, 0, at) {
        at = next;
    }
    match turn(&mut scheduler, 1, at) {
        Turn::Wait(Some(next)) => next - at,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wave_of_refusals_slows_the_run_as_much_as_one_does() {
    let alone = refuse_wave(1);
    for wave in [2, 8, 64] {
        assert_eq!(refuse_wave(wave), alone, "{wave} refusals");
    }
    // To half of what got through.
    assert_eq!(alone.as_millis(), 200);
}

#[test]
fn one_models_pause_is_not_the_others() {
    let (mut scheduler, now) = scheduler(8);
    send(&mut scheduler, [1], now);
    scheduler.throttled(1, Some(seconds(25)), now);
    assert_eq!(scheduler.turn(2, "m", now), Turn::Wait(Some(now + seconds(25))));
    assert_eq!(scheduler.turn(3, "other", now), Turn::Send);
}

#[test]
fn a_time_out_is_a_record_unless_many_meet_it() {
    let late = Fault {
        cause: Cause::Failed,
        is_final: true,
        wait: None,
    };
    let (mut scheduler, now) = scheduler(4);
    send(&mut scheduler, 0..4, now);
    let next: Vec<Next> = (0..4)
        .map(|question| scheduler.failed(question, late, now))
        .collect();
    assert_eq!(next, [Next::GiveUp, Next::GiveUp, Next::GiveUp, NOW]);
}

#[test]
fn many_questions_that_fail_again_after_others_passed_are_no_outage() {
    let (mut scheduler, now) = scheduler(4);
    for question in (0..100).step_by(2) {
        send(&mut scheduler, [question, question + 1], now);
        scheduler.failed(question, BROKEN, now);
        scheduler.answered(question + 1);
    }
    // Nobody else is left.
    for (_, expected) in [(2, true), (3, true), (4, false)] {
        for question in (0..100).step_by(2) {
            send(&mut scheduler, [question], now);
            let next = scheduler.failed(question, BROKEN, now);
            assert_eq!(matches!(next, Next::Again(_)), expected, "{question}");
        }
    }
    assert!(scheduler.take_changes().is_empty());
}

#[test]
fn who_always_fails_in_company_is_tried_alone_before_it_is_given_up() {
    let (mut scheduler, now) = scheduler(2);
    for _ in 0..4 {
        send(&mut scheduler, [1], now);
        scheduler.answered(1);
        send(&mut scheduler, [2, 3], now);
        for question in [2, 3] {
            assert!(matches!(scheduler.failed(question, CRASH, now), Next::Again(_)));
        }
    }
    send(&mut scheduler, [1], now);
    scheduler.answered(1);
    send(&mut scheduler, [2], now);
    assert_eq!(scheduler.turn(3, "m", now), Turn::Wait(None));
    scheduler.answered(2);
    send(&mut scheduler, [3], now);
    assert_eq!(scheduler.failed(3, CRASH, now), Next::GiveUp);
}

/// Sends questions to a model.
#[track_caller]
fn send_to(scheduler: &mut Scheduler, model: &str, questions: &[u64], now: Instant) {
    for question in questions {
        assert_eq!(scheduler.turn(*question, model, now), Turn::Send, "{question}");
    }
}

/// A scheduler of eight, where a model is answered and another is away.
fn with_a_model_away() -> (Scheduler, Instant) {
    let (mut scheduler, now) = scheduler(8);
    send_to(&mut scheduler, "away", &[1, 2, 3, 4], now);
    send_to(&mut scheduler, "there", &[11], now);
    assert_eq!(scheduler.failed(1, BROKEN, now), Next::Again(super::FIRST_PAUSE));
    scheduler.answered(11);
    for question in [2, 3, 4] {
        assert!(matches!(scheduler.failed(question, BROKEN, now), Next::Again(_)));
    }
    send_to(&mut scheduler, "away", &[5, 6, 7, 8], now);
    for question in [5, 6, 7, 8] {
        scheduler.failed(question, BROKEN, now);
    }
    let model = "away".to_owned();
    assert_eq!(scheduler.take_changes(), [Change::ModelOutageBegan { model }]);
    (scheduler, now)
}

#[test]
fn a_model_that_fails_beside_one_that_is_answered_is_tried_by_one_question() {
    let (mut scheduler, mut now) = with_a_model_away();
    assert_eq!(
        scheduler.turn(1, "away", now),
        Turn::Wait(Some(now + super::FIRST_PROBE))
    );
    send_to(&mut scheduler, "there", &[12], now);
    scheduler.answered(12);
    now += super::FIRST_PROBE;
    send_to(&mut scheduler, "away", &[1], now);
    assert_eq!(scheduler.turn(2, "away", now), Turn::Wait(None));
    assert_eq!(scheduler.failed(1, BROKEN, now), NOW);
    assert_eq!(scheduler.turn(2, "away", now), Turn::Wait(Some(now + seconds(2))));
    now += seconds(2);
    send_to(&mut scheduler, "away", &[2], now);
    scheduler.answered(2);
    let ended = Change::ModelOutageEnded {
        model: "away".to_owned(),
        waited: seconds(3),
    };
    assert_eq!(scheduler.take_changes(), [ended]);
    send_to(&mut scheduler, "away", &[1, 3, 4], now);
}

#[test]
fn a_model_that_stays_away_is_left_once_patience_is_over() {
    let (mut scheduler, mut now) = with_a_model_away();
    let start = now;
    loop {
        match scheduler.turn(1, "away", now) {
            Turn::Wait(Some(next)) => now = next,
            Turn::Send => match scheduler.failed(1, BROKEN, now) {
                Next::Again(_) => {}
                Next::Lose => break,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(now - start, seconds(600));
    assert_eq!(scheduler.turn(2, "away", now), Turn::Leave);
    send_to(&mut scheduler, "there", &[12], now);
}

#[test]
fn a_server_that_goes_down_with_all_its_models_is_no_matter_of_one() {
    for fault in [UNSENT, CRASH, BROKEN] {
        let (mut scheduler, now) = scheduler(8);
        send_to(&mut scheduler, "a", &[1, 2, 3, 4], now);
        send_to(&mut scheduler, "b", &[5, 6, 7, 8], now);
        for question in 1..=8 {
            scheduler.failed(question, fault, now);
        }
        assert_eq!(scheduler.take_changes(), [Change::OutageBegan]);
    }
}
