//! qwen-login: an API key, set up without a terminal.
use crate::support::{Reply, Request, Run, Sandbox, Server, Tool};
use serde_json::{Value, json};

const KEY: &str = "sk-canary-0123456789";
const MODELS: &str = r#"{"object": "list", "data": [{"id": "gpt-4o"}, {"id": "small"}]}"#;

fn login(sandbox: &Sandbox) -> Tool {
    sandbox
        .detached("qwen-login")
        .args(["--with-key", "--store", "file"])
        .stdin(format!("{KEY}\n"))
}

fn profile(sandbox: &Sandbox, name: &str) -> Value {
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    config["profiles"][name].clone()
}

fn stored(sandbox: &Sandbox, name: &str) -> Value {
    serde_json::from_str(&sandbox.read(format!("home/.config/qwen/credentials/{name}.json"))).unwrap()
}

#[track_caller]
fn nothing_is_stored(sandbox: &Sandbox) {
    let directory = sandbox.home().join(".config/qwen/credentials");
    let files = std::fs::read_dir(directory).map_or_else(
        |_| Vec::new(),
        |entries| entries.map(|entry| entry.unwrap().file_name()).collect(),
    );
    assert!(
        files.iter().all(|name| name.to_str().unwrap().ends_with(".lock")),
        "{files:?}"
    );
    assert!(!sandbox.config_file().exists());
}

/// What qwen-token makes of the login.
fn token(sandbox: &Sandbox) -> Value {
    let run = sandbox
        .tool("qwen-token")
        .args(["--format", "json"])
        .run()
        .exits(0);
    serde_json::from_slice(&run.stdout).unwrap()
}

#[test]
fn a_key_from_stdin_is_tried_stored_and_in_use() {
    let server = Server::script([Reply::json(200, MODELS)]);
    let sandbox = Sandbox::new();
    let url = server.url("/v1");
    let run = login(&sandbox).args(["--base-url", &url]).run().exits(0);
    assert_eq!(
        run.stderr,
        format!(
            "qwen-login: the endpoint accepts the key; profile 'default' uses model 'gpt-4o' at '{url}'\n"
        )
    );
    assert_eq!(run.text(), "");
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (requests[0].method.as_str(), requests[0].target.as_str()),
        ("GET", "/v1/models")
    );
    assert_eq!(
        requests[0].header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    assert_eq!(
        stored(&sandbox, "default"),
        json!({"method": "api-key", "api_key": KEY})
    );
    assert_eq!(sandbox.mode("home/.config/qwen/credentials/default.json"), 0o600);
    assert_eq!(sandbox.mode("home/.config/qwen/credentials"), 0o700);
    assert_eq!(sandbox.mode("home/.config/qwen/config.json"), 0o600);
    assert_eq!(
        profile(&sandbox, "default"),
        json!({"method": "api-key", "provider": "custom", "base_url": url, "model": "gpt-4o", "key": {"store": "file"}})
    );
    let token = token(&sandbox);
    assert_eq!(
        (&token["access_token"], &token["base_url"]),
        (&json!(KEY), &json!(url))
    );
}

#[test]
fn a_refused_key_is_not_stored_and_not_repeated() {
    let echo = json!({"error": {"message": format!("Incorrect API key provided: {KEY}"), "code": "invalid_api_key"}});
    let server = Server::script([Reply::json(401, &echo.to_string())]);
    let sandbox = Sandbox::new();
    let url = server.url("/v1");
    let run = login(&sandbox).args(["-v", "--base-url", &url]).run();
    let run = run.fails(
        77,
        &["the credential was refused (401)", "sk-***89", "--no-verify"],
    );
    assert!(!run.stderr.contains(KEY), "{run:#?}");
    nothing_is_stored(&sandbox);
    login(&sandbox)
        .args(["--no-verify", "--base-url", &url])
        .run()
        .exits(0);
    assert_eq!(stored(&sandbox, "default")["api_key"], KEY);
    assert_eq!(server.requests().len(), 1, "--no-verify asks nobody");
}

