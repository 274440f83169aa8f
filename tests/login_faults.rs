//! qwen-login: what a server, a person or the way between can do to a login.

use crate::support::authority::{
    Authority, device, device_with, login, nothing_is_stored, ok, refusal, run, token,
};
use crate::support::{Gate, Reply, Run, Sandbox, Server, Terminal, signal};
use serde_json::json;

#[test]
fn faults_on_the_way_are_waited_out_with_growing_patience() {
    let html = Reply::new(502, "text/html", "<html><b>bad gateway</b></html>");
    let busy = Reply::with_headers(503, &[("retry-after", "3")], "");
    let authority = Authority::new(
        ok(&device()),
        [
            html,
            Reply::default().reset(),
            refusal(400, "authorization_pending"),
            busy,
            ok(&token()),
        ],
    );
    let (_, run) = run(&authority);
    let run = run.exits(0);
    assert_eq!(authority.waits(), [2, 4, 1, 3]);
    assert!(run.stderr.contains("status 502; retrying in 2 s"), "{run:#?}");
    assert!(!run.stderr.contains("<b>"), "{run:#?}");
}

#[test]
fn an_end_is_an_end_with_its_own_exit_and_nothing_is_stored() {
    let pending = || refusal(400, "authorization_pending");
    let soon = json!({"expires_in": 2});
    let described = r#"{"error": "policy_17", "error_description": "ask your admin"}"#;
    let cases = [
        (
            device(),
            refusal(400, "access_denied"),
            77,
            "the login was denied",
        ),
        (
            device(),
            refusal(429, "access_denied"),
            77,
            "the login was denied",
        ),
        (
            device(),
            refusal(400, "expired_token"),
            77,
            "the code expired before it was approved",
        ),
        (
            device_with(soon.clone()),
            pending(),
            77,
            "the code expired before it was approved",
        ),
        (
            device_with(soon),
            Reply::default().reset(),
            75,
            "the connection broke before an answer",
        ),
        (
            device(),
            Reply::json(400, described),
            77,
            "policy_17: ask your admin",
        ),
        (device(), refusal(400, "invalid_grant"), 77, "invalid_grant"),
        (device(), refusal(401, "invalid_client"), 78, "invalid_client"),
        (
            device(),
            refusal(400, "unauthorized_client"),
            78,
            "unauthorized_client",
        ),
        (
            device(),
            refusal(400, "unsupported_grant_type"),
            78,
            "unsupported_grant_type",
        ),
        (
            device(),
            Reply::new(200, "text/html", "<html>sign in</html>"),
            76,
            "the body is not a JSON object but a page\n\
             qwen-login: hint: see whether this network wants you to log in to it first",
        ),
        (
            device(),
            Reply::new(400, "text/html", "<html>no</html>"),
            76,
            "status 400: the answer is an HTML page",
        ),
        (
            device(),
            Reply::new(401, "text/html", "<html>no</html>"),
            77,
            "status 401",
        ),
        (
            device(),
            ok(&json!({"access_token": "a", "token_type": "mac"})),
            76,
            "unknown 'token_type': 'mac'",
        ),
        (
            device(),
            ok(&json!({"token_type": "Bearer"})),
            76,
            "no 'access_token'",
        ),
        (
            device(),
            ok(&json!({"access_token": "a\nb"})),
            76,
            "other than visible ASCII",
        ),
        (
            device(),
            Reply::new(200, "application/json", "x".repeat(2 << 20)),
            76,
            "the answer is larger than",
        ),
    ];
    std::thread::scope(|scope| {
        for (answer, poll, code, said) in &cases {
            scope.spawn(move || {
                let authority = Authority::new(ok(answer), [poll.clone()]);
                let (sandbox, run) = run(&authority);
                run.fails(*code, &[said]);
                nothing_is_stored(&sandbox);
            });
        }
    });
}

