//! qwen-login and `config.json`: read strictly, written whole, by many at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Reply, Run, Sandbox, Server, Tool};

fn login(sandbox: &Sandbox) -> Tool {
    sandbox
        .detached("qwen-login")
        .args(["--with-key", "--store", "file"])
        .stdin("sk-canary-0123456789\n")
}

#[test]
fn many_set_ups_at_once_lose_no_profile() {
    let sandbox = Sandbox::new();
    let children: Vec<_> = (0..24)
        .map(|number| {
            let name = format!("p{number}");
            let tool = login(&sandbox).args(["--no-verify", "--provider", "openai", "--profile", &name]);
            tool.start()
        })
        .collect();
    for child in children {
        Run::wait(child, "qwen-login", Duration::from_secs(60)).exits(0);
    }
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    for number in 0..24 {
        let name = format!("p{number}");
        assert_eq!(config["profiles"][&name]["method"], "api-key");
        let stored = sandbox.read(format!("home/.config/qwen/credentials/{name}.json"));
        assert!(stored.contains("sk-canary-0123456789"), "{stored}");
    }
}

#[test]
fn a_configuration_that_cannot_be_written_is_found_before_the_key_is_used() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    login(&sandbox)
        .args(["--base-url", &server.url("/v1")])
        .env("QWEN_CONFIG", "/proc/none/config.json")
        .run()
        .fails(74, &["/proc/none/config.json: cannot write"]);
}

#[test]
fn what_the_user_wrote_into_the_configuration_survives() {
    let server = Server::script([Reply::json(200, r#"{"data": [{"id": "gpt-4o"}]}"#)]);
    let sandbox = Sandbox::new();
    sandbox.config(
        r#"{"theme": {"dark": true}, "default_profile": "work", "profiles": {
            "other": {"method": "api-key", "x": [1]},
            "work": {"method": "oauth", "mine": "kept", "headers": {"X-Team": "blue"}, "rate": {"per_minute": 5}}}}"#,
    );
    login(&sandbox)
        .args(["--base-url", &server.url("/v1")])
        .run()
        .exits(0);
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    assert_eq!(config["theme"], json!({"dark": true}));
    assert_eq!(
        config["profiles"]["other"],
        json!({"method": "api-key", "x": [1]})
    );
    let work = &config["profiles"]["work"];
    assert_eq!(
        (&work["mine"], &work["rate"], &work["method"]),
        (&json!("kept"), &json!({"per_minute": 5}), &json!("api-key"))
    );
    assert_eq!(
        server.requests()[0].header("x-team"),
        Some("blue"),
        "the trial is made as requests will be"
    );
}

#[test]
fn a_broken_configuration_stops_a_login_and_stays_as_it_is() {
    let sandbox = Sandbox::new();
    for broken in [
        "{\"profiles\": ",
        "[]",
        "{\"profiles\": {\"x\": 5}}",
        "{\"default_profile\": 7}",
    ] {
        sandbox.config(broken);
        login(&sandbox)
            .args(["--no-verify", "--provider", "openai"])
            .run()
            .fails(78, &["config.json:1:"]);
        assert_eq!(sandbox.read("home/.config/qwen/config.json"), broken);
    }
}
