//! What goes over the wire: members of the body, and path, query, headers and key as each provider wants them.
use crate::support::chat::{KEY, answer, chat};
use crate::support::{Request, Run, Sandbox, Server};
use serde_json::{Value, json};

fn sent(args: &[&str]) -> Value {
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["ok"])]));
    chat(&sandbox, &server)
        .args(args)
        .arg("hi")
        .run()
        .gives(0, "ok\n", "");
    server.requests()[0].json()
}

#[test]
fn the_body_is_small_and_asks_for_a_stream_and_its_cost() {
    let body = sent(&[]);
    assert_eq!(
        body.to_string(),
        r#"{"model":"m-1","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}"#
    );
    let body = sent(&["--no-stream"]);
    assert_eq!(
        body.to_string(),
        r#"{"model":"m-1","messages":[{"role":"user","content":"hi"}],"stream":false}"#
    );
}

#[test]
fn flags_become_members() {
    let body = sent(&[
        "-m",
        "other",
        "--temperature",
        "0.5",
        "--top-p",
        "0.25",
        "--max-tokens",
        "7",
        "--seed",
        "-3",
        "--stop",
        "END",
        "--stop",
        "-",
        "--param",
        "logit_bias={\"5\":-1}",
        "--param",
        "user=\"me\"",
        "--param",
        "stream_options=null",
    ]);
    assert_eq!(
        body,
        json!({
            "model": "other", "messages": [{ "role": "user", "content": "hi" }], "stream": true,
            "temperature": 0.5, "top_p": 0.25, "max_tokens": 7, "seed": -3, "stop": ["END", "-"],
            "logit_bias": { "5": -1 }, "user": "me",
        })
    );
}

#[test]
fn flags_that_make_no_sense_are_usage_errors_and_nothing_is_sent() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    for (args, message) in [
        (&["--param", "novalue"][..], "--param: 'novalue' is not NAME=JSON"),
        (&["--param", "x=text"], "--param: the value of 'x' is not JSON"),
        (
            &["--param", "messages=[]"],
            "--param: 'messages' cannot be set this way",
        ),
        (&["--temperature", "NaN"], "not a number"),
        (&["--idle-timeout", "0"], "must be more than 0"),
        (&["--idle-timeout", "soon"], "not a number of seconds"),
        (&["--json", "--events"], "cannot be used with"),
        (&["--dry-run", "--curl"], "cannot be used with"),
        (&["--session", "../x"], "'../x' is not a name for a session"),
        (&["--reasoning", "loud"], "invalid value 'loud'"),
    ] {
        chat(&sandbox, &server)
            .args(args)
            .arg("hi")
            .run()
            .fails(64, &[message]);
    }
}

/// What a profile of this provider sends, with its base URL's path on the scripted server.
fn by_provider(provider: &str, path: &str, env: &[(&str, &str)]) -> Request {
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["ok"])]));
    let base = server.url(path);
    sandbox.config(&format!(
        r#"{{"profiles":{{"p":{{"method":"api-key","provider":"{provider}","base_url":"{base}","model":"m 1","key":{{"env":"THE_KEY"}}}}}}}}"#
    ));
    let mut tool = sandbox
        .tool("qwen-chat")
        .env("THE_KEY", KEY)
        .args(["-q", "--profile", "p", "hi"]);
    for (name, value) in env {
        tool = tool.env(name, value);
    }
    tool.run().gives(0, "ok\n", "");
    server.requests()[0].clone()
}

