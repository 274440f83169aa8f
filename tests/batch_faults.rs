//! Servers that refuse, break and vanish: one result each where the request is at fault, an end where all are.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::batch::{batch, line, lines, prompt, results, results_in, text, whole, whole_body};
use crate::support::chat::{KEY, name};
use crate::support::login::{OWN_FILE, login};
use crate::support::{Reply, Sandbox, Server, wait_until};
use serde_json::json;

fn refusal(status: u16, error: &str) -> Reply {
    Reply::json(status, &format!("{{\"error\":{error}}}"))
}

/// A request's number; 0 for a health check.
fn number(prompt: &str) -> usize {
    prompt[1..].parse().unwrap_or(0)
}

#[test]
fn of_a_mixed_thousand_every_line_has_one_result_and_the_counts_are_right() {
    let server = Server::answering(|_, request| {
        let prompt = prompt(request);
        match (number(&prompt) % 20, number(&prompt) % 100) {
            (1, _) => refusal(409, r#"{"message":"conflict"}"#),
            (7, _) => Reply::new(500, "text/html", "<html>oops</html>"),
            (_, 4) => {
                let body = whole_body(&prompt).to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                Reply::default().send(head).send(&body[..body.len() / 2]).close()
            }
            _ => whole(&prompt),
        }
    });
    let sandbox = Sandbox::new();
    let input: String = (0..1_000)
        .map(|number| match number % 20 {
            13 => format!("{{\"custom_id\":\"q{number}\",\"body\":\n"),
            _ => line(&format!("q{number}"), &format!("q{number}")),
        })
        .collect();
    sandbox.write("work/in.jsonl", input);
    let run = batch(&sandbox, &server)
        .args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "32", "--retries", "1"])
        .run()
        .fails(
            1,
            &["qwen-batch: 1000 done, 160 of them failed (100 try-again, 50 data, 10 protocol)\n"],
        );
    // A line a minute says how far it is.
    let is_heartbeat = |line: &&str| line.contains(" of 1000 done") || line.contains(" done so far");
    let said = run.stderr.lines().filter(|line| !is_heartbeat(line));
    assert_eq!(said.count(), 3, "{}", run.stderr);
    let results = results_in(&sandbox.work().join("out.jsonl"));
    assert_eq!(results.len(), 1_000);
    let invalid = results
        .values()
        .filter(|result| result["error"]["code"] == "data");
    assert!(
        invalid
            .clone()
            .all(|result| result["error"]["line"].as_u64().unwrap() % 20 == 14)
    );
    assert_eq!(invalid.count(), 50);
    for number in (0..1_000).filter(|number| number % 20 != 13) {
        let name = format!("q{number}");
        let result = &results[&name];
        let (status, code) = (&result["response"]["status_code"], &result["error"]["code"]);
        match (number % 20, number % 100) {
            (1, _) => assert_eq!((status, code), (&json!(409), &json!("try-again"))),
            (7, _) => assert_eq!((status, code), (&json!(500), &json!("try-again"))),
            (_, 4) => assert_eq!((status, code), (&json!(null), &json!("protocol"))),
            _ => assert_eq!(text(result), name),
        }
    }
    // What may pass is tried twice. What broke in company only is tried once more alone. The last ones may find nobody
    // else who is answered, and are tried longer.
    let mut tries = BTreeMap::new();
    for request in server.requests() {
        *tries.entry(prompt(&request)).or_insert(0) += 1;
    }
    for (name, tries) in tries.into_iter().filter(|(name, _)| name.starts_with('q')) {
        let expected = match (number(&name) % 20, number(&name) % 100) {
            (1 | 7, _) if number(&name) >= 960 => 2..=4,
            (1 | 7, _) => 2..=2,
            (_, 4) => 2..=3,
            _ => 1..=1,
        };
        assert!(expected.contains(&tries), "{name}: {tries}");
    }
}

