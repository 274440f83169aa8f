//! A secret never appears in a message, whoever repeats it and wherever it was put by mistake.
use crate::support::chat::{KEY, chat};
use crate::support::login::{login, with};
use crate::support::{Reply, Sandbox, Server};
use serde_json::json;

#[test]
fn a_key_in_the_wrong_place_of_the_configuration_is_not_repeated() {
    for (profile, said) in [
        (
            json!({"key": KEY}),
            "'profiles.work.key' is not an object with one of 'store', 'env' and 'command'",
        ),
        (
            json!({"key": {"store": KEY}}),
            "'profiles.work.key.store' is not 'keyring' or 'file'",
        ),
        (
            json!({"key": {"env": KEY}}),
            "\"env\" of 'key' is not the name of a variable",
        ),
        (
            json!({"key": {"command": KEY}}),
            "'profiles.work.key.command' is not a list",
        ),
        (
            json!({"headers": KEY}),
            "'profiles.work.headers' is not an object",
        ),
        (
            json!({"method": KEY}),
            "'profiles.work.method' is not 'oauth' or 'api-key'",
        ),
    ] {
        let sandbox = Sandbox::new();
        sandbox.config(&json!({"profiles": {"work": profile}}).to_string());
        for words in [&["qwen-chat", "-v", "hello"][..], &["qwen-auth", "-v", "status"]] {
            let run = sandbox.tool(words[0]).args(&words[1..]).run();
            assert!(!run.stderr.contains(KEY), "{run:#?}");
            run.fails(78, &["config.json:1:", said]);
        }
    }
}

#[test]
fn a_server_that_repeats_the_key_is_not_repeated() {
    for status in [400, 401, 403, 404, 429, 500] {
        let error = json!({"error": {"message": format!("no '{KEY}' here"), "code": KEY}}).to_string();
        let server = Server::answering(move |_, _| Reply::json(status, &error));
        let sandbox = Sandbox::new();
        let run = chat(&sandbox, &server)
            .args(["-v", "--retries", "0", "hello"])
            .run();
        assert!(run.code() >= 65 && !run.stderr.contains(KEY), "{run:#?}");
        sandbox.write("work/in", "{\"prompt\":\"hello\"}\n");
        let batch = sandbox
            .tool("qwen-batch")
            .args([
                "run",
                "-v",
                "--retries",
                "0",
                "--patience",
                "1s",
                "in",
                "-o",
                "out",
            ])
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", server.url("/v1"))
            .env("OPENAI_MODEL", "m-1");
        let run = batch.run();
        assert!(run.code() > 0 && !run.stderr.contains(KEY), "{run:#?}");
        assert!(!sandbox.read("work/out").contains(KEY), "{status}");
    }
}

#[test]
fn an_authorization_server_that_repeats_a_token_is_not_repeated() {
    for code in ["invalid_grant", "invalid_client", "odd"] {
        let error =
            json!({"error": code, "error_description": "rt-canary-01 is not known, at-canary-01 neither"});
        let server = Server::script([Reply::json(400, &error.to_string())]);
        let sandbox = Sandbox::new();
        let tokens = json!({"refresh_token": "rt-canary-01", "access_token": "at-canary-01"});
        let stored = with(login(-7200, -3600), tokens);
        sandbox.logged_in(&server.url("/token"), &stored);
        let run = sandbox.tool("qwen-token").args(["-v", "--profile", "work"]).run();
        assert!(!run.stderr.contains("rt-canary"), "{run:#?}");
        run.fails(
            if code == "invalid_client" { 78 } else { 77 },
            &["*** is not known"],
        );
    }
}

#[test]
fn nothing_that_is_said_about_a_run_holds_the_key() {
    let sandbox = Sandbox::new();
    let server = Server::answering(|_, request| match request.method.as_str() {
        "GET" => Reply::json(200, r#"{"data":[{"id":"m-1"}]}"#),
        _ => crate::support::chat::answer(&["hello"]),
    });
    for words in [
        &["qwen-chat", "-v", "hello"][..],
        &["qwen-chat", "-v", "--usage", "--events", "hello"],
        &["qwen-chat", "-v", "--dry-run", "hello"],
        &["qwen-chat", "-v", "--curl", "hello"],
        &["qwen-chat", "-v", "--list-models"],
        &["qwen-auth", "-v", "status"],
        &["qwen-auth", "-v", "status", "--format", "json"],
        &["qwen-auth", "-v", "list"],
        &["qwen-token", "-v", "--check"],
        &["qwen-env", "-v", "--explain"],
        &["qwen-env", "-v"],
    ] {
        let run = sandbox
            .tool(words[0])
            .args(&words[1..])
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", server.url("/v1"))
            .env("OPENAI_MODEL", "m-1")
            .run()
            .exits(0);
        assert!(!run.stderr.contains(KEY) && !run.text().contains(KEY), "{run:#?}");
    }
    assert_eq!(sandbox.files_with(&[KEY]), Vec::<std::path::PathBuf>::new());
}
