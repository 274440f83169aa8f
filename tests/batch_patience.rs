//! Servers that are slow to let requests through, go away and come back: a run waits, says so, and spoils no result.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::batch::{batch, line, lines, prompt, results_in, text, whole};
use crate::support::{Reply, Run, Sandbox, Server, next_line, peers};

/// Runs lines into `out.jsonl`.
fn run(sandbox: &Sandbox, server: &Server, input: &str, args: &[&str]) -> Run {
    sandbox.write("work/in.jsonl", input);
    let tool = batch(sandbox, server).args(["run", "in.jsonl", "-o", "out.jsonl"]);
    tool.args(args).run()
}

/// Checks that each of `count` lines has its own answer.
#[track_caller]
fn all_answered(sandbox: &Sandbox, count: usize) {
    let results = results_in(&sandbox.work().join("out.jsonl"));
    assert_eq!(results.len(), count);
    for (name, result) in &results {
        assert_eq!(text(result), name);
    }
}

fn refusal(status: u16, error: &str) -> Reply {
    Reply::json(status, &format!("{{\"error\":{error}}}"))
}

#[test]
fn a_limit_without_a_word_on_how_long_slows_the_run_and_fails_nothing() {
    // Five in a second, whatever comes.
    let window: Mutex<(Option<Instant>, u32)> = Mutex::default();
    let server = Server::answering(move |_, request| {
        let mut window = window.lock().unwrap();
        if window
            .0
            .is_none_or(|began| began.elapsed() >= Duration::from_secs(1))
        {
            *window = (Some(Instant::now()), 0);
        }
        window.1 += 1;
        match window.1 {
            ..=5 => whole(&prompt(request)),
            _ => refusal(429, r#"{"message":"slow down"}"#),
        }
    });
    let sandbox = Sandbox::new();
    run(&sandbox, &server, &lines(15), &["-j", "16", "--retries", "0"]).exits(0);
    all_answered(&sandbox, 15);
}

#[test]
fn a_server_that_refuses_everybody_for_too_long_is_for_another_day() {
    let server = Server::answering(|_, _| refusal(429, r#"{"message":"slow down"}"#));
    let sandbox = Sandbox::new();
    let run = run(&sandbox, &server, &lines(40), &["--patience", "3s"]);
    run.fails(
        75,
        &[
            "too many requests (429): slow down",
            "0 done",
            "run the same command again",
        ],
    );
    assert_eq!(sandbox.read("work/out.jsonl"), "");
}

#[test]
fn a_pause_that_the_server_asks_for_is_not_waited_for_beyond_patience() {
    let server = Server::answering(|_, _| Reply::with_headers(429, &[("retry-after", "300")], "slow down"));
    let sandbox = Sandbox::new();
    let run = run(&sandbox, &server, &lines(40), &["-j", "4", "--patience", "5s"]);
    let says = [
        "too many requests (429): slow down",
        "it asks for a pause of 5m",
        "0 done",
    ];
    run.fails(75, &says);
    assert_eq!(sandbox.read("work/out.jsonl"), "");
}

#[test]
fn a_server_that_goes_away_and_comes_back_is_waited_for() {
    for fault in [
        Reply::new(503, "text/html", "<html>Service Unavailable</html>"),
        Reply::default().close(),
        Reply::default()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"cho")
            .close(),
    ] {
        // It is away until the run has said so.
        let is_back = Arc::new(AtomicBool::new(false));
        let returns = Arc::clone(&is_back);
        let server = Server::answering(move |number, request| match number {
            20.. if !is_back.load(Ordering::SeqCst) => fault.clone(),
            _ => whole(&prompt(request)),
        });
        let sandbox = Sandbox::new();
        sandbox.write("work/in.jsonl", lines(100));
        let tool = batch(&sandbox, &server).args(["run", "in.jsonl", "-o", "out.jsonl"]);
        // No try of its own for any of them.
        let mut child = tool.args(["-j", "16", "--retries", "1"]).start();
        let began = next_line(&mut child);
        assert!(
            began.contains("trying one request at a time until it answers"),
            "{began}"
        );
        returns.store(true, Ordering::SeqCst);
        let run = Run::wait(child, "qwen-batch").exits(0);
        all_answered(&sandbox, 100);
        assert!(run.stderr.contains("it answers again after"), "{run:#?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    }
}

#[test]
fn an_outage_that_outlasts_patience_leaves_no_failure_behind() {
    let server = Server::answering(|number, request| match number {
        ..10 => whole(&prompt(request)),
        _ => Reply::new(502, "text/html", "<html>Bad Gateway</html>"),
    });
    let sandbox = Sandbox::new();
    let run = run(&sandbox, &server, &lines(60), &["--patience", "2s"]);
    let says = [
        "the server failed (502)",
        "no request was answered for 2s (--patience)",
        "10 done\n",
    ];
    run.fails(75, &says);
    all_answered(&sandbox, 10);
}

#[test]
fn requests_that_bring_the_server_down_each_time_fail_and_all_others_are_answered() {
    // Either of two takes the server down: with it fall those that come next.
    let (falling, crashes) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&crashes);
    let server = Server::answering(move |_, request| {
        let prompt = prompt(request);
        if prompt.starts_with("poison") {
            counted.fetch_add(1, Ordering::SeqCst);
            falling.store(3, Ordering::SeqCst);
            return Reply::default().close();
        }
        let is_down = |left: usize| left.checked_sub(1);
        match falling.fetch_update(Ordering::SeqCst, Ordering::SeqCst, is_down) {
            Ok(_) => Reply::default().close(),
            Err(_) => whole(&prompt),
        }
    });
    let poison = |name: &str| line(name, name);
    let input = format!(
        "{}{}{}{}",
        poison("poison1"),
        lines(30),
        poison("poison2"),
        (0..20)
            .map(|number| line(&format!("r{number}"), &format!("r{number}")))
            .collect::<String>()
    );
    let sandbox = Sandbox::new();
    let run = run(&sandbox, &server, &input, &["-j", "2"]);
    run.fails(1, &["52 done, 2 of them failed (2 try-again)"]);
    // As many tries as on either side of an answer, and those alone.
    let crashes = crashes.load(Ordering::SeqCst);
    assert!((4..=2 * (3 * 4 + 2)).contains(&crashes), "{crashes}");
    let results = results_in(&sandbox.work().join("out.jsonl"));
    assert_eq!(results.len(), 52);
    for (name, result) in &results {
        assert_eq!(result["error"].is_null(), !name.starts_with("poison"), "{result}");
    }
}

#[test]
fn a_server_that_is_not_there_spoils_no_line_however_few_they_are() {
    for (status, count) in [(503, 1), (503, 2), (502, 2), (504, 1)] {
        let server = Server::answering(move |_, _| Reply::new(status, "text/html", "<html>Gone</html>"));
        let sandbox = Sandbox::new();
        let run = run(
            &sandbox,
            &server,
            &lines(count),
            &["--patience", "2s", "--retries", "1"],
        );
        run.fails(75, &["trying one request at a time", "0 done\n"]);
        assert_eq!(sandbox.read("work/out.jsonl"), "");
    }
}

#[test]
fn a_lone_line_that_a_gateway_never_answers_fails_where_the_server_answers_a_health_check() {
    // With and without a model that refuses a limit on the length of the answer.
    for (status, takes_limit) in [(502, true), (503, false), (504, true)] {
        let checks = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&checks);
        let server = Server::answering(move |_, request| {
            let body = request.json();
            if prompt(request).starts_with('q') {
                return Reply::new(status, "text/html", "<html>Bad Gateway</html>");
            }
            counted.fetch_add(1, Ordering::SeqCst);
            assert_eq!(body["model"], "m-1");
            match body["max_tokens"].is_null() || takes_limit {
                true => whole("OK"),
                false => refusal(
                    400,
                    r#"{"message":"Unsupported parameter: 'max_tokens'","param":"max_tokens","code":"unsupported_parameter"}"#,
                ),
            }
        });
        let sandbox = Sandbox::new();
        run(&sandbox, &server, &lines(1), &["--retries", "1"])
            .fails(1, &["1 done, 1 of them failed (1 try-again)"]);
        let results = results_in(&sandbox.work().join("out.jsonl"));
        assert!(!results["q0"]["error"].is_null() && results.len() == 1);
        let expected = if takes_limit { 1 } else { 2 };
        assert_eq!(checks.load(Ordering::SeqCst), expected, "{status}");
        // Again from the beginning: it does not go on for ever.
        run(
            &sandbox,
            &server,
            &lines(1),
            &["--retries", "1", "--retry-failed"],
        )
        .fails(1, &["1 of them failed"]);
    }
}

#[test]
fn a_health_check_that_is_refused_tells_nothing_and_the_key_it_shows_to_be_bad_ends_the_run() {
    for (status, exit, says) in [(400, 75, "0 done"), (401, 77, "0 done")] {
        let server = Server::answering(move |_, request| match prompt(request).starts_with('q') {
            true => Reply::new(502, "text/html", "<html>Bad Gateway</html>"),
            false => refusal(status, r#"{"message":"no"}"#),
        });
        let sandbox = Sandbox::new();
        let args = ["--retries", "1", "--patience", "2s"];
        run(&sandbox, &server, &lines(1), &args).fails(exit, &[says]);
        assert_eq!(sandbox.read("work/out.jsonl"), "");
    }
}

#[test]
fn a_path_without_a_health_check_waits_for_the_server_as_long_as_patience_lasts() {
    let server = Server::answering(|_, _| Reply::new(502, "text/html", "<html>Bad Gateway</html>"));
    let sandbox = Sandbox::new();
    let line = r#"{"custom_id":"a","url":"/v1/moderations","body":{"input":"x"}}"#;
    let args = ["--retries", "1", "--patience", "2s"];
    run(&sandbox, &server, line, &args).fails(75, &["0 done"]);
}

#[test]
fn a_model_that_is_taken_away_in_the_middle_ends_the_run() {
    let server = Server::answering(|number, request| match number {
        ..10 => whole(&prompt(request)),
        _ => refusal(404, r#"{"code":"model_not_found","message":"no m-1"}"#),
    });
    let sandbox = Sandbox::new();
    let run = run(&sandbox, &server, &lines(500), &[]);
    run.fails(
        69,
        &["no such model or path (404): no m-1", "with --retry-failed"],
    );
    let asked = server.count();
    assert!((10 + 64..10 + 64 + 8).contains(&asked), "{asked}");
}

#[test]
fn a_run_ends_when_more_have_failed_than_it_may() {
    for (limit, least, most) in [("0", 1, 4), ("5", 6, 9), ("20%", 20, 24), ("100%", 500, 500)] {
        let server =
            Server::answering(|number, _| refusal(400, &format!(r#"{{"message":"fault {number}"}}"#)));
        let sandbox = Sandbox::new();
        let run = run(
            &sandbox,
            &server,
            &lines(500),
            &["-j", "4", "--max-failed", limit],
        )
        .exits(1);
        let there = results_in(&sandbox.work().join("out.jsonl")).len();
        assert!((least..=most).contains(&there), "{limit}: {there}");
        assert_eq!(
            run.stderr.contains("more than --max-failed"),
            limit != "100%",
            "{run:#?}"
        );
    }
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    for wrong in ["x", "101%", "%", "1.5"] {
        run(&sandbox, &server, "", &["--max-failed", wrong]).fails(64, &["--max-failed"]);
    }
    run(&sandbox, &server, "", &["--patience", "soon"]).fails(64, &["not a time such as 90s, 10m or 1h"]);
}

#[test]
fn a_request_that_is_too_large_is_told_so_and_is_the_only_one() {
    let server = Server::answering(|_, request| match prompt(request).as_str() {
        "q1" => Reply::new(413, "text/html", "<h1>413 Request Entity Too Large</h1>"),
        other => whole(other),
    });
    let sandbox = Sandbox::new();
    run(&sandbox, &server, &lines(3), &[]).fails(1, &["3 done, 1 of them failed (1 data)"]);
    let results = results_in(&sandbox.work().join("out.jsonl"));
    let message = results["q1"]["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("split the line, or choose a model that takes more"),
        "{message}"
    );
}

#[test]
fn a_pause_that_is_too_long_ends_the_run_and_is_the_result_of_no_line() {
    // Far beyond the limit, just beyond it, and beyond any clock.
    for (status, wait) in [
        (429, "601"),
        (429, "3600"),
        (503, "3600"),
        (502, "1000000"),
        (429, "18446744073709551615"),
        (503, "18446744073709551615"),
        (429, "1e20"),
        (429, "99999999999999999999"),
    ] {
        for (count, answered) in [(40, 0), (8, 4), (1, 0)] {
            let server = Server::answering(move |number, request| match number < answered {
                true => whole(&prompt(request)),
                false => Reply::with_headers(status, &[("retry-after", wait)], "{}"),
            });
            let sandbox = Sandbox::new();
            let run = run(&sandbox, &server, &lines(count), &["-j", "8"]);
            run.fails(75, &["it asks for a pause of ", "run the same command again"]);
            all_answered(&sandbox, answered);
        }
    }
}

#[test]
fn a_server_that_says_now_again_and_again_is_left_alone_for_longer_and_longer() {
    // 1e12 is a point in time that is over.
    for wait in ["0", "0.001", "1e12"] {
        let server = Server::answering(move |_, _| Reply::with_headers(429, &[("retry-after", wait)], "{}"));
        let sandbox = Sandbox::new();
        let run = run(&sandbox, &server, &lines(1), &["--patience", "5s"]);
        run.fails(75, &["no request was answered for 5s (--patience)", "0 done"]);
        assert_eq!(sandbox.read("work/out.jsonl"), "");
        assert!(server.count() < 8, "{wait}: {}", server.count());
    }
}

#[test]
fn lines_of_a_model_that_asks_for_a_pause_keep_no_place_from_the_others() {
    let (others, refused) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&refused);
    let server = Server::answering(move |_, request| {
        let is_other = request.json()["model"] == "b";
        if is_other {
            others.fetch_add(1, Ordering::SeqCst);
        } else if others.load(Ordering::SeqCst) < 12 {
            counted.fetch_add(1, Ordering::SeqCst);
            return Reply::with_headers(429, &[("retry-after", "5")], "{}");
        }
        whole(&prompt(request))
    });
    let sandbox = Sandbox::new();
    let input: String = (0..24)
        .map(|number| {
            let model = ["a", "b"][number % 2];
            format!("{{\"id\":\"q{number}\",\"model\":\"{model}\",\"prompt\":\"q{number}\"}}\n")
        })
        .collect();
    run(&sandbox, &server, &input, &["-j", "4"]).exits(0);
    all_answered(&sandbox, 24);
    // Those under way together at first, and none after the pause.
    assert!(refused.load(Ordering::SeqCst) <= 4);
}

#[test]
fn however_many_lines_wait_for_one_model_those_of_another_are_sent() {
    let others = AtomicUsize::new(0);
    let server = Server::answering(move |_, request| {
        let is_other = request.json()["model"] == "b";
        if is_other {
            others.fetch_add(1, Ordering::SeqCst);
        } else if others.load(Ordering::SeqCst) < 2 {
            return Reply::with_headers(429, &[("retry-after", "2")], "{}");
        }
        whole(&prompt(request))
    });
    let sandbox = Sandbox::new();
    let input: String = (0..100)
        .map(|number| line_to("a", &format!("q{number}")))
        .collect();
    let input = input + &line_to("b", "q100") + &line_to("b", "q101");
    run(&sandbox, &server, &input, &["-j", "2", "--patience", "5s"]).exits(0);
    all_answered(&sandbox, 102);
}

/// What answers in the place of an API: a network that wants a login, a firewall, a front door whose back end is away.
fn foreign_replies() -> [Reply; 4] {
    let page = "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>";
    [
        Reply::new(200, "text/html", page),
        Reply::new(403, "text/html", page),
        Reply::new(404, "text/html", page),
        Reply::with_headers(302, &[("location", "https://login.example/")], ""),
    ]
}

#[test]
fn pages_in_the_place_of_answers_are_waited_out() {
    for page in foreign_replies() {
        let server = Server::answering({
            let page = page.clone();
            move |number, request| match number {
                10..22 => page.clone(),
                _ => whole(&prompt(request)),
            }
        });
        let sandbox = Sandbox::new();
        run(&sandbox, &server, &lines(40), &["-j", "8"]).exits(0);
        all_answered(&sandbox, 40);
        // For good: cloudflare/cloudflared#1344.
        let server = Server::answering(move |number, request| match number {
            ..10 => whole(&prompt(request)),
            _ => page.clone(),
        });
        let sandbox = Sandbox::new();
        let run = self::run(&sandbox, &server, &lines(40), &["-j", "4", "--patience", "2s"]);
        run.fails(75, &["no request was answered for 2s (--patience)", "10 done\n"]);
        all_answered(&sandbox, 10);
    }
}

#[test]
fn pages_before_the_first_answer_spoil_no_line() {
    for page in &foreign_replies()[..3] {
        // Lines that are fewer than what tells an outage, too.
        for (count, pages) in [(40, 9), (2, 3)] {
            let server = Server::answering({
                let page = page.clone();
                move |number, request| match number < pages {
                    true => page.clone(),
                    false => whole(&prompt(request)),
                }
            });
            let sandbox = Sandbox::new();
            run(&sandbox, &server, &lines(count), &["-j", "8", "--retries", "0"]).exits(0);
            all_answered(&sandbox, count);
        }
        // The address may be wrong: the exit is the page's.
        let server = Server::answering({
            let page = page.clone();
            move |_, _| page.clone()
        });
        let sandbox = Sandbox::new();
        let run = self::run(&sandbox, &server, &lines(40), &["--patience", "2s"]);
        let exit = run.status.code().unwrap();
        assert!([69, 76].contains(&exit), "{run:#?}");
        run.fails(
            exit,
            &[
                "one request at a time",
                "no request was answered for 2s",
                "0 done",
            ],
        );
        assert_eq!(sandbox.read("work/out.jsonl"), "");
    }
}

#[test]
fn a_page_for_one_line_alone_is_the_result_of_that_line() {
    // A firewall that dislikes what one line holds: OpenHands/OpenHands#4480.
    let server = Server::answering(|_, request| match prompt(request).as_str() {
        "q12" => foreign_replies()[1].clone(),
        prompt => whole(prompt),
    });
    let sandbox = Sandbox::new();
    let run = run(&sandbox, &server, &lines(40), &["-j", "4"]).exits(1);
    assert!(run.stderr.contains("40 done, 1 of them failed"), "{run:#?}");
    assert!(!run.stderr.contains("one request at a time"), "{run:#?}");
}

#[test]
fn content_that_is_refused_many_times_in_a_row_ends_no_run() {
    // stanford-crfm/helm#1418.
    let error = r#"{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","code":"content_filter"}"#;
    let server = Server::answering(move |_, request| match prompt(request)[1..].parse().unwrap() {
        5..105 => refusal(400, error),
        _ => whole(&prompt(request)),
    });
    let sandbox = Sandbox::new();
    let run = run(&sandbox, &server, &lines(110), &["-j", "4"]).exits(1);
    assert!(run.stderr.contains("110 done, 100 of them failed"), "{run:#?}");
}

#[test]
fn a_run_that_ends_because_of_so_many_failures_says_so() {
    let server = Server::answering(|_, _| refusal(400, r#"{"message":"no such parameter: x"}"#));
    let sandbox = Sandbox::new();
    let run = run(&sandbox, &server, &lines(110), &["-j", "4"]);
    run.fails(65, &["64 requests in a row failed so"]);
}

/// A line to this model.
fn line_to(model: &str, name: &str) -> String {
    line(name, name).replace("\"body\":{", &format!("\"body\":{{\"model\":\"{model}\","))
}

#[test]
fn a_model_that_is_away_is_waited_for_while_the_others_go_on() {
    // It comes back some time after its first refusal.
    let first: Mutex<Option<Instant>> = Mutex::default();
    let server = Server::answering(move |_, request| {
        let is_away = || {
            let first = *first.lock().unwrap().get_or_insert_with(Instant::now);
            first.elapsed() < Duration::from_secs(3)
        };
        match request.json()["model"].as_str() {
            Some("away") if is_away() => refusal(503, r#"{"message":"no backend for it"}"#),
            _ => whole(&prompt(request)),
        }
    });
    let sandbox = Sandbox::new();
    let input: String = (0..30)
        .map(|number| line_to("there", &format!("t{number}")) + &line_to("away", &format!("a{number}")))
        .collect();
    let run = run(&sandbox, &server, &input, &["-j", "8", "--retries", "1"]).exits(0);
    all_answered(&sandbox, 60);
    for words in [
        "model 'away': ",
        "no backend for it",
        "other models go on",
        "model 'away' answers again after",
    ] {
        assert_eq!(run.stderr.matches(words).count(), 1, "{words}: {run:#?}");
    }
}

#[test]
fn a_model_that_stays_away_fails_no_line_and_holds_no_other_model_up() {
    let server = Server::answering(|_, request| match request.json()["model"].as_str() {
        Some("away") => refusal(503, r#"{"message":"no backend for it"}"#),
        _ => whole(&prompt(request)),
    });
    let sandbox = Sandbox::new();
    // More lines than are started at once.
    let input: String = (0..100)
        .map(|number| line_to("away", &format!("a{number}")) + &line_to("there", &format!("t{number}")))
        .collect();
    let args = ["-j", "4", "--retries", "1", "--patience", "3s"];
    let run = run(&sandbox, &server, &input, &args).fails(
        75,
        &[
            "no backend for it; no request to model 'away' was answered for 3s (--patience)",
            "100 done",
            "run the same command again",
        ],
    );
    all_answered(&sandbox, 100);
    assert!(!run.stderr.contains("failed"), "{run:#?}");
}

#[test]
fn a_pause_has_its_length_whatever_becomes_of_the_clock() {
    let Some(library) = peers::faketime() else { return };
    let sandbox = Sandbox::new();
    let clock = sandbox.write("clock", "+0");
    let set = clock.clone();
    // The clock is set back by an hour as soon as the pause is under way.
    let server = Server::answering(move |number, request| match number {
        0 => Reply::with_headers(429, &[("retry-after", "3")], "slow down"),
        _ => whole(&prompt(request)),
    });
    sandbox.write("work/in.jsonl", lines(2));
    let tool = batch(&sandbox, &server).args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "1"]);
    let mut child = tool
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .start();
    let said = next_line(&mut child);
    assert!(
        said.contains("waiting 3 s: the server asked for a pause"),
        "{said}"
    );
    std::fs::write(set, "-3600").unwrap();
    Run::wait(child, "qwen-batch").exits(0);
    all_answered(&sandbox, 2);
}
