//! qwen-token, many at once: one refresh, whatever the store.
use std::process::Child;

use crate::support::login::{OWN_FILE, QWEN_FILE, login, millis, with};
use crate::support::{Gate, Identity, Keyring, Reply, Run, Sandbox, Server, Tool, next_line};
use serde_json::{Value, json};

const MANY: usize = 100;

/// How the line of a process ends that waits for the lock of another one.
const WAITING: &str = ": locked by another process; waiting up to 60 s";

fn server() -> Option<Identity> {
    Identity::start(&[("AT_TTL", "3600")])
}

/// A real login that has just expired.
fn expired(server: &Identity) -> Value {
    let token = server.login();
    let tokens = json!({"access_token": token["access_token"], "refresh_token": token["refresh_token"]});
    with(login(-3600, -1), tokens)
}

fn in_qwen_codes_form(login: &Value) -> String {
    let form = json!({"method": null, "expires_at": null, "issued_at": null, "expiry_date": millis(-1), "kept": true});
    serde_json::to_string_pretty(&with(login.clone(), form)).unwrap()
}

/// Starts all, then waits for all; returns the one token that all printed.
fn all_print_the_same(tool: impl Fn() -> Tool) -> String {
    let children: Vec<Child> = (0..MANY).map(|_| tool().start()).collect();
    let runs: Vec<Run> = children
        .into_iter()
        .map(|child| Run::wait(child, "qwen-token").exits(0))
        .collect();
    for run in &runs {
        assert_eq!(run.text(), runs[0].text());
        // On a slow machine some wait long enough to say so.
        let others = run.stderr.lines().find(|line| !line.ends_with(WAITING));
        assert_eq!(others, None);
    }
    runs[0].text().trim().to_owned()
}

/// As [`all_print_the_same`], for a store that is not the toolkit's: a keyring that a slow machine holds up for longer than its
/// 3 s is exit 75, which means to try again.
fn all_print_the_same_in_the_end(tool: impl Fn() -> Tool) -> String {
    let mut tokens = Vec::new();
    while tokens.len() < MANY {
        let children: Vec<Child> = (tokens.len()..MANY).map(|_| tool().start()).collect();
        let before = tokens.len();
        for child in children {
            let run = Run::wait(child, "qwen-token");
            match run.code() {
                75 => assert!(
                    run.stderr
                        .contains("the system keyring did not answer within 3 s"),
                    "{run:#?}"
                ),
                _ => tokens.push(run.exits(0).text()),
            }
        }
        assert!(tokens.len() > before, "each time some are answered");
    }
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    tokens.remove(0).trim().to_owned()
}

/// Starts that many: one of them waits for the server's answer, the others for its lock, and have said so.
fn all_waiting(count: usize, server: &Server, tool: impl Fn() -> Tool) -> Vec<Child> {
    let mut children = vec![tool().start()];
    server.wait_for(1);
    children.extend((1..count).map(|_| tool().start()));
    for child in &mut children[1..] {
        let line = next_line(child);
        assert!(line.trim_end().ends_with(WAITING), "{line}");
    }
    children
}

#[test]
fn a_hundred_at_once_make_one_refresh_in_the_file_store() {
    let Some(server) = server() else { return };
    let sandbox = Sandbox::new();
    let old = expired(&server);
    sandbox.oauth_profile("custom", "file", &server.oauth());
    sandbox.write(OWN_FILE, old.to_string());
    let token = all_print_the_same(|| sandbox.tool("qwen-token"));
    assert_ne!(token, old["access_token"]);
    assert_eq!(server.refreshes(), (1, 1));
    assert!(server.is_active(&token));
    assert!(server.is_active(sandbox.stored()["refresh_token"].as_str().unwrap()));
}

#[test]
fn a_hundred_at_once_make_one_refresh_in_qwen_codes_file() {
    let Some(server) = server() else { return };
    let sandbox = Sandbox::new();
    sandbox.oauth_profile("qwen", "file", &server.oauth());
    sandbox.write(QWEN_FILE, in_qwen_codes_form(&expired(&server)));
    let token = all_print_the_same(|| sandbox.tool("qwen-token"));
    assert_eq!(server.refreshes(), (1, 1));
    assert!(server.is_active(&token));
    let stored: Value = serde_json::from_str(&sandbox.read(QWEN_FILE)).unwrap();
    assert_eq!(stored["access_token"], token);
    assert_eq!(stored["kept"], true);
    assert_eq!(
        sandbox.files("home/.qwen"),
        ["oauth_creds.json", "oauth_creds.qwen-toolkit.lock"]
    );
}

#[test]
fn a_hundred_at_once_make_one_refresh_in_the_keyring() {
    let (Some(server), Some(keyring)) = (server(), Keyring::start("unlocked")) else {
        return;
    };
    let sandbox = Sandbox::new();
    sandbox.oauth_profile("custom", "keyring", &server.oauth());
    keyring.store("work", &expired(&server).to_string());
    let token = all_print_the_same_in_the_end(|| keyring.given_to(sandbox.tool("qwen-token")));
    assert_eq!(server.refreshes(), (1, 1));
    assert!(server.is_active(&token));
    let stored: Value = serde_json::from_str(&keyring.lookup("work").unwrap()).unwrap();
    assert_eq!(stored["access_token"], token);
    assert_eq!(
        sandbox.files("home/.config/qwen/credentials"),
        ["work.keyring.lock"],
        "nothing secret in a file"
    );
}

