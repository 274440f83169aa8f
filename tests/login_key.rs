//! qwen-login: an API key, set up without a terminal.
use crate::support::{Reply, Request, Run, Sandbox, Server, Tool};
use serde_json::{Value, json};

const KEY: &str = "sk-canary-0123456789";

/// An answer: the only proof of a key.
fn good() -> Reply {
    crate::support::chat::answer(&["Hello"])
}

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
    let server = Server::script([good()]);
    let sandbox = Sandbox::new();
    let url = server.url("/v1");
    let run = login(&sandbox).args(["--base-url", &url]).run().exits(0);
    assert_eq!(
        run.stderr,
        format!(
            "qwen-login: no model is named: 'gpt-4o' is taken, the default; --model NAME names another one\n\
             qwen-login: the endpoint accepts the key; profile 'default' uses model 'gpt-4o' at '{url}'\n"
        )
    );
    assert_eq!(run.text(), "");
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (requests[0].method.as_str(), requests[0].target.as_str()),
        ("POST", "/v1/chat/completions")
    );
    // What qwen-chat would ask, byte for byte.
    assert_eq!(
        requests[0].text(),
        r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}"#
    );
    assert_eq!(
        requests[0].header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    assert_eq!(
        stored(&sandbox, "default"),
        json!({
            "method": "api-key", "api_key": KEY,
            "stored_for": {"method": "api-key", "provider": "custom", "base_url": url},
        })
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
        &[
            "the credential was refused (401): Incorrect API key provided: ***",
            "--no-verify",
        ],
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

/// The request of qwen-chat, with the same profile, environment and `.env`.
#[test]
fn the_trial_is_the_request_that_a_question_would_be() {
    let sandbox = Sandbox::new();
    let server = Server::script([good()]);
    let old = json!({
        "provider": "azure", "base_url": server.url("/"), "model": "dep", "headers": {"x-team": "blue", "api-key": "of-the-profile"},
        "query": {"api-version": "2030-01-01", "tenant": "t"}, "body": {"user": "me", "stream_options": null},
    });
    sandbox.config(&json!({"default_profile": "work", "profiles": {"work": old}}).to_string());
    sandbox.write("home/.env", "OPENAI_API_VERSION=2029-09-09\n");
    login(&sandbox)
        .args([
            "--provider",
            "azure",
            "--base-url",
            &server.url("/"),
            "--model",
            "dep",
        ])
        .run()
        .exits(0);
    sandbox
        .tool("qwen-chat")
        .args(["--no-stdin", "hi"])
        .run()
        .gives(0, "Hello\n", "");
    let requests = server.requests();
    let [trial, question] = &requests[..] else {
        panic!("{requests:#?}")
    };
    assert_eq!((&trial.target, trial.text()), (&question.target, question.text()));
    let headers = |request: &Request| {
        let mut headers = request.headers.clone();
        headers.sort();
        headers
    };
    assert_eq!(headers(trial), headers(question));
    assert_eq!(
        trial.target,
        "/openai/deployments/dep/chat/completions?api-version=2030-01-01&tenant=t"
    );
    assert_eq!(trial.header("api-key"), Some("of-the-profile"));
    assert!(trial.json()["stream_options"].is_null());
}

#[test]
fn what_a_trial_finds_decides() {
    let error = |status, code: &str| {
        Reply::json(
            status,
            &json!({"error": {"message": "m", "code": code}}).to_string(),
        )
    };
    let cases = [
        (
            error(401, "invalid_api_key"),
            77,
            "the credential was refused (401)",
        ),
        (
            Reply::json(400, r#"{"error": {"message": "this answer is an HTTP 400"}}"#),
            65,
            "the request was refused (400)",
        ),
        (error(404, "model_not_found"), 69, "(404)"),
        (error(402, "x"), 69, "(402)"),
        (error(429, "insufficient_quota"), 69, "the quota is used up (429)"),
        (error(429, "rate_limit_exceeded"), 75, "too many requests (429)"),
        (
            Reply::new(200, "text/html", "<html>welcome</html>"),
            76,
            "not an API answer",
        ),
        (Reply::json(200, "{}"), 76, "not an API answer"),
        (Reply::json(200, r#"{"data": []}"#), 76, "not an API answer"),
        (
            Reply::json(
                200,
                r#"{"choices": [{"message": {"error": "Incorrect API key"}}]}"#,
            ),
            77,
            "Incorrect API key",
        ),
        (
            Reply::json(
                200,
                r#"{"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}"#,
            ),
            76,
            "the answer is empty",
        ),
        (error(500, "x"), 75, "the server failed (500)"),
        (
            Reply::with_headers(301, &[("location", "https://elsewhere.example/")], ""),
            76,
            "refused to follow a redirect",
        ),
        (Reply::default().close(), 75, "broke before an answer"),
    ];
    for (reply, code, said) in cases {
        let server = Server::script([reply]);
        let sandbox = Sandbox::new();
        let run = login(&sandbox).args(["--base-url", &server.url("/v1")]).run();
        let run = run.exits(code);
        assert!(run.stderr.contains(said), "no {said:?} in {run:#?}");
        assert!(run.stderr.contains("nothing was stored"), "{run:#?}");
        assert!(!run.stderr.contains("run 'qwen-login'"), "{run:#?}");
        nothing_is_stored(&sandbox);
    }
}

#[test]
fn anything_of_an_answer_is_proof_enough_and_the_rest_is_not_waited_for() {
    let reasoning =
        crate::support::chat::data(r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#);
    for reply in [
        Reply::stream_head()
            .chunk(crate::support::chat::text("He"))
            .hold(),
        Reply::stream_head().chunk(reasoning).hold(),
        Reply::json(
            200,
            r#"{"choices": [{"message": {"content": "h"}, "finish_reason": "length"}]}"#,
        ),
    ] {
        let server = Server::script([reply]);
        let sandbox = Sandbox::new();
        login(&sandbox)
            .args(["--base-url", &server.url("/v1")])
            .run()
            .exits(0);
        assert_eq!(stored(&sandbox, "default")["api_key"], KEY);
    }
}

#[test]
fn a_base_url_without_its_version_is_told_so() {
    let server = Server::script([Reply::json(404, r#"{"detail": "Not Found"}"#)]);
    let sandbox = Sandbox::new();
    let run = login(&sandbox).args(["--base-url", &server.url("/api")]).run();
    run.fails(
        69,
        &["no such model or path (404): Not Found", "many end in '/v1'"],
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
        .stdin(b"sk-\xff".to_vec())
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
            vec!["--base-url", "http://192.168.1.50/v1"],
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
        ("deepseek", "https://api.deepseek.com/", "deepseek-flash"),
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
    let server = Server::script([good()]);
    let sandbox = Sandbox::new();
    login(&sandbox)
        .args(["--provider", "azure", "--base-url", &server.url("/")])
        .env("OPENAI_API_VERSION", "2025-01-01")
        .run()
        .exits(0);
    let request = &server.requests()[0];
    assert_eq!(
        request.target,
        "/openai/deployments/gpt-4o/chat/completions?api-version=2025-01-01"
    );
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
fn the_whole_address_of_a_request_is_cut_to_its_base() {
    let server = Server::script([good()]);
    let sandbox = Sandbox::new();
    login(&sandbox)
        .args(["--base-url", &server.url("/v1/chat/completions/")])
        .run()
        .exits(0);
    assert_eq!(profile(&sandbox, "default")["base_url"], server.url("/v1"));
    assert_eq!(server.requests()[0].target, "/v1/chat/completions");
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
    let server = Server::script([good()]);
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
            "hint: run 'qwen-login --with-key --provider NAME', with the key on standard input\n\
             qwen-login: hint: or 'qwen-login --api-key --provider ollama'",
            "hint: or 'qwen-login --oauth', and open the address",
        ],
    );
    tool()
        .arg("--api-key")
        .run()
        .gives(
            64,
            "",
            "qwen-login: the key for 'https://api.openai.com/v1' is missing, and there is no terminal to ask for it\n\
             qwen-login: hint: give the key on standard input, with --with-key\n\
             qwen-login: hint: name another endpoint with --provider NAME or --base-url URL\n\
             qwen-login: hint: name another model than 'gpt-4o' with --model NAME\n",
        );
    for (flags, said, silent) in [
        (
            &["--provider", "deepseek"][..],
            "'https://api.deepseek.com/'",
            "--provider",
        ),
        (
            &["--base-url", "https://llm.example/v1"],
            "'https://llm.example/v1'",
            "--base-url",
        ),
        (
            &["--provider", "openai", "--model", "m"],
            "'https://api.openai.com/v1'",
            "--model",
        ),
    ] {
        let run = tool().arg("--api-key").args(flags).run();
        let run = run.fails(64, &[said, "--with-key"]);
        assert!(!run.stderr.contains(silent), "{run:#?}");
    }
    nothing_is_stored(&sandbox);
}

/// A second login without a word would set up the endpoint anew, without the key.
#[test]
fn without_a_terminal_a_profile_keeps_the_key_that_it_has() {
    let models = good();
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

#[test]
fn a_login_without_a_key_takes_the_stored_one_away_and_says_so() {
    let sandbox = Sandbox::new();
    login(&sandbox)
        .args(["--no-verify", "--provider", "groq"])
        .run()
        .exits(0);
    let file = sandbox.home().join(".config/qwen/credentials/default.json");
    assert!(file.exists());
    let run = sandbox
        .detached("qwen-login")
        .args(["--no-verify", "--provider", "ollama"])
        .run()
        .exits(0);
    let removed = format!("removed the old credential from '{}'", file.display());
    assert!(run.stderr.contains(&removed), "{run:#?}");
    assert!(!file.exists());
}

#[test]
fn a_login_without_a_key_takes_the_key_out_of_the_keyring_too() {
    let Some(keyring) = crate::support::Keyring::start("unlocked") else {
        return;
    };
    let sandbox = Sandbox::new();
    let with_key = sandbox
        .detached("qwen-login")
        .args(["--with-key", "--no-verify", "--provider", "groq"])
        .stdin(format!("{KEY}\n"));
    keyring.given_to(with_key).run().exits(0);
    assert!(keyring.lookup("default").is_some());
    let without = sandbox
        .detached("qwen-login")
        .args(["--no-verify", "--provider", "ollama"]);
    let run = keyring.given_to(without).run().exits(0);
    assert!(
        run.stderr
            .contains("removed the old credential from 'the system keyring'"),
        "{run:#?}"
    );
    assert_eq!(keyring.lookup("default"), None);
}

#[test]
fn a_default_model_that_a_server_lacks_is_told_with_the_names_that_it_has() {
    let server = Server::answering(|_, request: &Request| match request.target.as_str() {
        "/v1/models" => Reply::json(200, r#"{"data": [{"id": "qwen3-4b"}, {"id": "qwen3-8b"}]}"#),
        _ => Reply::json(
            404,
            r#"{"error": {"message": "The model does not exist", "code": "model_not_found"}}"#,
        ),
    });
    let sandbox = Sandbox::new();
    let hint = "hint: choose one of its models with --model NAME: qwen3-4b, qwen3-8b\n";
    for (flags, is_said) in [(&[][..], true), (&["--model", "mine"], false)] {
        let run = login(&sandbox)
            .args(["--base-url", &server.url("/v1")])
            .args(flags)
            .run();
        let run = run.fails(69, &["--no-verify"]);
        assert_eq!(run.stderr.contains(hint), is_said, "{run:#?}");
    }
    nothing_is_stored(&sandbox);
}
