//! qwen-login and what a profile says of its requests: it is bound to the profile's endpoint.

use crate::support::authority::{self, Authority};
use crate::support::chat::answer;
use crate::support::{Sandbox, Server, Tool};
use serde_json::{Map, Value, json};

/// The members that only the old endpoint may get.
const BOUND: [&str; 6] = ["headers", "query", "body", "rate", "timeouts", "reasoning"];

fn profile_at(url: &str) -> Value {
    json!({
        "method": "api-key", "provider": "custom", "base_url": url, "model": "m", "mine": {"note": "kept"},
        "headers": {"Authorization": "Bearer canary-header", "X-Team": "canary-team"},
        "query": {"sig": "canary-query"}, "body": {"user": "canary-body"},
        "rate": {"per_minute": 1000}, "timeouts": {"idle": 77}, "reasoning": "open",
    })
}

fn configure(sandbox: &Sandbox, profile: &Value) {
    sandbox.config(&json!({"default_profile": "work", "profiles": {"work": profile}}).to_string());
}

fn work(sandbox: &Sandbox) -> Map<String, Value> {
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    config["profiles"]["work"].as_object().unwrap().clone()
}

fn with_key(sandbox: &Sandbox, flags: &[&str]) -> Tool {
    sandbox
        .detached("qwen-login")
        .args(["--with-key", "--store", "file"])
        .args(flags)
        .stdin("sk-canary-0123456789\n")
}

#[test]
fn what_is_bound_to_an_endpoint_does_not_follow_the_profile_to_another_one() {
    let (old, new) = (Server::untouched(), Server::answering(|_, _| answer(&["Hello"])));
    let sandbox = Sandbox::new();
    let (old_url, new_url) = (old.url("/team-a/v1"), new.url("/v1"));
    let said = format!(
        "qwen-login: profile 'work': removed what was for '{old_url}' alone: headers 'Authorization' 'X-Team', \
         query 'sig', body 'user', rate 'per_minute', timeouts 'idle', reasoning\n"
    );
    for flags in [
        &["--base-url", &new_url][..],
        &["--base-url", &new_url, "--provider", "openai"],
        &["--base-url", &new_url, "--model", "m", "--profile", "work"],
        &["--base-url", &new_url, "--no-verify"],
    ] {
        configure(&sandbox, &profile_at(&old_url));
        let run = with_key(&sandbox, flags).run().exits(0);
        assert!(run.stderr.contains(&said), "{flags:?} {run:#?}");
        assert!(!run.stderr.contains("canary"), "{run:#?}");
        let work = work(&sandbox);
        assert!(BOUND.iter().all(|name| !work.contains_key(*name)), "{work:?}");
        assert_eq!(
            (&work["mine"], &work["base_url"]),
            (&json!({"note": "kept"}), &json!(new_url))
        );
    }
    sandbox
        .tool("qwen-chat")
        .args(["--no-stdin", "hi"])
        .run()
        .exits(0);
    assert_eq!(new.count(), 4);
    for request in new.requests() {
        assert_eq!(request.target, "/v1/chat/completions");
        assert_eq!(
            request.header("authorization"),
            Some("Bearer sk-canary-0123456789")
        );
        assert_eq!(request.header("x-team"), None);
        assert!(!request.text().contains("canary"), "{}", request.text());
    }
}

#[test]
fn another_path_another_provider_and_a_profile_without_an_address_are_other_endpoints() {
    let new = Server::answering(|_, _| answer(&["Hello"]));
    let sandbox = Sandbox::new();
    let url = new.url("/team-b/v1");
    for (old, flags) in [
        (
            json!({"base_url": new.url("/team-a/v1")}),
            &["--base-url", &url][..],
        ),
        (
            json!({"base_url": new.url("/team-b/v1/x")}),
            &["--base-url", &url],
        ),
        (json!({"provider": "openrouter"}), &["--base-url", &url]),
        (json!({"method": "oauth"}), &["--base-url", &url]),
        (json!({}), &["--base-url", &url]),
        (
            json!({"base_url": url}),
            &["--provider", "openrouter", "--no-verify"],
        ),
        (
            json!({"provider": "openai"}),
            &["--provider", "dashscope", "--no-verify"],
        ),
    ] {
        let mut profile = old;
        profile["headers"] = json!({"api-key": "canary-header"});
        configure(&sandbox, &profile);
        let run = with_key(&sandbox, flags).run().exits(0);
        assert!(
            run.stderr.contains("alone: headers 'api-key'\n"),
            "{profile} {run:#?}"
        );
        assert!(!work(&sandbox).contains_key("headers"), "{profile}");
    }
    for request in new.requests() {
        assert_eq!(request.header("api-key"), None);
    }
}

