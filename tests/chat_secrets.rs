//! Where a key or a token may go, and what happens to one that is refused.
use crate::support::chat::{KEY, answer, chat};
use crate::support::login::{OWN_FILE, QWEN_FILE, login, millis, with};
use crate::support::{Reply, Sandbox, Server};
use serde_json::json;

#[test]
fn a_cloned_projects_endpoint_does_not_get_the_shells_key() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    sandbox.write("work/.env", format!("OPENAI_BASE_URL={}\n", server.url("/v1")));
    let run = sandbox
        .tool("qwen-chat")
        .env("OPENAI_API_KEY", KEY)
        .arg("hi")
        .run();
    run.fails(
        78,
        &[
            "work/.env:1: the key of environment OPENAI_API_KEY is not sent to",
            "hint: run 'qwen-env --trust'",
        ],
    );
}

#[test]
fn it_does_once_the_file_is_trusted_and_not_after_the_file_changed() {
    let sandbox = Sandbox::new();
    let server = Server::script([answer(&["ok"])]);
    let line = format!("OPENAI_BASE_URL={}\n", server.url("/v1"));
    sandbox.write("work/.env", &line);
    sandbox.tool("qwen-env").arg("--trust").run().exits(0);
    let ask = || {
        sandbox
            .tool("qwen-chat")
            .env("OPENAI_API_KEY", KEY)
            .arg("hi")
            .run()
    };
    ask().gives(0, "ok\n", "");
    sandbox.write("work/.env", format!("# changed\n{line}"));
    ask().exits(78);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_file_that_brings_both_key_and_endpoint_is_used() {
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["ok"])]));
    sandbox.write(
        "work/.env",
        format!(
            "OPENAI_API_KEY=sk-theirs\nOPENAI_BASE_URL={}\n",
            server.url("/v1")
        ),
    );
    sandbox.tool("qwen-chat").arg("hi").run().gives(0, "ok\n", "");
    assert_eq!(
        server.requests()[0].header("authorization"),
        Some("Bearer sk-theirs")
    );
}

#[test]
fn plain_http_to_another_machine_is_refused_unless_the_profile_allows_it() {
    let sandbox = Sandbox::new();
    let tool = sandbox
        .tool("qwen-chat")
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", "http://llm.example.test/v1");
    tool.arg("hi")
        .run()
        .fails(78, &["plain http would show the secret to the network"]);
    let tool = sandbox
        .tool("qwen-chat")
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", "https://user:secret@llm.example.test/v1");
    let run = tool.arg("hi").run();
    assert!(!run.stderr.contains("secret@"), "{run:#?}");
    run.fails(78, &["user name or password"]);
}

#[test]
fn a_token_goes_nowhere_its_provider_does_not_allow() {
    let server = Server::untouched();
    for resource in [
        "evil.example".to_owned(),
        "https://user@portal.qwen.ai/v1".to_owned(),
        "https://127.0.0.1/v1".to_owned(),
        "http://portal.qwen.ai/v1".to_owned(),
        "https://portal.qwen.ai.evil.example".to_owned(),
        server.url("/v1"),
    ] {
        let sandbox = Sandbox::new();
        let stored = json!({
            "access_token": "at-canary", "token_type": "Bearer", "refresh_token": "rt-canary",
            "resource_url": resource, "expiry_date": millis(3600),
        });
        sandbox.write(QWEN_FILE, stored.to_string());
        let run = sandbox.tool("qwen-chat").arg("hi").run();
        assert!(!run.stderr.contains("canary"), "{run:#?}");
        run.fails(78, &["the token is not sent to the credential's 'resource_url'"]);
    }
}

#[test]
fn a_token_is_not_sent_to_an_endpoint_that_the_environment_names() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let stored = json!({
        "access_token": "at-canary", "token_type": "Bearer", "refresh_token": "rt-canary",
        "resource_url": "portal.qwen.ai", "expiry_date": millis(3600),
    });
    sandbox.write(QWEN_FILE, stored.to_string());
    let run = sandbox
        .tool("qwen-chat")
        .env("OPENAI_BASE_URL", server.url("/v1"))
        .arg("hi")
        .run();
    assert!(run.code() == 78 || run.code() == 77, "{run:#?}");
}

/// A login of profile `work` for this endpoint, at this token endpoint.
fn logged_in(sandbox: &Sandbox, endpoint: &Server, token_endpoint: &str) {
    let oauth = json!({ "token_endpoint": token_endpoint, "client_id": "c", "allowed_hosts": ["127.0.0.1"] });
    sandbox.config(
        &json!({ "profiles": { "work": {
            "provider": "custom", "method": "oauth", "base_url": endpoint.url("/v1"), "model": "m",
            "key": { "store": "file" }, "oauth": oauth,
        }}})
        .to_string(),
    );
    sandbox.write(OWN_FILE, with(login(-10, 3600), json!({})).to_string());
}

fn tokens(token: &'static str) -> Server {
    let answer = json!({ "access_token": token, "refresh_token": "rt-new", "token_type": "Bearer", "expires_in": 3600 });
    Server::script([Reply::json(200, &answer.to_string())])
}