#[test]
fn nothing_hostile_from_the_server_reaches_the_terminal() {
    let hostile = "\u{1b}]52;c;ZXZpbA==\u{7}\u{1b}[2J\u{202e}\u{9b}31m\r\n";
    let cases = [
        (device_with(json!({"user_code": format!("A{hostile}")})), 76),
        (device_with(json!({"user_code": "AB\u{202e}CD"})), 76),
        (
            device_with(json!({"verification_uri": format!("https://id.example/{hostile}")})),
            76,
        ),
        (device_with(json!({"verification_uri": "file:///etc/passwd"})), 76),
        (
            device_with(json!({"verification_uri": "javascript:alert(1)"})),
            76,
        ),
        (device_with(json!({"verification_uri": "data:text/html,x"})), 76),
        (device_with(json!({"verification_uri": "--version"})), 76),
        (
            device_with(json!({"verification_uri": "http://id.example/device"})),
            76,
        ),
        (
            device_with(json!({"verification_uri": "https://me:pw@id.example/"})),
            76,
        ),
        (
            device_with(json!({"verification_uri_complete": format!("https://id.example/{hostile}")})),
            77,
        ),
        (
            device_with(json!({"verification_uri_complete": "javascript:alert(1)"})),
            77,
        ),
        (device_with(json!({"verification_uri_complete": "-x"})), 77),
        (device(), 77),
    ];
    let described =
        json!({"error": format!("no{hostile}"), "error_description": format!("why\"\\{hostile}")});
    std::thread::scope(|scope| {
        for (answer, code) in &cases {
            let described = &described;
            scope.spawn(move || {
                let authority = Authority::new(ok(answer), [Reply::json(400, &described.to_string())]);
                let (sandbox, run) = run(&authority);
                let run = run.fails(*code, &["qwen-login: "]);
                let clean =
                    |c: char| c == '\n' || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
                assert!(run.stderr.chars().all(clean), "{run:#?}");
                for hidden in ["javascript:", "file:", "--version", "\n-x"] {
                    let named = run
                        .stderr
                        .replace("scheme 'javascript'", "")
                        .replace("scheme 'file'", "");
                    assert!(!named.contains(hidden), "{run:#?}");
                }
                nothing_is_stored(&sandbox);
            });
        }
    });
}

#[test]
fn a_broken_device_answer_is_named_before_anybody_is_asked() {
    for (reply, code, said) in [
        (
            ok(&device_with(json!({"device_code": null}))),
            76,
            "no 'device_code'",
        ),
        (
            ok(&device_with(json!({"user_code": 5}))),
            76,
            "'user_code' is not a string",
        ),
        (
            ok(&device_with(json!({"expires_in": null}))),
            76,
            "no 'expires_in'",
        ),
        (
            ok(&device_with(json!({"expires_in": -1}))),
            76,
            "'expires_in' is -1: the code has expired already",
        ),
        (
            ok(&device_with(json!({"verification_uri": null}))),
            76,
            "no 'verification_uri'",
        ),
        (
            Reply::new(200, "text/html", "<html>"),
            76,
            "the body is not a JSON object but a page\n\
             qwen-login: hint: see whether this network wants you to log in to it first",
        ),
        (
            Reply::new(511, "text/html", "<html>"),
            76,
            "the network wants to be logged in to (status 511)\nqwen-login: hint: see whether this network",
        ),
        (
            Reply::new(404, "text/html", "<html>"),
            78,
            "status 404: the answer is an HTML page",
        ),
        (refusal(400, "invalid_request"), 78, "invalid_request"),
        (refusal(400, "invalid_scope"), 78, "invalid_scope"),
        (refusal(401, "invalid_client"), 78, "invalid_client"),
        (refusal(400, "unauthorized_client"), 78, "unauthorized_client"),
        (Reply::new(503, "text/html", "<html>"), 75, "status 503"),
        (
            Reply::default()
                .send("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{")
                .close(),
            76,
            "broke within",
        ),
        (Reply::default().close(), 75, "broke before an answer"),
    ] {
        let authority = Authority::new(reply, [ok(&token())]);
        let (sandbox, run) = run(&authority);
        run.fails(code, &[said]);
        let asked = authority.server.requests();
        assert!(
            asked.len() == 1 && asked[0].text().ends_with("&code_challenge_method=S256"),
            "{asked:?}"
        );
        assert!(authority.polls().is_empty());
        nothing_is_stored(&sandbox);
    }
}