#[test]
fn every_provider_gets_its_path_its_query_and_its_key_where_it_wants_them() {
    let bearer = format!("Bearer {KEY}");
    for (provider, path, target) in [
        ("openai", "/v1", "/v1/chat/completions"),
        (
            "dashscope",
            "/compatible-mode/v1",
            "/compatible-mode/v1/chat/completions",
        ),
        ("coding-plan", "/v1", "/v1/chat/completions"),
        (
            "token-plan",
            "/compatible-mode/v1",
            "/compatible-mode/v1/chat/completions",
        ),
        ("modelscope", "/v1", "/v1/chat/completions"),
        ("openrouter", "/api/v1/", "/api/v1/chat/completions"),
        ("deepseek", "", "/chat/completions"),
        ("requesty", "/v1", "/v1/chat/completions"),
        ("xai", "/v1", "/v1/chat/completions"),
        ("minimax", "/v1", "/v1/chat/completions"),
        ("zai", "/api/paas/v4", "/api/paas/v4/chat/completions"),
        ("moonshot", "/v1", "/v1/chat/completions"),
        ("vllm", "/v1", "/v1/chat/completions"),
        ("custom", "/deep/er/v1", "/deep/er/v1/chat/completions"),
    ] {
        let request = by_provider(provider, path, &[]);
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("POST", target),
            "{provider}"
        );
        assert_eq!(
            request.header("authorization"),
            Some(bearer.as_str()),
            "{provider}"
        );
        assert_eq!(request.header("api-key"), None, "{provider}");
        assert_eq!(
            request.header("content-type"),
            Some("application/json"),
            "{provider}"
        );
        assert!(
            request.header("user-agent").unwrap().starts_with("qwen-toolkit/"),
            "{provider}"
        );
        assert_eq!(request.json()["model"], "m 1", "{provider}");
    }
}

#[test]
fn the_address_of_an_azure_deployment_names_its_model() {
    let sandbox = Sandbox::new();
    let root = "https://mine.openai.azure.com/";
    let asked = |base: &str, more: &[&str]| {
        let run = sandbox
            .tool("qwen-chat")
            .args(["--dry-run", "hi"])
            .args(more)
            .env("OPENAI_API_KEY", "k")
            .env("OPENAI_BASE_URL", format!("{root}{base}"))
            .env("OPENAI_MODEL", "other")
            .env("OPENAI_API_VERSION", "2025-01-01")
            .run();
        let shown: Value = serde_json::from_slice(&run.exits(0).stdout).unwrap();
        shown["url"].as_str().unwrap().to_owned()
    };
    let of =
        |model: &str| format!("{root}openai/deployments/{model}/chat/completions?api-version=2025-01-01");
    assert_eq!(asked("", &[]), of("other"));
    for base in [
        "openai/deployments/my-gpt",
        "openai/deployments/my-gpt/",
        "openai/deployments/my-gpt/chat/completions",
        "openai/deployments/my-gpt/chat/completions?api-version=2025-01-01",
    ] {
        assert_eq!(asked(base, &[]), of("my-gpt"), "{base}");
        assert_eq!(asked(base, &["--model", "flag"]), of("flag"), "{base}");
    }
}

#[test]
fn azure_gets_its_api_key_header_its_deployment_and_its_version() {
    for (env, version) in [
        (&[][..], "2024-10-21"),
        (
            &[("OPENAI_API_VERSION", "2025-03-01-preview")],
            "2025-03-01-preview",
        ),
    ] {
        let request = by_provider("azure", "/", env);
        let target = format!("/openai/deployments/m%201/chat/completions?api-version={version}");
        assert_eq!(request.target, target);
        assert_eq!(request.header("api-key"), Some(KEY));
        assert_eq!(request.header("authorization"), None);
    }
    let request = by_provider("azure-v1", "/openai/v1", &[]);
    assert_eq!(request.target, "/openai/v1/chat/completions");
    assert_eq!(
        (request.header("api-key"), request.header("authorization")),
        (Some(KEY), None)
    );
}

#[test]
fn dashscope_and_openrouter_get_their_headers() {
    let request = by_provider("dashscope", "/compatible-mode/v1", &[]);
    assert_eq!(request.header("x-dashscope-cachecontrol"), Some("enable"));
    assert_eq!(request.header("x-dashscope-authtype"), Some("openai"));
    assert!(
        request
            .header("x-dashscope-useragent")
            .unwrap()
            .starts_with("qwen-toolkit/")
    );
    let request = by_provider("openrouter", "/api/v1", &[]);
    assert_eq!(request.header("x-openrouter-title"), Some("qwen toolkit"));
}

