//! The state in single steps: waiters, crashes, and clocks that jump.

use super::{DAY, Decision, LEASE, Limits, Millis, NO_TICKET, State, WaitReason, Window};

/// Some morning, in the middle of a UTC day.
pub(super) const MORNING: Millis = 20_000 * DAY + DAY / 3;

pub(super) fn a_minute(rate: u32) -> Limits {
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

fn request(state: &mut State, limits: Limits, now: Millis) -> Decision {
    state.decide(&mut NO_TICKET.clone(), 0, limits, now)
}

#[test]
fn a_prompt_answer_tells_when_its_minute_begins_and_a_slow_one_does_not() {
    // Sixty in six seconds: the estimate is 400 ms, and an answer within a second is believed.
    for (answered, begins) in [(5, 6), (399, 400), (700, 701), (999, 1_000), (1_500, 400)] {
        let limits = a_minute(600);
        let mut state = State::default();
        let mut tickets = [NO_TICKET; 60];
        for ticket in &mut tickets {
            assert_eq!(state.decide(ticket, 0, limits, MORNING), Decision::Send);
        }
        for ticket in tickets {
            state.answered(ticket, limits.window, MORNING + answered);
        }
        let now = MORNING + 2_000;
        let wait = state.decide(&mut NO_TICKET.clone(), 0, limits, now);
        assert_eq!(
            wait,
            Decision::Wait(begins + 6_006 - 2_000, WaitReason::Rate),
            "{answered}"
        );
    }
}

#[test]
fn those_who_wait_are_served_in_the_order_in_which_they_came() {
    let limits = a_minute(2);
    let mut state = State::default();
    for _ in 0..2 {
        assert_eq!(request(&mut state, limits, MORNING), Decision::Send);
    }
    let mut tickets = [NO_TICKET; 4];
    let waits: Vec<Decision> = tickets
        .iter_mut()
        .map(|ticket| state.decide(ticket, 0, limits, MORNING))
        .collect();
    // Not yet answered, a request may have come as late as the margin allows; the minute runs from then.
    let (first, second) = (64_064, 124_124);
    let expected = [first, first, second, second].map(|wait| Decision::Wait(wait, WaitReason::Rate));
    assert_eq!(waits[..], expected);
    for later in (1_000..=64_000).step_by(1_000) {
        for ticket in &mut tickets {
            assert!(matches!(
                state.decide(ticket, 0, limits, MORNING + later),
                Decision::Wait(..)
            ));
        }
    }
    // The last to come asks first, and has to let the others go before it.
    let now = MORNING + 64_064;
    let order: Vec<bool> = [3, 2, 1, 0]
        .into_iter()
        .map(|place| state.decide(&mut tickets[place], 0, limits, now) == Decision::Send)
        .collect();
    assert_eq!(order, [false, false, true, true]);
}

#[test]
fn one_that_died_while_it_waited_holds_up_nobody_for_long() {
    let limits = a_minute(1);
    let mut state = State::default();
    assert_eq!(request(&mut state, limits, MORNING), Decision::Send);
    for _ in 0..50 {
        request(&mut state, limits, MORNING);
    }
    let mut mine = NO_TICKET;
    let Decision::Wait(long, _) = state.decide(&mut mine, 0, limits, MORNING) else {
        panic!()
    };
    assert!(long > 50 * 60_000);
    let mut now = MORNING;
    while now < MORNING + LEASE {
        now += 1_000;
        state.decide(&mut mine, 0, limits, now);
    }
    let Decision::Wait(short, _) = state.decide(&mut mine, 0, limits, now) else {
        panic!()
    };
    assert!(short <= 60_000, "{short}");
}

#[test]
fn one_that_was_stopped_for_long_gets_a_new_place() {
    let limits = a_minute(1);
    let mut state = State::default();
    request(&mut state, limits, MORNING);
    let mut ticket = NO_TICKET;
    state.decide(&mut ticket, 0, limits, MORNING);
    let before = ticket;
    assert_eq!(
        state.decide(&mut ticket, 0, limits, MORNING + 90_000),
        Decision::Send
    );
    assert_ne!(ticket, before);
    assert_eq!(state.today(MORNING + 90_000), 2);
}

#[test]
fn a_clock_that_steps_costs_a_minute_at_most() {
    let hour = 3_600_000;
    for now in [MORNING - hour, MORNING - 5_000, MORNING - 100 * 365 * DAY / 2] {
        let limits = a_minute(2);
        let mut state = State::default();
        for _ in 0..3 {
            request(&mut state, limits, MORNING);
        }
        state.pause(0, 60_000, MORNING);
        match request(&mut state, limits, now) {
            Decision::Wait(wait, _) => assert!(wait <= 66_000, "{wait}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(request(&mut state, limits, now + 70_000), Decision::Send);
    }
    let mut state = State::default();
    request(&mut state, a_minute(1), MORNING);
    assert_eq!(request(&mut state, a_minute(1), MORNING + hour), Decision::Send);
}

#[test]
fn the_day_is_counted_and_renews_at_midnight() {
    let midnight = 20_001 * DAY;
    let limits = a_day(2);
    let mut state = State::default();
    assert_eq!(request(&mut state, limits, MORNING), Decision::Send);
    assert_eq!(request(&mut state, limits, midnight - 1), Decision::Send);
    assert_eq!(
        request(&mut state, limits, midnight - 1),
        Decision::DayUsedUp(midnight)
    );
    assert_eq!((state.today(midnight - 1), state.today(midnight)), (2, 0));
    assert_eq!(request(&mut state, limits, midnight), Decision::Send);
    assert_eq!(state.today(midnight), 1);
    // Set back over midnight, the clock does not renew anything; set back from nowhere, it does.
    assert_eq!(
        request(&mut state, a_day(1), midnight - 5),
        Decision::DayUsedUp(midnight)
    );
    assert_eq!(request(&mut state, a_day(1), MORNING - 400 * DAY), Decision::Send);
}

#[test]
fn a_request_that_was_never_sent_does_not_count() {
    let limits = Limits {
        per_day: Some(1),
        ..a_minute(1)
    };
    let mut state = State::default();
    let mut ticket = NO_TICKET;
    assert_eq!(state.decide(&mut ticket, 0, limits, MORNING), Decision::Send);
    state.not_sent(ticket, MORNING + 9);
    state.not_sent(ticket, MORNING + 9);
    assert_eq!(state.today(MORNING), 0);
    assert_eq!(request(&mut state, limits, MORNING + 10), Decision::Send);
}

#[test]
fn a_request_of_yesterday_that_was_never_sent_is_taken_from_yesterday() {
    let midnight = (MORNING / DAY + 1) * DAY;
    let limits = Limits {
        per_day: Some(1),
        ..a_minute(9)
    };
    let mut state = State::default();
    let mut ticket = NO_TICKET;
    assert_eq!(state.decide(&mut ticket, 0, limits, midnight - 9), Decision::Send);
    assert_eq!(request(&mut state, limits, midnight + 1), Decision::Send);
    state.not_sent(ticket, midnight + 2);
    assert_eq!(state.today(midnight + 2), 1);
    assert_eq!(
        request(&mut state, limits, midnight + 3),
        Decision::DayUsedUp(midnight + DAY)
    );
}

#[test]
fn a_pause_that_the_server_asked_for_holds_all_who_want_that_model() {
    let mut state = State::default();
    state.pause(0, 7_000, MORNING);
    state.pause(0, 3_000, MORNING);
    assert_eq!(state.remaining_pause(0, MORNING).0, 7_000);
    assert_eq!(
        request(&mut state, a_day(9), MORNING + 2_000),
        Decision::Wait(5_000, WaitReason::Server)
    );
    assert_eq!(request(&mut state, a_day(9), MORNING + 7_000), Decision::Send);
    state.pause(0, Millis::MAX, MORNING);
    assert_eq!(state.remaining_pause(0, MORNING).0, 60_000);
}

#[test]
fn a_clock_that_is_set_back_makes_no_pause_longer() {
    let mut state = State::default();
    state.pause(1, 2_000, MORNING);
    state.pause(2, 30_000, MORNING);
    let before = MORNING - 3_600_000;
    assert_eq!(
        (
            state.remaining_pause(1, before).0,
            state.remaining_pause(2, before).0
        ),
        (2_000, 30_000)
    );
    // What is written then is right by the new clock.
    state.expire(before);
    assert_eq!(state.remaining_pause(1, before + 1_500).0, 500);
    assert_eq!(state.remaining_pause(1, before + 2_000).0, 0);
    // A shorter one does not end a longer one, and one of before the step does not hide a new one.
    state.pause(2, 1_000, before + 10_000);
    assert_eq!(state.remaining_pause(2, before + 10_000).0, 20_000);
}

#[test]
fn a_paused_model_is_not_in_the_way_of_another() {
    let limits = a_minute(2);
    let (mut state, mut paused) = (State::default(), NO_TICKET);
    state.pause(1, 30_000, MORNING);
    assert_eq!(
        state.decide(&mut paused, 1, limits, MORNING),
        Decision::Wait(30_000, WaitReason::Server)
    );
    // It waits first in the queue, and both places of this minute go to others all the same.
    for _ in 0..2 {
        assert_eq!(
            state.decide(&mut NO_TICKET.clone(), 2, limits, MORNING),
            Decision::Send
        );
    }
    // When its pause is over it waits for the rate, as first in the queue.
    let mut other = NO_TICKET;
    for later in (1_000..=30_000).step_by(1_000) {
        for (ticket, model) in [(&mut paused, 1), (&mut other, 2)] {
            let decision = state.decide(ticket, model, limits, MORNING + later);
            assert!(matches!(decision, Decision::Wait(..)));
        }
    }
    assert_eq!(
        state.decide(&mut paused, 1, limits, MORNING + 30_000),
        Decision::Wait(34_064, WaitReason::Rate)
    );
    assert_eq!(
        (
            state.remaining_pause(1, MORNING).0,
            state.remaining_pause(2, MORNING).0
        ),
        (0, 0)
    );
}

#[test]
fn a_state_without_pauses_as_earlier_programs_wrote_it_is_read() {
    let old = r#"{"version":1,"next":1,"starts":[],"queue":[{"ticket":1,"lease":1}],"not_before":9,"day":0,"count":3}"#;
    assert_eq!(State::from_json(old.as_bytes()).unwrap().today(0), 3);
}

#[test]
fn whoever_does_not_wait_is_counted_all_the_same() {
    let limits = Limits {
        per_day: Some(2),
        ..a_minute(1)
    };
    let mut state = State::default();
    for _ in 0..3 {
        state.count_unlimited(limits, MORNING);
    }
    assert_eq!(state.today(MORNING), 3);
    assert!(matches!(
        request(&mut state, a_minute(3), MORNING),
        Decision::Wait(..)
    ));
}

#[test]
fn what_is_no_book_is_none_and_what_is_one_comes_back() {
    let mut state = State::default();
    for _ in 0..5 {
        request(&mut state, a_minute(3), MORNING);
    }
    let written = state.to_json().unwrap();
    assert_eq!(State::from_json(&written), Some(state));
    for end in 0..written.len() {
        assert_eq!(State::from_json(&written[..end]), None);
    }
    for bad in [
        "{}",
        "[]",
        r#"{"version":2,"next":1,"starts":[],"queue":[],"not_before":0,"day":0,"count":0}"#,
        r#"{"version":1,"next":1,"starts":[],"queue":[],"pauses":[{"model":1,"until":-1}],"day":0,"count":0}"#,
    ] {
        assert_eq!(State::from_json(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn hostile_numbers_neither_crash_nor_block() {
    let most = u64::MAX;
    let json = format!(
        r#"{{"version":1,"next":{most},"starts":[{{"ticket":{most},"at":{most}}},{{"ticket":1,"at":0}}],
        "queue":[{{"ticket":{most},"lease":{most}}}],"pauses":[{{"model":0,"until":{most}}}],"day":{most},"count":4294967295}}"#
    );
    let limits = Limits {
        per_day: Some(5),
        ..a_minute(2)
    };
    let mut state = State::from_json(json.as_bytes()).unwrap();
    let mut ticket = NO_TICKET;
    let mut now = MORNING;
    while state.decide(&mut ticket, 0, limits, now) != Decision::Send {
        now += 1_000;
        assert!(now < MORNING + 125_000, "{state:?}");
    }
}