#[test]
fn a_hundred_that_wait_for_a_refresh_take_it() {
    let Some(server) = server() else { return };
    server.change(&json!({"DELAY": 1500}));
    let sandbox = Sandbox::new();
    sandbox.oauth_profile("custom", "file", &server.oauth());
    // All of them have read the old token when the answer comes.
    sandbox.write(
        OWN_FILE,
        with(expired(&server), json!({"expires_at": millis(3600)})).to_string(),
    );
    all_print_the_same(|| sandbox.tool("qwen-token").arg("--refresh"));
    let (asked, granted) = server.refreshes();
    assert_eq!(asked, granted);
    assert!(
        asked <= 2,
        "{asked}: those that began after the first one was done may refresh again"
    );
}

#[test]
fn a_server_that_gives_the_same_token_anew_is_not_asked_by_all() {
    let same =
        r#"{"access_token":"at-old","refresh_token":"rt-old","token_type":"Bearer","expires_in":3600}"#;
    let all_wait = Gate::default();
    let server = Server::script([Reply::default().gate(&all_wait).then(Reply::json(200, same))]);
    let sandbox = Sandbox::new();
    sandbox.logged_in(&server.url("/token"), &login(-1800, 1800));
    let children = all_waiting(20, &server, || sandbox.tool("qwen-token").arg("--refresh"));
    all_wait.open();
    for child in children {
        let run = Run::wait(child, "qwen-token").exits(0);
        assert_eq!(run.text(), "at-old\n");
    }
    assert!(server.requests().len() <= 2, "{}", server.requests().len());
}

const ANSWER: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"},\"finish_reason\":\"stop\"}]}\n\n\
    data: [DONE]\n\n";

/// Configures profile `work` to log in at one server and to ask another.
fn asks(sandbox: &Sandbox, login_at: &Identity, endpoint: &Server) {
    let profile = json!({
        "provider": "custom", "method": "oauth", "base_url": endpoint.url("/v1"), "model": "m",
        "key": {"store": "file"}, "oauth": login_at.oauth(),
    });
    sandbox.config(&json!({"profiles": {"work": profile}}).to_string());
}

#[test]
fn half_of_them_conversations_there_is_still_one_refresh() {
    let Some(server) = server() else { return };
    let model = Server::answering(|_, _| Reply::new(200, "text/event-stream", ANSWER));
    let sandbox = Sandbox::new();
    asks(&sandbox, &server, &model);
    sandbox.write(OWN_FILE, expired(&server).to_string());
    let start = |number: usize| match number % 2 {
        0 => sandbox.tool("qwen-token").start(),
        _ => sandbox.tool("qwen-chat").args(["--no-stdin", "hi"]).start(),
    };
    let children: Vec<Child> = (0..MANY).map(start).collect();
    let runs: Vec<Run> = children
        .into_iter()
        .map(|child| Run::wait(child, "qwen").exits(0))
        .collect();
    let token = runs[0].text().trim().to_owned();
    for pair in runs.chunks(2) {
        assert_eq!(
            (pair[0].text().trim(), pair[1].text().trim()),
            (token.as_str(), "hello")
        );
    }
    assert_eq!(server.refreshes(), (1, 1));
    assert!(server.is_active(&token));
    let sent = model.requests();
    assert_eq!(sent.len(), MANY / 2);
    let bearer = format!("Bearer {token}");
    assert!(
        sent.iter()
            .all(|request| request.header("authorization") == Some(&bearer))
    );
}

#[test]
fn a_token_that_the_endpoint_refuses_to_all_is_refreshed_once() {
    let Some(server) = server() else { return };
    let old = server.login();
    let refused = format!("Bearer {}", old["access_token"].as_str().unwrap());
    let model = Server::answering(move |_, request| {
        if request.header("authorization") == Some(&refused) {
            return Reply::json(
                401,
                r#"{"error":{"code":"invalid_api_key","message":"invalid access token"}}"#,
            );
        }
        Reply::new(200, "text/event-stream", ANSWER)
    });
    let sandbox = Sandbox::new();
    asks(&sandbox, &server, &model);
    let tokens = json!({"access_token": old["access_token"], "refresh_token": old["refresh_token"]});
    sandbox.write(OWN_FILE, with(login(-60, 3600), tokens).to_string());
    let children: Vec<Child> = (0..30)
        .map(|_| sandbox.tool("qwen-chat").args(["--no-stdin", "hi"]).start())
        .collect();
    for child in children {
        let run = Run::wait(child, "qwen-chat").exits(0);
        assert_eq!(run.text(), "hello\n");
    }
    assert_eq!(server.refreshes(), (1, 1));
}

#[test]
fn a_refresh_that_failed_is_not_repeated_by_those_who_waited_for_it() {
    for (reply, code) in [
        (Reply::json(503, "{}"), 75),
        (Reply::json(400, r#"{"error":"invalid_grant"}"#), 77),
        (Reply::new(200, "text/html", "<html>"), 76),
    ] {
        let all_wait = Gate::default();
        let server = Server::script([Reply::default().gate(&all_wait).then(reply)]);
        let sandbox = Sandbox::new();
        sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
        let children = all_waiting(30, &server, || sandbox.tool("qwen-token"));
        all_wait.open();
        for child in children {
            let run = Run::wait(child, "qwen-token");
            run.fails(code, &["cannot refresh the token of profile 'work'"]);
        }
        assert_eq!(server.requests().len(), 1, "{code}");
        sandbox.tool("qwen-token").run().exits(code);
        assert_eq!(server.requests().len(), 2, "who comes later asks again");
    }
}