#[test]
fn a_profile_adds_headers_query_and_members() {
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["ok"])]));
    let base = server.url("/v1");
    sandbox.config(&format!(
        r#"{{"profiles":{{"p":{{"method":"api-key","provider":"dashscope","base_url":"{base}","key":{{"env":"THE_KEY"}},
            "headers":{{"X-Team":"blue","x-dashscope-cachecontrol":"disable"}},"query":{{"tier":"a b"}},
            "body":{{"temperature":0.1,"metadata":{{"app":"x"}},"stream_options":null}}}}}}}}"#
    ));
    let tool = sandbox.tool("qwen-chat").env("THE_KEY", KEY);
    tool.args(["-q", "--temperature", "0.9", "hi"])
        .run()
        .gives(0, "ok\n", "");
    let request = &server.requests()[0];
    assert_eq!(request.target, "/v1/chat/completions?tier=a+b");
    assert_eq!(
        (
            request.header("x-team"),
            request.header("x-dashscope-cachecontrol")
        ),
        (Some("blue"), Some("disable"))
    );
    let body = request.json();
    assert_eq!(
        (&body["temperature"], &body["metadata"]),
        (&json!(0.9), &json!({ "app": "x" }))
    );
    assert_eq!(body.get("stream_options"), None);
}

#[test]
fn a_server_without_a_key_is_sent_none() {
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["ok"])]));
    let tool = sandbox
        .tool("qwen-chat")
        .env("OPENAI_BASE_URL", server.url("/v1"));
    tool.arg("hi").run().gives(0, "ok\n", "");
    let request = &server.requests()[0];
    assert_eq!(
        (request.header("authorization"), request.header("api-key")),
        (None, None)
    );
}

#[test]
fn a_key_on_the_command_line_works_and_is_warned_about() {
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["ok"])]));
    let args = [
        "--openai-api-key",
        KEY,
        "--openai-base-url",
        &server.url("/v1"),
        "--model",
        "m-2",
        "hi",
    ];
    sandbox.tool("qwen-chat").args(args).run().gives(
        0,
        "ok\n",
        "qwen-chat: the key is on the command line, where anybody on this machine can read it\n\
         qwen-chat: hint: set OPENAI_API_KEY, or run 'qwen-login --api-key'\n",
    );
    assert_eq!(
        server.requests()[0].header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    assert_eq!(server.requests()[0].json()["model"], "m-2");
}

#[test]
fn nothing_that_a_program_says_about_itself_holds_the_key() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    for args in [&["--dry-run", "-v", "hi"][..], &["--curl", "-v", "hi"]] {
        let run = chat(&sandbox, &server).args(args).run().exits(0);
        assert!(!run.text().contains(KEY) && !run.stderr.contains(KEY), "{run:#?}");
    }
}

fn shown(run: &Run) -> Value {
    serde_json::from_slice(&run.stdout).unwrap()
}

#[test]
fn a_dry_run_shows_the_request_and_where_each_setting_came_from() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "OPENAI_API_KEY=sk-from-a-file-1234\nOPENAI_BASE_URL=https://mine.openai.azure.com\n",
    );
    let run = sandbox
        .tool("qwen-chat")
        .args(["--dry-run", "-m", "gpt-4o", "hi"])
        .run()
        .exits(0);
    let shown = shown(&run);
    assert_eq!(
        shown["url"],
        "https://mine.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    );
    assert_eq!(shown["headers"]["api-key"], "sk-***34");
    assert_eq!(shown["body"]["messages"][0]["content"], "hi");
    let settings = &shown["settings"];
    assert_eq!(
        settings["model"],
        json!({ "value": "gpt-4o", "source": "flag --model" })
    );
    let source = settings["method"]["source"].as_str().unwrap();
    assert!(source.ends_with("/work/.env:1"), "{source}");
    let source = settings["base_url"]["source"].as_str().unwrap();
    assert!(source.ends_with("/work/.env:2"), "{source}");
    assert_eq!(settings["provider"]["value"], "azure");
}

#[test]
fn the_curl_command_does_what_the_program_does() {
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["ok"])]));
    let words = "it's \"$HOME\" `id` \\ \u{e9}";
    let run = chat(&sandbox, &server).args(["--curl", words]).run().exits(0);
    let shell = sandbox
        .command("/bin/sh")
        .args(["-c", &run.text()])
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", server.url("/v1"));
    shell.run().exits(0);
    let by_curl = server.requests()[0].clone();
    chat(&sandbox, &server).arg(words).run().gives(0, "ok\n", "");
    let ours = &server.requests()[1];
    assert_eq!((&by_curl.target, &by_curl.body), (&ours.target, &ours.body));
    assert_eq!(by_curl.header("authorization"), ours.header("authorization"));
    assert_eq!(by_curl.header("content-type"), ours.header("content-type"));
}

