//! qwen-token, many at once: one refresh, whatever the store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::process::Child;
use std::time::Duration;

use serde_json::{Value, json};
use support::login::{OWN_FILE, QWEN_FILE, login, millis, with};
use support::{Identity, Keyring, Run, Sandbox, Tool};

const MANY: usize = 100;

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
        .map(|child| Run::wait(child, "qwen-token", Duration::from_secs(90)).exits(0))
        .collect();
    for run in &runs {
        assert_eq!((run.text(), run.stderr.as_str()), (runs[0].text(), ""));
    }
    runs[0].text().trim().to_owned()
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
    let token = all_print_the_same(|| keyring.given_to(sandbox.tool("qwen-token")));
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