#[test]
fn what_passes_is_tried_again() {
    for first in [
        refusal(429, "{}"),
        Reply::with_headers(429, &[("retry-after", "1")], "{}"),
        refusal(503, "{}"),
        Reply::json(
            200,
            r#"{"error":{"code":502,"message":"Provider returned error"}}"#,
        ),
        Reply::default().reset(),
        Reply::default().close(),
    ] {
        let server = Server::script([first, whole("fine")]);
        let sandbox = Sandbox::new();
        let run = batch(&sandbox, &server)
            .arg("run")
            .stdin(line("a", "x"))
            .run()
            .exits(0);
        assert_eq!(text(&results(&run.text())["a"]), "fine");
        assert_eq!((run.stderr.as_str(), server.requests().len()), ("", 2));
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up_after_the_limit() {
    let server = Server::answering(|_, request| match prompt(request).as_str() {
        "x" => Reply::default().hold(),
        _ => whole("fine"),
    });
    let sandbox = Sandbox::new();
    let tool = batch(&sandbox, &server).args(["run", "--first-byte-timeout", "2"]);
    let input = format!("{}{}", line("a", "x"), line("b", "y"));
    let run = tool.stdin(input).run().exits(1);
    let results = results(&run.text());
    assert_eq!(
        results["a"]["error"],
        json!({"code": "try-again", "message": "no answer within 2 s"})
    );
    assert_eq!(text(&results["b"]), "fine");
}

#[test]
fn the_limit_of_a_profile_counts_unless_a_flag_says_otherwise() {
    let server = Server::answering(|_, _| Reply::default().hold());
    let sandbox = Sandbox::new();
    let profile = json!({
        "base_url": server.url("/v1"), "model": "m", "key": {"env": "KEY"}, "timeouts": {"first_byte": 0.4},
    });
    sandbox.config(&json!({"profiles": {"p": profile}}).to_string());
    for (args, limit) in [(&[][..], "0.4"), (&["--first-byte-timeout", "0.3"], "0.3")] {
        let tool = sandbox.tool("qwen-batch").env("KEY", KEY).arg("run").args(args);
        let run = tool.stdin(line("a", "x")).run().exits(1);
        let message = &results(&run.text())["a"]["error"]["message"];
        assert_eq!(message, &json!(format!("no answer within {limit} s")));
    }
}

#[test]
fn a_server_that_throttles_everybody_holds_back_every_process() {
    // Sixteen at a time meet a server that has had enough for two seconds: they wait, and are answered then.
    let began = std::sync::OnceLock::new();
    let server = Server::answering(move |_, request| {
        let first: std::time::Instant = *began.get_or_init(std::time::Instant::now);
        match first.elapsed() < Duration::from_secs(2) {
            true => Reply::with_headers(429, &[("retry-after", "2")], "{}"),
            false => whole(&prompt(request)),
        }
    });
    let sandbox = Sandbox::new();
    let first = batch(&sandbox, &server)
        .args(["run", "-j", "16"])
        .stdin(lines(64))
        .start();
    // Without a rate there is a state only when there is a pause.
    let state = sandbox.home().join(".local/state/qwen/pace");
    let is_json = |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|end| end == "json");
    wait_until("the pause is known to all", || {
        std::fs::read_dir(&state).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(is_json)))
    });
    let second = batch(&sandbox, &server)
        .args(["run", "-j", "1"])
        .stdin(lines(1))
        .run()
        .exits(0);
    assert_eq!(results(&second.text()).len(), 1);
    let run = crate::support::Run::wait(first, "qwen-batch").exits(0);
    assert_eq!(results(&run.text()).len(), 64);
    // Sixteen were refused, and up to seven more before it was certain that this is about all. Then nobody asked again
    // before the time: neither they, nor the rest, nor the other process.
    let asked = server.requests().len();
    assert!((16 + 64 + 1..=16 + 7 + 64 + 1).contains(&asked), "{asked}");
}