#[test]
fn redirects_are_not_followed() {
    let other = Server::untouched();
    let to = other.url("/steal");
    let away = || Reply::with_headers(307, &[("location", to.as_str())], "");
    for authority in [
        Authority::new(away(), [ok(&token())]),
        Authority::new(ok(&device()), [away()]),
    ] {
        let (sandbox, run) = run(&authority);
        run.fails(76, &["a redirect (status 307), which is not followed"]);
        nothing_is_stored(&sandbox);
    }
}

#[test]
fn an_interrupt_ends_the_polls_and_stores_nothing() {
    let authority = Authority::new(ok(&device()), [refusal(400, "authorization_pending")]);
    let sandbox = Sandbox::new();
    authority.configure(&sandbox);
    let before = sandbox.read("home/.config/qwen/config.json");
    let child = login(&sandbox).start();
    authority.server.wait_for(2);
    signal(&child, rustix::process::Signal::INT);
    Run::wait(child, "qwen-login").exits(130);
    nothing_is_stored(&sandbox);
    assert_eq!(sandbox.read("home/.config/qwen/config.json"), before);
}

#[test]
fn what_keeps_the_directory_of_credentials_from_being_used_is_named() {
    for (target, words) in [
        ("credentials", "credentials': too many levels of symbolic links"),
        ("gone", "credentials' is not a directory"),
        ("config.json", "credentials' is not a directory"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.config("{}");
        let place = sandbox.home().join(".config/qwen/credentials");
        std::os::unix::fs::symlink(target, &place).unwrap();
        let run = sandbox
            .detached("qwen-login")
            .args([
                "--with-key",
                "--no-verify",
                "--store",
                "file",
                "--base-url",
                "http://127.0.0.1:9/v1",
            ])
            .args(["--model", "m"])
            .stdin("sk-canary-0123456789\n")
            .run();
        assert_eq!(run.code(), 74, "{run:#?}");
        assert!(run.stderr.contains(words), "{run:#?}");
    }
}

#[test]
fn a_login_that_comes_to_nothing_leaves_the_earlier_one_and_says_so() {
    const KEPT: &str = "profile 'lab' keeps its earlier login";
    for (answer, poll, code, said) in [
        (
            device(),
            refusal(400, "access_denied"),
            77,
            "the login was denied",
        ),
        (device(), refusal(400, "expired_token"), 77, "expired"),
        (
            device_with(json!({"expires_in": 1})),
            refusal(400, "authorization_pending"),
            77,
            "expired",
        ),
        (json!({"error": "server_error"}), ok(&token()), 75, "server_error"),
        (
            device(),
            ok(&json!({"token_type": "Bearer"})),
            76,
            "no 'access_token'",
        ),
    ] {
        let sandbox = Sandbox::new();
        let authority = Authority::new(ok(&answer), [poll]);
        authority.configure(&sandbox);
        let run = login(&sandbox).run();
        assert!(
            run.stderr.contains(said) && !run.stderr.contains(KEPT),
            "{run:#?}"
        );
        let earlier = json!({"method": "oauth", "access_token": "at-old", "refresh_token": "rt-old",
            "token_type": "Bearer", "issued_at": 1, "expires_at": 2});
        sandbox.write("home/.config/qwen/credentials/lab.json", earlier.to_string());
        let run = login(&sandbox).run();
        run.fails(code, &[said, KEPT]);
        let kept = sandbox.read("home/.config/qwen/credentials/lab.json");
        assert!(kept.contains("at-old"), "{kept}");
    }
}

/// A server that is silent looks like a program that hangs.
#[test]
fn a_server_that_takes_long_is_said_to_be_waited_for() {
    let gate = Gate::default();
    let slow = Reply::default()
        .gate(&gate)
        .send("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
    let authority = Authority::new(slow, [ok(&token())]);
    let sandbox = Sandbox::new();
    authority.configure(&sandbox);
    let tool = sandbox.tool("qwen-login").args(["--oauth", "--no-browser"]);
    let terminal = Terminal::start(tool.env("QWEN_CREDENTIAL_STORE", "file").env("TERM", "dumb"));
    terminal.shows("waiting for '127.0.0.1:");
    gate.open();
    terminal.shows("status 503");
    assert_eq!(terminal.ends(), 75);
}