#[test]
fn what_is_bound_to_an_endpoint_stays_when_the_login_is_for_the_same() {
    let server = Server::answering(|_, _| answer(&["Hello"]));
    let sandbox = Sandbox::new();
    let (url, slash, below) = (server.url("/v1"), server.url("/v1/"), server.url("/v1/eu"));
    for flags in [
        &[][..],
        &["--base-url", &url],
        &["--base-url", &slash],
        &["--base-url", &below],
        &["--base-url", &url, "--provider", "openai"],
    ] {
        let before = profile_at(&url);
        configure(&sandbox, &before);
        let run = with_key(&sandbox, flags).run().exits(0);
        assert!(
            !run.stderr.contains("removed") && !run.stderr.contains("instead of"),
            "{run:#?}"
        );
        let work = work(&sandbox);
        for name in BOUND {
            assert_eq!(work[name], before[name], "{flags:?}");
        }
    }
    for request in server.requests() {
        assert_eq!(request.header("x-team"), Some("canary-team"));
        assert!(
            request.target.ends_with("?sig=canary-query"),
            "{}",
            request.target
        );
        assert_eq!(request.json()["user"], "canary-body");
    }
}

#[test]
fn a_profile_that_nobody_named_is_said_to_have_another_endpoint() {
    let sandbox = Sandbox::new();
    let said = "profile 'work' now uses 'https://b.example/v1' instead of 'https://a.example/v1'";
    let login = |flags: &[&str]| {
        let old = json!({"provider": "custom", "base_url": "https://a.example/v1", "model": "m"});
        configure(&sandbox, &old);
        with_key(&sandbox, &["--no-verify", "--base-url", "https://b.example/v1"])
            .args(flags)
            .run()
            .exits(0)
    };
    let run = login(&[]);
    assert_eq!(run.stderr.matches(said).count(), 1, "{run:#?}");
    assert!(!run.stderr.contains("removed"), "{run:#?}");
    let run = login(&["--profile", "work"]);
    assert!(!run.stderr.contains("instead of"), "{run:#?}");
    let run = login(&["--profile", "other"]);
    assert!(!run.stderr.contains("instead of"), "{run:#?}");
}

#[test]
fn an_import_leaves_behind_what_is_bound_to_another_endpoint() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "home/.qwen/settings.json",
        r#"{"security": {"auth": {"selectedType": "openai", "apiKey": "sk-1", "baseUrl": "https://b.example/v1"}},
            "model": {"name": "m"}}"#,
    );
    for (old, is_kept) in [("https://a.example/v1", false), ("https://b.example/v1", true)] {
        configure(&sandbox, &profile_at(old));
        let import = ["--import", "--no-verify", "--store", "file"];
        let run = sandbox.detached("qwen-login").args(import).run().exits(0);
        assert!(!run.stderr.contains("canary"), "{run:#?}");
        assert_eq!(run.stderr.contains("removed what was for"), !is_kept, "{run:#?}");
        let work = work(&sandbox);
        for name in BOUND {
            assert_eq!(work.contains_key(name), is_kept, "{old}");
        }
    }
}

#[test]
fn an_import_of_a_login_takes_no_header_and_no_consent_to_plain_http_along() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "home/.qwen/oauth_creds.json",
        r#"{"access_token": "at", "refresh_token": "rt", "token_type": "Bearer", "expiry_date": 4000000000000}"#,
    );
    let mut old = profile_at("http://192.0.2.1/v1");
    old["allow_http"] = json!(true);
    configure(&sandbox, &old);
    sandbox
        .detached("qwen-login")
        .args(["--import", "--no-verify"])
        .run()
        .exits(0);
    assert_eq!(
        Value::Object(work(&sandbox)),
        json!({"method": "oauth", "provider": "qwen", "mine": {"note": "kept"}, "key": {"store": "file"}})
    );
}

#[test]
fn a_login_in_a_browser_leaves_behind_what_is_bound_to_another_endpoint() {
    let authority = Authority::approving();
    let sandbox = Sandbox::new();
    let url = "http://127.0.0.1:9/v1";
    for (base_url, is_kept) in [("http://127.0.0.1:8/v1", false), (url, true)] {
        let mut old = profile_at(url);
        old["method"] = json!("oauth");
        old["oauth"] = authority.oauth();
        old["allow_http"] = json!(true);
        configure(&sandbox, &old);
        let run = authority::login(&sandbox)
            .args(["--base-url", base_url])
            .run()
            .exits(0);
        assert!(!run.stderr.contains("canary-header"), "{run:#?}");
        let work = work(&sandbox);
        for name in BOUND.iter().chain(&["allow_http"]) {
            assert_eq!(work.contains_key(*name), is_kept, "{name}");
        }
        assert_eq!(work["oauth"], authority.oauth());
    }
}
