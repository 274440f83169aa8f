//! qwen-token and a server that answers in every way.
use crate::support::login::{login, millis, with};
use crate::support::{Reply, Sandbox, Server};
use serde_json::{Value, json};

const NEW: &str =
    r#"{"access_token":"at-new","refresh_token":"rt-new","token_type":"Bearer","expires_in":3600}"#;

fn live() -> Value {
    // Due, because less than the usual minute is left of an hour.
    login(-3570, 30)
}

fn dead() -> Value {
    login(-3600, -1)
}

#[test]
fn a_live_token_is_printed_without_a_request() {
    let server = Server::untouched();
    let sandbox = Sandbox::new();
    sandbox.logged_in(&server.url("/token"), &login(-10, 3590));
    sandbox.tool("qwen-token").run().gives(0, "at-old\n", "");
}

#[test]
fn a_due_token_is_refreshed_stored_and_printed() {
    let server = Server::script([Reply::json(200, NEW)]);
    let sandbox = Sandbox::new();
    let login = with(
        live(),
        json!({"resource_url": "portal.qwen.ai", "note": {"kept": true}}),
    );
    sandbox.logged_in(&server.url("/token"), &login);
    sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
    let request = &server.requests()[0];
    assert_eq!(
        request.text(),
        "grant_type=refresh_token&refresh_token=rt-old&client_id=c"
    );
    let stored = sandbox.stored();
    assert_eq!(stored["refresh_token"], "rt-new");
    assert_eq!(
        stored["resource_url"], "portal.qwen.ai",
        "an answer without one keeps the old one"
    );
    assert_eq!(stored["note"], json!({"kept": true}));
    let ends = stored["expires_at"].as_i64().unwrap();
    assert!((millis(3000)..=millis(3600)).contains(&ends), "{ends}");
    assert_eq!(sandbox.mode(crate::support::login::OWN_FILE), 0o600);
    sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_refresh_token_that_the_answer_lacks_goes_on() {
    let server = Server::script([Reply::json(
        200,
        r#"{"access_token":"at-new","token_type":"bearer"}"#,
    )]);
    let sandbox = Sandbox::new();
    sandbox.logged_in(&server.url("/token"), &dead());
    sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
    let stored = sandbox.stored();
    assert_eq!(stored["refresh_token"], "rt-old");
    assert!(!stored.contains_key("expires_at"), "no expiry is made up");
    sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
    assert_eq!(
        server.requests().len(),
        1,
        "a token of unknown life is used until it is refused"
    );
}

#[test]
fn a_lifetime_of_any_kind_is_understood() {
    for (expires_in, left) in [
        (r#""1200""#, Some(1200)),
        ("1200.7", Some(1200)),
        ("0", None),
        ("-5", None),
        ("null", None),
        (r#""soon""#, None),
        ("1e300", Some(315_360_000)),
        ("18446744073709551615", Some(315_360_000)),
    ] {
        let body =
            format!(r#"{{"access_token":"at-new","refresh_token":"rt-new","expires_in":{expires_in}}}"#);
        let server = Server::script([Reply::json(200, &body)]);
        let sandbox = Sandbox::new();
        sandbox.logged_in(&server.url("/token"), &dead());
        let run = sandbox
            .tool("qwen-token")
            .args(["--format", "json"])
            .run()
            .exits(0);
        let answer: Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!(answer["access_token"], "at-new", "{expires_in}");
        match left {
            None => assert_eq!(
                (&answer["expires_in"], &answer["expires_at"]),
                (&Value::Null, &Value::Null)
            ),
            Some(left) => {
                let seconds = answer["expires_in"].as_i64().unwrap();
                assert!((left / 2..=left).contains(&seconds), "{expires_in}: {seconds}");
            }
        }
        sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
        assert_eq!(server.requests().len(), 1, "{expires_in}");
    }
}

/// Answers, the exit with a dead token, and words of the message.
fn failures() -> Vec<(Reply, i32, &'static str)> {
    let refused = |status, body| Reply::json(status, body);
    vec![
        (refused(500, "{}"), 75, "status 500"),
        (
            Reply::new(502, "text/html", "<html>bad gateway</html>"),
            75,
            "status 502",
        ),
        (
            refused(503, r#"{"error":"temporarily_unavailable"}"#),
            75,
            "status 503",
        ),
        (refused(429, "slow"), 75, "status 429"),
        (
            Reply::with_headers(429, &[("retry-after", "30")], "{}"),
            75,
            "status 429 and asks to retry after 30 s",
        ),
        (
            Reply::with_headers(503, &[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")], "{}"),
            75,
            "status 503 and asks to retry after 2",
        ),
        (Reply::default().reset(), 75, "connection broke"),
        (Reply::default().close(), 75, "connection broke"),
        (
            Reply::default()
                .send("HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"acc")
                .close(),
            76,
            "broke within",
        ),
        (
            Reply::new(200, "text/html", "<html>log in</html>"),
            76,
            "the body is not a JSON object",
        ),
        (
            refused(200, r#"{"token_type":"Bearer"}"#),
            76,
            "no 'access_token'",
        ),
        (refused(200, r#"{"access_token":"a b"}"#), 76, "'access_token'"),
        (
            refused(200, r#"{"access_token":"x","token_type":"mac"}"#),
            76,
            "unknown 'token_type': 'mac'",
        ),
        (
            Reply::with_headers(302, &[("location", "http://127.0.0.1:1/")], ""),
            76,
            "redirect",
        ),
        (refused(404, "{}"), 76, "status 404"),
        (
            refused(401, r#"{"error":"invalid_client"}"#),
            78,
            "invalid_client",
        ),
        (
            refused(400, r#"{"error":"unauthorized_client"}"#),
            78,
            "unauthorized_client",
        ),
    ]
}

#[test]
fn a_failed_refresh_passes_while_the_token_lives() {
    for (reply, _, words) in failures() {
        let server = Server::script([reply]);
        let sandbox = Sandbox::new();
        let file = sandbox.logged_in(&server.url("/token"), &live());
        let before = std::fs::read(&file).unwrap();
        let run = sandbox.tool("qwen-token").run().exits(0);
        assert_eq!(run.text(), "at-old\n", "{words}");
        assert!(run.stderr.contains(words), "{words:?} in {}", run.stderr);
        assert!(run.stderr.contains("is valid for"), "{}", run.stderr);
        assert_eq!(std::fs::read(&file).unwrap(), before, "{words}");
        assert_eq!(
            server.requests().len(),
            1,
            "a refresh is never repeated blindly: {words}"
        );
    }
}

#[test]
fn a_failed_refresh_of_a_dead_token_says_why_and_loses_nothing() {
    for (reply, exit, words) in failures() {
        let server = Server::script([reply]);
        let sandbox = Sandbox::new();
        let file = sandbox.logged_in(&server.url("/token"), &dead());
        let before = std::fs::read(&file).unwrap();
        let run = sandbox
            .tool("qwen-token")
            .run()
            .fails(exit, &[words, "profile 'work'"]);
        assert!(
            !run.stderr.contains("rt-old") && !run.stderr.contains("at-old"),
            "{run:#?}"
        );
        assert_eq!(std::fs::read(&file).unwrap(), before, "{words}");
        assert_eq!(server.requests().len(), 1, "{words}");
        let says_what_to_check = run.stderr.contains("\"client_id\"");
        assert_eq!(says_what_to_check, exit == 78, "{run:#?}");
        assert_eq!(
            sandbox.files("home/.config/qwen/credentials"),
            ["work.json", "work.json.lock"]
        );
    }
}

#[test]
fn a_spent_refresh_token_is_a_login_required_and_stays() {
    for reply in [
        Reply::json(
            400,
            r#"{"error":"invalid_grant","error_description":"gone\u001b[2J"}"#,
        ),
        Reply::json(401, r#"{"error":"invalid_grant"}"#),
        Reply::json(
            400,
            r#"{"error":"invalid_request","error_description":"Invalid refresh token or client_id"}"#,
        ),
        Reply::json(400, ""),
        Reply::json(401, ""),
        Reply::new(400, "text/html", "<html>"),
        Reply::new(401, "text/html", "<html>"),
    ] {
        for stored in [dead(), live()] {
            let server = Server::script([reply.clone()]);
            let sandbox = Sandbox::new();
            let file = sandbox.logged_in(&server.url("/token"), &stored);
            let before = std::fs::read(&file).unwrap();
            let run = sandbox
                .tool("qwen-token")
                .run()
                .fails(77, &["cannot refresh", "hint: run 'qwen-login --profile work'"]);
            assert!(!run.stderr.contains('\u{1b}'), "{run:#?}");
            assert_eq!(std::fs::read(&file).unwrap(), before);
        }
    }
}

#[test]
fn a_winner_outside_our_lock_is_believed_after_invalid_grant() {
    let sandbox = Sandbox::new();
    let winner = sandbox.root().join(crate::support::login::OWN_FILE);
    let theirs = with(
        login(0, 3600),
        json!({"access_token": "at-won", "refresh_token": "rt-won"}),
    );
    let written = theirs.clone();
    let server = Server::answering(move |_, _| {
        std::fs::write(&winner, written.to_string()).unwrap();
        Reply::json(400, r#"{"error":"invalid_grant"}"#)
    });
    sandbox.logged_in(&server.url("/token"), &dead());
    sandbox.tool("qwen-token").run().gives(0, "at-won\n", "");
    assert_eq!(Value::Object(sandbox.stored()), theirs);
}

#[test]
fn no_server_at_all_is_try_again() {
    let sandbox = Sandbox::new();
    let gone = Server::untouched().url("/token");
    sandbox.logged_in(&gone, &dead());
    let run = sandbox.tool("qwen-token").run();
    run.fails(75, &[&format!("profile 'work': '{gone}': cannot connect")]);
    sandbox.logged_in(&gone, &live());
    let run = sandbox.tool("qwen-token").run().exits(0);
    assert_eq!(run.text(), "at-old\n");
    sandbox
        .tool("qwen-token")
        .arg("--no-refresh")
        .arg("-q")
        .run()
        .gives(0, "at-old\n", "");
}

#[test]
fn a_clock_that_was_stepped_back_makes_a_token_expired_once() {
    let server = Server::script([Reply::json(200, NEW)]);
    let sandbox = Sandbox::new();
    // Issued tomorrow, good until tomorrow evening: reckoned by a clock that was a day ahead.
    sandbox.logged_in(&server.url("/token"), &login(86_400, 90_000));
    sandbox.tool("qwen-token").arg("--check").run().exits(1);
    sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
    sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn tokens_that_never_live_as_long_as_asked_are_not_refreshed_on_every_call() {
    let server = Server::script([Reply::json(200, &NEW.replace("3600", "50"))]);
    let sandbox = Sandbox::new();
    sandbox.logged_in(&server.url("/token"), &dead());
    for _ in 0..5 {
        sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
    }
    sandbox.tool("qwen-token").arg("--check").run().gives(0, "", "");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn min_ttl_refresh_and_no_refresh_decide() {
    let server = Server::script([Reply::json(200, NEW)]);
    let sandbox = Sandbox::new();
    let hour = login(-1800, 1800);
    sandbox.logged_in(&server.url("/token"), &hour);
    sandbox
        .tool("qwen-token")
        .args(["--min-ttl", "1700"])
        .run()
        .gives(0, "at-old\n", "");
    let run = sandbox
        .tool("qwen-token")
        .args(["--min-ttl", "1900", "--no-refresh"])
        .run()
        .exits(0);
    assert_eq!(run.text(), "at-old\n");
    assert!(
        run.stderr.contains("is valid for 17") && run.stderr.contains(" s and is not refreshed"),
        "{run:#?}"
    );
    sandbox
        .tool("qwen-token")
        .args(["--min-ttl", "1900", "--check"])
        .run()
        .exits(1);
    sandbox
        .tool("qwen-token")
        .args(["--min-ttl", "1700", "--check"])
        .run()
        .gives(0, "", "");
    sandbox
        .tool("qwen-token")
        .args(["--min-ttl", "1900"])
        .run()
        .gives(0, "at-new\n", "");
    sandbox
        .tool("qwen-token")
        .arg("--refresh")
        .run()
        .gives(0, "at-new\n", "");
    assert_eq!(server.requests().len(), 2);
    assert!(server.requests()[1].text().contains("refresh_token=rt-new"));
    sandbox.logged_in(&server.url("/token"), &dead());
    sandbox.tool("qwen-token").arg("--no-refresh").run().fails(
        77,
        &[
            "the token of profile 'work' has expired",
            "hint: run 'qwen-token --refresh' to renew it",
        ],
    );
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_login_without_a_refresh_token_serves_until_it_ends() {
    let server = Server::untouched();
    let sandbox = Sandbox::new();
    let one_way = |login| with(login, json!({"refresh_token": null}));
    sandbox.logged_in(&server.url("/token"), &one_way(live()));
    assert_eq!(sandbox.tool("qwen-token").run().exits(0).text(), "at-old\n");
    sandbox.logged_in(&server.url("/token"), &one_way(dead()));
    sandbox
        .tool("qwen-token")
        .run()
        .fails(77, &["no refresh token", "hint: run 'qwen-login --profile work'"]);
}

#[test]
fn the_token_endpoint_is_found_from_the_issuer_alone() {
    let sandbox = Sandbox::new();
    let issuer = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let known = std::sync::Arc::clone(&issuer);
    let server = Server::answering(move |_, request| {
        let at = known.lock().unwrap().clone();
        match request.target.as_str() {
            "/.well-known/oauth-authorization-server" => Reply::json(
                200,
                &json!({"issuer": at, "device_authorization_endpoint": format!("{at}/d"), "token_endpoint": format!("{at}/t")})
                    .to_string(),
            ),
            "/t" => Reply::json(200, NEW),
            _ => Reply::json(500, "{}"),
        }
    });
    let at = server.url("");
    at.clone_into(&mut issuer.lock().unwrap());
    sandbox.logged_in("http://127.0.0.1:1/", &dead());
    sandbox.oauth_profile("custom", "file", &json!({"issuer": at, "client_id": "c"}));
    sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
}

#[test]
fn an_answer_that_has_begun_is_waited_for() {
    // Longer than the limit for a connection: the old refresh token is spent, so the new one must not be given up.
    let reply = Reply::default()
        .send(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            NEW.len()
        ))
        .pause(std::time::Duration::from_secs(11))
        .send(NEW);
    let server = Server::script([reply]);
    let sandbox = Sandbox::new();
    sandbox.logged_in(&server.url("/token"), &dead());
    sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
}

#[test]
fn a_life_shorter_than_asked_for_is_said_to_all() {
    let server = Server::script([Reply::json(200, NEW)]);
    let sandbox = Sandbox::new();
    sandbox.logged_in(&server.url("/token"), &dead());
    let asked = || {
        sandbox
            .tool("qwen-token")
            .args(["--min-ttl", "7200"])
            .run()
            .exits(0)
    };
    for _ in 0..2 {
        let run = asked();
        assert_eq!(run.text(), "at-new\n");
        assert!(
            run.stderr.contains("tokens are valid for less than 7200 s"),
            "{run:#?}"
        );
    }
    assert_eq!(server.requests().len(), 2, "one for each call, no more");
}
