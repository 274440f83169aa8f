//! qwen-token, many at once: one refresh, whatever the store.

mod support;

use std::process::Child;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::{Identity, Run, Sandbox};

const MANY: usize = 100;

fn millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// A profile that logs in at the server, with a credential that has just expired.
fn expired(sandbox: &Sandbox, server: &Identity, provider: &str) -> Value {
    let token = server.login();
    sandbox.config(
        &json!({"profiles": {"work": {
            "provider": provider, "method": "oauth", "base_url": "http://127.0.0.1:9/v1",
            "key": {"store": "file"}, "oauth": server.oauth(),
        }}})
        .to_string(),
    );
    token
}

fn in_own_file(sandbox: &Sandbox, token: &Value) {
    sandbox.write(
        "home/.config/qwen/credentials/work.json",
        json!({
            "method": "oauth", "access_token": token["access_token"], "refresh_token": token["refresh_token"],
            "token_type": "Bearer", "expires_at": millis() - 1000, "issued_at": millis() - 60_000,
        })
        .to_string(),
    );
}

fn in_qwen_codes_file(sandbox: &Sandbox, token: &Value) {
    sandbox.write(
        "home/.qwen/oauth_creds.json",
        serde_json::to_string_pretty(&json!({
            "access_token": token["access_token"], "refresh_token": token["refresh_token"],
            "token_type": "Bearer", "resource_url": "portal.qwen.ai", "expiry_date": millis() - 1000,
        }))
        .unwrap(),
    );
}

/// Starts all, then waits for all; returns the one token that all printed.
fn all_print_the_same(sandbox: &Sandbox) -> String {
    let children: Vec<Child> = (0..MANY).map(|_| sandbox.tool("qwen-token").start()).collect();
    let runs: Vec<Run> = children
        .into_iter()
        .map(|child| Run::wait(child, "qwen-token", Duration::from_secs(90)).exits(0))
        .collect();
    for run in &runs {
        assert_eq!(run.text(), runs[0].text());
        assert_eq!(run.stderr, "");
    }
    runs[0].text().trim().to_owned()
}

#[test]
fn a_hundred_at_once_make_one_refresh_in_the_file_store() {
    let Some(server) = Identity::start(&[("AT_TTL", "3600")]) else {
        return;
    };
    let sandbox = Sandbox::new();
    let old = expired(&sandbox, &server, "custom");
    in_own_file(&sandbox, &old);
    let token = all_print_the_same(&sandbox);
    assert_ne!(token, old["access_token"]);
    assert_eq!(server.refreshes(), (1, 1));
    assert!(server.is_active(&token));
}

#[test]
fn a_hundred_at_once_make_one_refresh_in_qwen_codes_file() {
    let Some(server) = Identity::start(&[("AT_TTL", "3600")]) else {
        return;
    };
    let sandbox = Sandbox::new();
    let old = expired(&sandbox, &server, "qwen");
    in_qwen_codes_file(&sandbox, &old);
    let token = all_print_the_same(&sandbox);
    assert_eq!(server.refreshes(), (1, 1));
    assert!(server.is_active(&token));
}