#[test]
fn an_endpoint_without_a_list_of_models_is_asked_one_token() {
    for absent in [404, 405, 403] {
        let server = Server::answering(move |_, request: &Request| match request.method.as_str() {
            "GET" => Reply::json(absent, r#"{"error": {"message": "no"}}"#),
            _ => Reply::json(
                200,
                r#"{"choices": [{"message": {"content": "h"}, "finish_reason": "length"}]}"#,
            ),
        });
        let sandbox = Sandbox::new();
        login(&sandbox)
            .args(["--base-url", &server.url("/v1"), "--model", "small"])
            .run()
            .exits(0);
        let requests = server.requests();
        assert_eq!(requests[1].target, "/v1/chat/completions");
        let body = requests[1].json();
        assert_eq!(
            (&body["model"], &body["max_tokens"]),
            (&json!("small"), &json!(1))
        );
        assert_eq!(
            requests[1].header("authorization"),
            Some(format!("Bearer {KEY}").as_str())
        );
    }
}

#[test]
fn what_a_trial_finds_decides() {
    let page = || Reply::new(200, "text/html", "<html>welcome</html>");
    let error = |status, code: &str| {
        Reply::json(
            status,
            &json!({"error": {"message": "m", "code": code}}).to_string(),
        )
    };
    let none = || Reply::json(404, "{}");
    let cases = [
        (
            none(),
            error(401, "invalid_api_key"),
            77,
            "the credential was refused (401)",
        ),
        (
            none(),
            error(404, "model_not_found"),
            69,
            "no such model or path (404)",
        ),
        (page(), page(), 76, "not that of an OpenAI-compatible endpoint"),
        (error(500, "x"), none(), 75, "the server failed (500)"),
        (
            Reply::with_headers(301, &[("location", "https://elsewhere.example/")], ""),
            none(),
            76,
            "refused to follow a redirect",
        ),
        (Reply::default().close(), none(), 75, "broke before an answer"),
        (
            none(),
            error(400, "unsupported_parameter"),
            0,
            "the endpoint accepts the key",
        ),
        (
            none(),
            error(429, "insufficient_quota"),
            0,
            "the endpoint accepts the key, but says: the quota is used up",
        ),
        (
            none(),
            error(429, "rate_limit_exceeded"),
            0,
            "but says: too many requests",
        ),
    ];
    for (models, chat, code, said) in cases {
        let server = Server::answering(move |_, request: &Request| match request.method.as_str() {
            "GET" => models.clone(),
            _ => chat.clone(),
        });
        let sandbox = Sandbox::new();
        let run = login(&sandbox).args(["--base-url", &server.url("/v1")]).run();
        let run = run.exits(code);
        assert!(run.stderr.contains(said), "no {said:?} in {run:#?}");
        if code == 0 {
            assert_eq!(stored(&sandbox, "default")["api_key"], KEY);
        } else {
            nothing_is_stored(&sandbox);
        }
    }
}

#[test]
fn a_model_that_is_not_listed_is_mentioned() {
    let server = Server::script([Reply::json(200, MODELS)]);
    let sandbox = Sandbox::new();
    let run = login(&sandbox)
        .args(["--base-url", &server.url("/v1"), "--model", "gpt-9"])
        .run()
        .exits(0);
    assert!(
        run.stderr.contains("the endpoint does not list model 'gpt-9'"),
        "{run:#?}"
    );
}

#[test]
fn what_cannot_be_a_key_is_refused_before_anything_is_asked() {
    for (typed, said) in [
        ("", "the key is empty"),
        ("  \n", "the key is empty"),
        ("two words\n", "a key is one word"),
        ("one\ntwo\n", "a key is one word"),
        ("schlüssel\n", "a key is one word"),
        ("nul\0\n", "a key is one word"),
        ("esc\u{1b}[31m\n", "a key is one word"),
    ] {
        let sandbox = Sandbox::new();
        let run = login(&sandbox).args(["--provider", "openai"]).stdin(typed).run();
        let run = run.fails(65, &[&format!("standard input: {said}")]);
        assert!(
            typed.trim().is_empty() || !run.stderr.contains(typed.trim()),
            "{run:#?}"
        );
        nothing_is_stored(&sandbox);
    }
    let sandbox = Sandbox::new();
    let long = login(&sandbox)
        .args(["--provider", "openai"])
        .stdin("k".repeat(100_000));
    long.run().fails(65, &["too long to be a key"]);
    login(&sandbox)
        .args(["--provider", "openai"])
        .stdin(b"\xff\xfe".to_vec())
        .run()
        .fails(65, &["not text"]);
}

#[test]
fn wrong_flags_are_usage_errors_and_forbidden_endpoints_configuration_errors() {
    for (flags, code, said) in [
        (vec!["--provider", "nobody"], 64, "no provider is called 'nobody'"),
        (vec!["--provider", "custom"], 64, "give it with --base-url"),
        (vec!["--provider", "azure"], 64, "give it with --base-url"),
        (vec!["--provider", "qwen"], 64, "takes no API key"),
        (
            vec!["--base-url", "not a url"],
            64,
            "--base-url: this is not a URL",
        ),
        (
            vec!["--base-url", "ftp://x.example/"],
            64,
            "must begin with 'https://'",
        ),
        (vec!["--base-url", ""], 64, "enter a URL"),
        (
            vec!["--base-url", "http://llm.example/v1"],
            78,
            "plain http would show the secret",
        ),
        (
            vec!["--base-url", "https://me:pw@llm.example/v1"],
            78,
            "must not hold a user name",
        ),
        (
            vec!["--base-url", "https://RESOURCE.openai.azure.com"],
            64,
            "RESOURCE",
        ),
        (vec!["--oauth"], 64, "cannot be used with"),
        (vec!["--import"], 64, "cannot be used with"),
        (
            vec!["--provider", "openai", "--profile", "../../x"],
            78,
            "cannot be a profile's name",
        ),
    ] {
        let sandbox = Sandbox::new();
        let run = login(&sandbox).arg("--no-verify").args(&flags).run();
        let run = run.fails(code, &[said]);
        assert!(!run.stderr.contains("pw@"), "{run:#?}");
        nothing_is_stored(&sandbox);
    }
}

#[test]
fn presets_bring_their_endpoint_and_model() {
    for (name, url, model) in [
        ("openai", "https://api.openai.com/v1", "gpt-4o"),
        (
            "dashscope",
            "https://dashscope.aliyuncs.com/compatible-mode/v1",
            "qwen3-coder-plus",
        ),
        ("openrouter", "https://openrouter.ai/api/v1", "qwen/qwen3-coder"),
        ("deepseek", "https://api.deepseek.com/", "deepseek-chat"),
    ] {
        let sandbox = Sandbox::new();
        let run = login(&sandbox)
            .args(["--no-verify", "--provider", name, "--profile", "work"])
            .run()
            .exits(0);
        assert!(run.stderr.contains("stored without a test"), "{run:#?}");
        let profile = profile(&sandbox, "work");
        assert_eq!(
            (&profile["provider"], &profile["base_url"], &profile["model"]),
            (&json!(name), &json!(url), &json!(model))
        );
    }
}

#[test]
fn azure_gets_the_key_in_its_own_header_and_version() {
    let server = Server::script([Reply::json(200, MODELS)]);
    let sandbox = Sandbox::new();
    login(&sandbox)
        .args(["--provider", "azure", "--base-url", &server.url("/")])
        .env("OPENAI_API_VERSION", "2025-01-01")
        .run()
        .exits(0);
    let request = &server.requests()[0];
    assert_eq!(request.target, "/openai/models?api-version=2025-01-01");
    assert_eq!(request.header("api-key"), Some(KEY));
    assert!(request.header("authorization").is_none());
    assert_eq!(profile(&sandbox, "default")["provider"], "azure");
}

/// As Azure's own pages show it.
#[test]
fn the_whole_address_of_an_azure_deployment_names_its_model() {
    let sandbox = Sandbox::new();
    let address =
        "https://mine.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=2025-01-01";
    login(&sandbox)
        .args(["--no-verify", "--base-url", address])
        .run()
        .exits(0);
    let profile = profile(&sandbox, "default");
    assert_eq!(
        (&profile["provider"], &profile["base_url"], &profile["model"]),
        (
            &json!("azure"),
            &json!("https://mine.openai.azure.com/?api-version=2025-01-01"),
            &json!("my-gpt")
        )
    );
    let asked = sandbox
        .tool("qwen-chat")
        .args(["--dry-run", "--no-stdin", "hi"])
        .run()
        .exits(0);
    let url =
        "https://mine.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=2025-01-01";
    assert!(asked.text().contains(&format!("\"{url}\"")), "{asked:#?}");
}

#[test]
fn a_public_list_of_models_proves_no_key() {
    let server = Server::answering(|_, request: &Request| match request.method.as_str() {
        "GET" => Reply::json(200, MODELS),
        _ => Reply::json(401, r#"{"error": {"message": "no", "code": 401}}"#),
    });
    let sandbox = Sandbox::new();
    let run = login(&sandbox)
        .args(["--provider", "openrouter", "--base-url", &server.url("/v1")])
        .run();
    run.fails(77, &["the credential was refused (401)"]);
    nothing_is_stored(&sandbox);
}

#[test]
fn the_whole_address_of_a_request_is_cut_to_its_base() {
    let server = Server::script([Reply::json(200, MODELS)]);
    let sandbox = Sandbox::new();
    login(&sandbox)
        .args(["--base-url", &server.url("/v1/chat/completions/")])
        .run()
        .exits(0);
    assert_eq!(profile(&sandbox, "default")["base_url"], server.url("/v1"));
    assert_eq!(server.requests()[0].target, "/v1/models");
}

#[test]
fn a_key_in_the_environment_is_said_to_go_first() {
    let sandbox = Sandbox::new();
    let run = login(&sandbox)
        .args(["--no-verify", "--provider", "openai"])
        .env("OPENAI_API_KEY", "sk-from-environment")
        .run()
        .exits(0);
    assert!(
        run.stderr
            .contains("the key of environment OPENAI_API_KEY is set and goes before"),
        "{run:#?}"
    );
    assert!(
        run.stderr.contains("hint: run 'unset OPENAI_API_KEY'"),
        "{run:#?}"
    );
    assert!(!run.stderr.contains("sk-from-environment"));
}

#[test]
fn an_endpoint_that_wants_no_key_is_set_up_without_one() {
    let server = Server::script([Reply::json(200, r#"{"data": [{"id": "qwen3"}]}"#)]);
    let sandbox = Sandbox::new();
    let run: Run = sandbox
        .detached("qwen-login")
        .args([
            "--api-key",
            "--provider",
            "ollama",
            "--base-url",
            &server.url("/v1"),
        ])
        .run()
        .exits(0);
    assert!(run.stderr.contains("the endpoint answers"), "{run:#?}");
    assert!(server.requests()[0].header("authorization").is_none());
    assert!(profile(&sandbox, "default")["key"].is_null());
}

#[test]
fn a_server_on_this_machine_is_recognised_by_every_name_of_the_machine() {
    for (url, name, model) in [
        ("http://localhost:11434/v1", "ollama", "qwen3"),
        ("http://[::1]:8080/v1", "llama.cpp", "default"),
        ("http://127.0.0.1:8000/v1", "vllm", "default"),
    ] {
        let sandbox = Sandbox::new();
        sandbox
            .detached("qwen-login")
            .args(["--no-verify", "--base-url", url])
            .run()
            .exits(0);
        let profile = profile(&sandbox, "default");
        assert_eq!(
            (&profile["provider"], &profile["base_url"], &profile["model"]),
            (&json!(name), &json!(url), &json!(model))
        );
    }
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let sandbox = Sandbox::new();
    let tool = || sandbox.detached("qwen-login");
    tool()
        .args(["--store", "cloud"])
        .run()
        .fails(64, &["'cloud'", "--store"]);
    tool().run().fails(
        64,
        &[
            "no login method is given",
            "hint: run 'qwen-login --oauth'",
            "--with-key",
        ],
    );
    tool()
        .arg("--api-key")
        .run()
        .fails(64, &["no terminal to ask for it", "'qwen-login --with-key'"]);
    nothing_is_stored(&sandbox);
}

/// A second login without a word would set up the endpoint anew, without the key.
#[test]
fn without_a_terminal_a_profile_keeps_the_key_that_it_has() {
    let models = Reply::json(200, r#"{"data": [{"id": "qwen3"}]}"#);
    let server = Server::script([models]);
    let sandbox = Sandbox::new();
    login(&sandbox)
        .args(["--base-url", &server.url("/v1"), "--model", "qwen3"])
        .run()
        .exits(0);
    let before = profile(&sandbox, "default");
    sandbox
        .detached("qwen-login")
        .run()
        .fails(64, &["no login method is given", "--with-key"]);
    assert_eq!(profile(&sandbox, "default"), before);
    assert_eq!(server.requests().len(), 1);
}