#[test]
fn a_server_that_asks_everybody_for_more_than_a_minute_ends_the_run() {
    let server = Server::answering(|_, _| Reply::with_headers(429, &[("retry-after", "900")], "{}"));
    let sandbox = Sandbox::new();
    sandbox.write("work/in.jsonl", lines(100));
    let tool = batch(&sandbox, &server).args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "4"]);
    tool.run()
        .fails(75, &["too many requests (429)", "run the same command again"]);
    assert!(server.requests().len() < 12, "{}", server.requests().len());
}

/// Runs ten requests into a file; returns what is in it.
fn ten(sandbox: &Sandbox, server: &Server, code: i32, words: &[&str]) -> usize {
    sandbox.write("work/in.jsonl", lines(10));
    let tool =
        batch(sandbox, server).args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "2", "--retries", "1"]);
    tool.run().fails(code, words);
    results_in(&sandbox.work().join("out.jsonl")).len()
}

#[test]
fn what_every_request_would_meet_ends_the_run_and_spoils_no_result() {
    for (fault, code, words) in [
        (
            refusal(401, r#"{"message":"no such key"}"#),
            77,
            "the credential was refused (401): no such key",
        ),
        (
            refusal(403, r#"{"message":"not you"}"#),
            77,
            "the credential was refused (403): not you",
        ),
        (
            refusal(429, r#"{"code":"insufficient_quota","message":"pay"}"#),
            69,
            "the quota is used up (429): pay",
        ),
        (refusal(402, "{}"), 69, "the quota is used up (402)"),
        (
            Reply::with_headers(307, &[("location", "http://evil.example/")], ""),
            76,
            "refused to follow a redirect (307)",
        ),
    ] {
        let sandbox = Sandbox::new();
        let server = Server::script([fault]);
        assert_eq!(
            ten(&sandbox, &server, code, &[words, &name(&server), "hint: "]),
            0
        );
        assert!(server.requests().len() <= 2, "no more is sent");
        let good = crate::support::batch::echo();
        let tool = batch(&sandbox, &good).args(["run", "in.jsonl", "-o", "out.jsonl"]);
        tool.run().gives(0, "", "");
        assert_eq!(results_in(&sandbox.work().join("out.jsonl")).len(), 10);
    }
}

#[test]
fn a_key_that_is_refused_in_the_middle_ends_the_run_and_keeps_what_there_is() {
    let server = Server::answering(|_, request| match number(&prompt(request)) {
        5 => refusal(401, "{}"),
        _ => whole("fine"),
    });
    let sandbox = Sandbox::new();
    let there = ten(
        &sandbox,
        &server,
        77,
        &["(401)", "run the same command again", "OPENAI_API_KEY"],
    );
    // The other one may have been slow with its request, or quick with the next ones.
    assert!((4..10).contains(&there), "{there}");
}

#[test]
fn many_refusals_and_not_one_answer_end_the_run() {
    let server = Server::answering(|_, _| refusal(404, r#"{"code":"model_not_found","message":"no m-1"}"#));
    let sandbox = Sandbox::new();
    sandbox.write("work/in.jsonl", lines(500));
    let tool = batch(&sandbox, &server).args(["run", "in.jsonl", "-o", "out.jsonl"]);
    let words = ["no such model or path (404): no m-1", "with --retry-failed"];
    tool.run().fails(69, &words);
    let asked = server.requests().len();
    assert!((64..64 + 8).contains(&asked), "{asked}");
    // One answer shows that it is about the requests.
    let server = Server::answering(|_, request| match number(&prompt(request)) {
        0 => whole("fine"),
        number => refusal(400, &format!(r#"{{"message":"prompt {number} is wrong"}}"#)),
    });
    let sandbox = Sandbox::new();
    sandbox.write("work/in.jsonl", lines(200));
    let tool = batch(&sandbox, &server).args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "1"]);
    tool.run().fails(1, &["200 done, 199 of them failed"]);
}

#[test]
fn a_403_about_one_request_is_the_result_of_that_request() {
    let server = Server::answering(|_, request| match number(&prompt(request)) {
        5 => refusal(403, r#"{"message":"flagged"}"#),
        _ => whole("fine"),
    });
    let sandbox = Sandbox::new();
    assert_eq!(ten(&sandbox, &server, 1, &["10 done, 1 of them failed"]), 10);
    let result = &results_in(&sandbox.work().join("out.jsonl"))["q5"];
    assert_eq!(
        (&result["error"]["code"], &result["response"]["status_code"]),
        (&json!("data"), &json!(403))
    );
}

#[test]
fn no_server_is_an_end_that_leaves_the_requests_for_later() {
    let sandbox = Sandbox::new();
    let server = crate::support::batch::echo();
    ten(&sandbox, &server, 0, &[]);
    std::fs::remove_file(sandbox.work().join("out.jsonl")).unwrap();
    let gone = sandbox
        .tool("qwen-batch")
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", server.url("/v1"));
    drop(server);
    let run = gone
        .args(["run", "in.jsonl", "-o", "out.jsonl", "--patience", "2s"])
        .run();
    let run = run.fails(
        75,
        &[
            "cannot connect: connection refused; trying one request at a time until it answers, for up to 2s",
            "0 done",
            "run the same command again",
        ],
    );
    assert_eq!(run.stderr.matches("trying one request").count(), 1, "{run:#?}");
    assert_eq!(sandbox.read("work/out.jsonl"), "");
}

/// A server that gives out the token `at-new`, as often as it is asked, and takes the one that `is_good`.
fn renewing(is_good: fn(&str) -> bool) -> Server {
    Server::answering(move |_, request| {
        if request.target == "/token" {
            let token = json!({"access_token": "at-new", "token_type": "Bearer", "expires_in": 3600});
            return Reply::json(200, &token.to_string());
        }
        match is_good(request.header("authorization").unwrap_or_default()) {
            true => whole(&prompt(request)),
            false => refusal(401, "{}"),
        }
    })
}

/// Runs a hundred requests with a stored login; returns the run and the number of token requests.
fn with_login(server: &Server, login: serde_json::Value) -> (crate::support::Run, usize) {
    let sandbox = Sandbox::new();
    let oauth =
        json!({"token_endpoint": server.url("/token"), "client_id": "c", "allowed_hosts": ["127.0.0.1"]});
    let profile = json!({
        "method": "oauth", "base_url": server.url("/v1"), "model": "m", "key": {"store": "file"}, "oauth": oauth,
    });
    sandbox.config(&json!({"profiles": {"work": profile}}).to_string());
    sandbox.write(OWN_FILE, login.to_string());
    let tool = sandbox.tool("qwen-batch").args(["run", "-j", "32"]);
    let run = tool.stdin(lines(100)).run();
    let requests = server.requests();
    let renewals = requests.iter().filter(|request| request.target == "/token");
    (run, renewals.count())
}

#[test]
fn a_token_that_is_refused_is_renewed_once_for_all() {
    let server = renewing(|header| header == "Bearer at-new");
    let (run, renewals) = with_login(&server, login(-10, 3590));
    let run = run.exits(0);
    assert_eq!((results(&run.text()).len(), run.stderr.as_str()), (100, ""));
    assert_eq!(renewals, 1);
}

#[test]
fn a_token_that_ends_in_the_middle_is_renewed_once_and_before_it_is_refused() {
    // It is to be renewed a minute before its end: a second from now.
    let served = AtomicUsize::new(0);
    let server = Server::answering(move |_, request| {
        if request.target == "/token" {
            let token = json!({"access_token": "at-new", "token_type": "Bearer", "expires_in": 3600});
            return Reply::json(200, &token.to_string());
        }
        let pause = Duration::from_millis(match served.fetch_add(1, Ordering::SeqCst) {
            0..32 => 1_200,
            _ => 1,
        });
        let body = whole_body(&prompt(request)).to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        Reply::default().pause(pause).send(head).send(body)
    });
    let (run, renewals) = with_login(&server, login(-10, 61));
    assert_eq!((results(&run.exits(0).text()).len(), renewals), (100, 1));
    let requests = server.requests();
    let by = |token: &str| {
        let asked = requests.iter().filter(|request| request.target != "/token");
        asked
            .filter(|request| request.header("authorization") == Some(token))
            .count()
    };
    assert_eq!(by("Bearer at-old") + by("Bearer at-new"), 100);
    assert!(by("Bearer at-new") >= 68, "{}", by("Bearer at-new"));
}

#[test]
fn a_fresh_token_that_is_refused_too_ends_the_run_and_is_not_renewed_again() {
    let server = renewing(|_| false);
    let (run, renewals) = with_login(&server, login(-10, 3590));
    assert_eq!(renewals, 1);
    let asked = server.requests().len();
    assert!(asked <= 1 + 2 * 32, "{asked}");
    let run = run.fails(77, &["(401)", "hint: the token is fresh", "qwen-auth use NAME"]);
    assert!(!run.stderr.contains("qwen-login"), "{run:#?}");
}

#[test]
fn no_credential_is_said_before_the_file_is_made() {
    let sandbox = Sandbox::new();
    sandbox.write("work/in.jsonl", lines(1));
    let tool = sandbox
        .tool("qwen-batch")
        .args(["run", "in.jsonl", "-o", "out.jsonl"]);
    tool.run()
        .fails(77, &["no credential", "qwen-login", "OPENAI_API_KEY"]);
    assert!(!sandbox.work().join("out.jsonl").exists());
}

#[test]
fn a_model_that_only_streams_is_asked_for_streams_after_its_first_refusal() {
    let server = Server::answering(|_, request| match request.json()["stream"].as_bool() {
        Some(true) => crate::support::chat::answer(&["fi", "ne"]),
        _ => refusal(
            400,
            r#"{"message":"This model only support stream mode, please enable the stream parameter to access the model. ","code":"invalid_parameter_error"}"#,
        ),
    });
    let sandbox = Sandbox::new();
    let tool = batch(&sandbox, &server).args(["run", "-j", "1"]);
    let run = tool.stdin(lines(3)).run().exits(0);
    let results = results(&run.text());
    for number in 0..3 {
        let result = &results[&format!("q{number}")];
        assert_eq!(text(result), "fine");
        assert_eq!(result["response"]["body"]["usage"]["total_tokens"], 7);
    }
    assert_eq!(server.requests().len(), 4, "it is refused once");
}

#[test]
fn a_wait_that_the_server_names_in_its_words_is_kept() {
    let server = Server::script([
        refusal(
            429,
            r#"{"message":"Rate limit reached. Please try again in 1.5s."}"#,
        ),
        whole("fine"),
    ]);
    let sandbox = Sandbox::new();
    let run = batch(&sandbox, &server)
        .arg("run")
        .stdin(line("a", "x"))
        .run()
        .exits(0);
    assert_eq!(text(&results(&run.text())["a"]), "fine");
    assert!(run.elapsed >= Duration::from_millis(1_500), "{:?}", run.elapsed);
}

#[test]
fn a_bad_setting_is_said_before_the_file_is_made() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    sandbox.write("work/in.jsonl", lines(3));
    for (name, value, words) in [
        (
            "OPENAI_BASE_URL",
            "http://192.0.2.1/v1",
            "plain http would show the secret",
        ),
        ("OPENAI_BASE_URL", "not a URL", "OPENAI_BASE_URL"),
        ("OPENAI_API_KEY", "\"sk-canary-0123456789\"", "OPENAI_API_KEY"),
    ] {
        let tool = batch(&sandbox, &server).env(name, value);
        let run = tool.args(["run", "in.jsonl", "-o", "out.jsonl"]).run();
        run.fails(78, &[words]);
        assert!(!sandbox.work().join("out.jsonl").exists(), "{name}={value}");
    }
}