#[test]
fn the_curl_command_gets_the_key_that_the_flags_are_about() {
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["ok"])]));
    let url = server.url("/v1");
    sandbox.write("work/here/.env", format!("OPENAI_API_KEY={KEY}\n"));
    let flags = ["--openai-base-url", &url, "--directory", "here", "-m", "m", "hi"];
    let run = sandbox.tool("qwen-chat").arg("--curl").args(flags).run().exits(0);
    let start = format!(
        "OPENAI_BASE_URL='{url}' qwen-token --directory 'here' --for '{url}/chat/completions' --format curl | curl "
    );
    assert!(run.text().starts_with(&start), "{run:#?}");
    sandbox
        .command("/bin/sh")
        .args(["-c", &run.text()])
        .run()
        .exits(0);
    let bearer = format!("Bearer {KEY}");
    assert_eq!(
        server.requests()[0].header("authorization"),
        Some(bearer.as_str())
    );
    let azure = [
        "--openai-base-url",
        "https://x.openai.azure.com",
        "-C",
        "here",
        "hi",
    ];
    let run = sandbox.tool("qwen-chat").arg("--curl").args(azure).run().exits(0);
    let token = run.text().split(" | ").next().unwrap().to_owned();
    let shell = sandbox.command("/bin/sh").args(["-c", &token]);
    let given = shell.run().exits(0).text();
    assert!(
        given.ends_with(&format!("\nheader = \"api-key: {KEY}\"\n")),
        "{given}"
    );
}

#[test]
fn the_curl_command_has_the_headers_and_parameters_of_the_profile_and_shows_none() {
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["ok"])]));
    for key in [
        r#""key":{"env":"THE_KEY"},"headers":{"x-gate":"gate-canary"},"#,
        "",
    ] {
        sandbox.config(&format!(
            r#"{{"default_profile":"p","profiles":{{"p":{{"method":"api-key","base_url":"{}?own=base-canary",{key}"query":{{"gate":"query canary&","own2":"2"}}}}}}}}"#,
            server.url("/v1"),
        ));
        let tool = || sandbox.tool("qwen-chat").env("THE_KEY", KEY);
        let run = tool().args(["--curl", "hi"]).run().exits(0);
        assert!(
            !run.text().contains("canary") && run.stderr.is_empty(),
            "{run:#?}"
        );
        let shell = sandbox.command("/bin/sh").args(["-c", &run.text()]);
        shell.env("THE_KEY", KEY).run().exits(0);
        tool().arg("hi").run().exits(0);
        let asked = server.requests();
        let [.., by_curl, ours] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        let query = |target: &str| {
            let mut pairs: Vec<String> = target.split(['?', '&']).map(str::to_owned).collect();
            pairs.sort();
            pairs
        };
        assert_eq!(query(&by_curl.target), query(&ours.target));
        assert_eq!(by_curl.header("x-gate"), ours.header("x-gate"));
        assert_eq!(by_curl.header("authorization"), ours.header("authorization"));
    }
}

#[test]
fn what_a_curl_command_cannot_hold_is_said() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let tool = chat(&sandbox, &server).args(["-q", "--curl", "--openai-api-key", "sk-typed", "hi"]);
    assert!(!tool.run().exits(0).text().contains("sk-typed"));
    let tool = chat(&sandbox, &server).args(["--curl", "--openai-api-key", "sk-typed", "hi"]);
    let run = tool.run().exits(0);
    assert!(
        run.stderr
            .contains("the key of --openai-api-key is not in the command; set OPENAI_API_KEY"),
        "{run:#?}"
    );
    sandbox.config(&format!(
        r#"{{"profiles":{{"p":{{"method":"api-key","base_url":"{}","key":{{"env":"THE_KEY"}},"headers":{{"x-gate-token":"gate-canary"}}}}}}}}"#,
        server.url("/v1")
    ));
    let tool = sandbox
        .tool("qwen-chat")
        .env("THE_KEY", KEY)
        .args(["--profile", "p", "--curl", "hi"]);
    let run = tool.run().exits(0);
    assert!(!run.text().contains("gate-canary"), "{run:#?}");
}