/// An endpoint that takes one token alone, and refuses the others with this status.
fn taking(token: &'static str, status: u16) -> Server {
    Server::answering(move |_, request| {
        if request.header("authorization") == Some(&format!("Bearer {token}")) {
            return answer(&["welcome"]);
        }
        Reply::json(
            status,
            r#"{"error":{"message":"invalid access token or token expired","code":"invalid_api_key"}}"#,
        )
    })
}

#[test]
fn a_refused_token_is_refreshed_once_and_the_request_sent_again() {
    for status in [401, 403] {
        let (sandbox, authority, server) = (Sandbox::new(), tokens("at-new"), taking("at-new", status));
        logged_in(&sandbox, &server, &authority.url("/token"));
        let run = sandbox.tool("qwen-chat").args(["--json", "hi"]).run().exits(0);
        let json: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!((&json["text"], &json["attempts"]), (&json!("welcome"), &json!(2)));
        assert_eq!((server.requests().len(), authority.requests().len()), (2, 1));
        assert_eq!(sandbox.stored()["access_token"], "at-new");
        sandbox
            .tool("qwen-chat")
            .arg("hi")
            .run()
            .gives(0, "welcome\n", "");
        assert_eq!((server.requests().len(), authority.requests().len()), (3, 1));
    }
}

#[test]
fn a_fresh_token_that_is_refused_is_no_reason_to_log_in_again() {
    let (sandbox, authority, server) = (Sandbox::new(), tokens("at-new"), taking("another", 401));
    logged_in(&sandbox, &server, &authority.url("/token"));
    let run = sandbox.tool("qwen-chat").arg("hi").run();
    assert!(!run.stderr.contains("qwen-login"), "{run:#?}");
    run.fails(
        77,
        &[
            "the credential was refused (401): invalid access token or token expired",
            "the token is fresh, so another login will not help",
        ],
    );
    assert_eq!((server.requests().len(), authority.requests().len()), (2, 1));
}

#[test]
fn a_refused_token_that_cannot_be_refreshed_asks_for_a_login() {
    let sandbox = Sandbox::new();
    let authority = Server::script([Reply::json(400, r#"{"error":"invalid_grant"}"#)]);
    let server = taking("another", 401);
    logged_in(&sandbox, &server, &authority.url("/token"));
    sandbox
        .tool("qwen-chat")
        .arg("hi")
        .run()
        .fails(77, &["run 'qwen-login --profile work'"]);
    assert_eq!((server.requests().len(), authority.requests().len()), (1, 1));
    assert_eq!(sandbox.stored()["access_token"], "at-old");
}

#[test]
fn an_expired_token_is_refreshed_before_anything_is_sent() {
    let (sandbox, authority, server) = (Sandbox::new(), tokens("at-new"), taking("at-new", 401));
    logged_in(&sandbox, &server, &authority.url("/token"));
    sandbox.write(OWN_FILE, login(-7200, -3600).to_string());
    sandbox
        .tool("qwen-chat")
        .arg("hi")
        .run()
        .gives(0, "welcome\n", "");
    assert_eq!((server.requests().len(), authority.requests().len()), (1, 1));
}

#[test]
fn a_dry_run_refreshes_nothing() {
    let (sandbox, authority, server) = (Sandbox::new(), Server::untouched(), Server::untouched());
    logged_in(&sandbox, &server, &authority.url("/token"));
    sandbox.write(OWN_FILE, login(-7200, -3600).to_string());
    let run = sandbox.tool("qwen-chat").args(["--dry-run", "hi"]).run().exits(0);
    assert!(run.text().contains("Bearer ***"), "{run:#?}");
    assert!(
        run.stderr.contains("the request is shown without a token"),
        "{run:#?}"
    );
}

#[test]
fn with_no_method_at_all_the_message_names_every_way_in() {
    let sandbox = Sandbox::new();
    sandbox.tool("qwen-chat").arg("hi").run().fails(
        77,
        &["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "qwen-login"],
    );
}

#[test]
fn a_key_that_no_header_can_hold_is_refused_without_being_shown() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    for key in ["sk-two\nlines-canary", "sk-\u{e9}-canary"] {
        let run = chat(&sandbox, &server).env("OPENAI_API_KEY", key).arg("hi").run();
        assert!(!run.stderr.contains("canary"), "{run:#?}");
        assert_eq!(run.code(), 78, "{run:#?}");
    }
}

#[test]
fn a_token_that_is_refused_for_the_list_of_models_is_refreshed_once_too() {
    let models = Server::answering(|_, request| match request.header("authorization") {
        Some("Bearer at-new") => Reply::json(200, r#"{"data":[{"id":"m-1"}]}"#),
        _ => Reply::json(401, r#"{"error":{"message":"token expired"}}"#),
    });
    let (sandbox, authority) = (Sandbox::new(), tokens("at-new"));
    logged_in(&sandbox, &models, &authority.url("/token"));
    let list = || sandbox.tool("qwen-chat").arg("--list-models").run();
    list().gives(0, "m-1\n", "");
    assert_eq!((models.requests().len(), authority.requests().len()), (2, 1));
    let (sandbox, authority, server) = (Sandbox::new(), tokens("at-new"), taking("another", 401));
    logged_in(&sandbox, &server, &authority.url("/token"));
    let run = sandbox.tool("qwen-chat").arg("--list-models").run();
    run.fails(77, &["the token is fresh, so another login will not help"]);
    assert_eq!((server.requests().len(), authority.requests().len()), (2, 1));
}
