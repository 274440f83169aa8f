//! Where settings come from, seen through `qwen-token --format json`: the first that says something wins.
use crate::support::batch::{batch, line};
use crate::support::chat::chat;
use crate::support::{Reply, Run, Sandbox, Server, Tool};
use serde_json::{Value, json};

const OPENAI: &str = "https://api.openai.com/v1";

fn token(sandbox: &Sandbox) -> Tool {
    sandbox.tool("qwen-token").args(["--format", "json"])
}

/// What a run resolved: key, endpoint, model, provider.
#[track_caller]
fn resolved(run: Run) -> [String; 4] {
    let run = run.exits(0);
    let json: Value = serde_json::from_slice(&run.stdout).unwrap();
    ["access_token", "base_url", "model", "provider"]
        .map(|name| json[name].as_str().unwrap_or("-").to_owned())
}

fn profiles(profiles: Value) -> String {
    json!({ "profiles": profiles }).to_string()
}

#[test]
fn each_value_comes_from_the_first_place_that_gives_it() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "home/.qwen/settings.json",
        r#"{ // Qwen Code's own
            "security": {"auth": {"selectedType": "openai", "apiKey": "settings-key", "baseUrl": "https://settings.example/v1"}},
            "model": {"name": "settings-model"},
        }"#,
    );
    assert_eq!(
        resolved(token(&sandbox).run()),
        [
            "settings-key",
            "https://settings.example/v1",
            "settings-model",
            "custom"
        ]
    );
    sandbox.config(&profiles(json!({"work": {
        "base_url": "https://profile.example/v1", "model": "profile-model", "key": {"command": ["echo", "profile-key"]},
    }})));
    assert_eq!(
        resolved(token(&sandbox).run()),
        [
            "profile-key",
            "https://profile.example/v1",
            "profile-model",
            "custom"
        ]
    );
    sandbox.write(
        "home/.env",
        "OPENAI_API_KEY=chain-key\nOPENAI_BASE_URL=https://chain.example/v1\nOPENAI_MODEL=chain-model\n",
    );
    assert_eq!(
        resolved(token(&sandbox).run()),
        ["chain-key", "https://chain.example/v1", "chain-model", "custom"]
    );
    let in_environment = token(&sandbox)
        .env("OPENAI_API_KEY", "env-key")
        .env("OPENAI_BASE_URL", "https://env.example/v1")
        .env("OPENAI_MODEL", "env-model");
    assert_eq!(
        resolved(in_environment.run()),
        ["env-key", "https://env.example/v1", "env-model", "custom"]
    );
}

#[test]
fn a_key_alone_goes_to_openai_with_the_documented_model() {
    let sandbox = Sandbox::new();
    let run = token(&sandbox).env("OPENAI_API_KEY", "k").run();
    assert_eq!(resolved(run), ["k", OPENAI, "gpt-4o", "openai"]);
}

#[test]
fn blank_counts_as_absent() {
    let sandbox = Sandbox::new();
    let run = token(&sandbox)
        .env("OPENAI_API_KEY", "k")
        .env("OPENAI_BASE_URL", "  ")
        .env("OPENAI_MODEL", "")
        .env("QWEN_PROFILE", "")
        .run();
    assert_eq!(resolved(run), ["k", OPENAI, "gpt-4o", "openai"]);
    sandbox.tool("qwen-token").env("OPENAI_API_KEY", " ").run().fails(
        77,
        &["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "qwen-login"],
    );
    let blank = json!({"provider": " ", "base_url": "", "model": "  ", "key": {"env": "MINE"}});
    sandbox.config(&profiles(json!({ "default": blank })));
    let run = token(&sandbox).env("MINE", "k").run();
    assert_eq!(resolved(run), ["k", OPENAI, "gpt-4o", "openai"]);
}

#[test]
fn a_blank_variable_does_not_hide_the_file() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "OPENAI_API_KEY=file-key\nOPENAI_BASE_URL=https://file.example/v1\nOPENAI_MODEL=file-model\n",
    );
    for blank in ["", " ", "\t"] {
        let run = token(&sandbox)
            .env("OPENAI_API_KEY", blank)
            .env("OPENAI_BASE_URL", blank)
            .env("OPENAI_MODEL", blank)
            .run();
        let all = ["file-key", "https://file.example/v1", "file-model", "custom"];
        assert_eq!(resolved(run), all, "{blank:?}");
    }
}

#[test]
fn what_a_profile_leaves_open_comes_from_qwen_codes_settings() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "home/.qwen/settings.json",
        r#"{"security": {"auth": {"apiKey": "settings-key", "baseUrl": "https://settings.example/v1"}},
            "model": {"name": "settings-model"}}"#,
    );
    let settings = "https://settings.example/v1";
    for (profile, expected) in [
        (json!({}), ["settings-key", settings, "settings-model", "custom"]),
        (
            json!({"model": "mine"}),
            ["settings-key", settings, "mine", "custom"],
        ),
        // A profile's key goes to the profile's endpoint, and that is OpenAI's where it names none.
        (
            json!({"key": {"command": ["echo", "mine"]}}),
            ["mine", "https://api.openai.com/v1", "settings-model", "openai"],
        ),
        (
            json!({"base_url": "https://mine.example/v1", "key": {"command": ["echo", "mine"]}}),
            ["mine", "https://mine.example/v1", "settings-model", "custom"],
        ),
        (
            json!({"provider": "deepseek", "key": {"command": ["echo", "mine"]}}),
            ["mine", "https://api.deepseek.com/", "deepseek-flash", "deepseek"],
        ),
    ] {
        sandbox.config(&profiles(json!({"a": profile})));
        assert_eq!(resolved(token(&sandbox).run()), expected, "{profile}");
    }
    // A key that is meant for another server stays at home.
    for elsewhere in [
        json!({"base_url": "https://mine.example/v1"}),
        json!({"provider": "openai"}),
    ] {
        sandbox.config(&profiles(json!({ "a": elsewhere })));
        sandbox
            .tool("qwen-token")
            .run()
            .fails(77, &["no credential for profile 'a'"]);
    }
}

#[test]
fn a_given_key_beats_a_stored_login_and_does_not_go_to_its_server() {
    let sandbox = Sandbox::new();
    sandbox.config(&profiles(
        json!({"default": {"method": "oauth", "provider": "qwen"}}),
    ));
    let run = token(&sandbox).env("OPENAI_API_KEY", "k").run();
    assert_eq!(resolved(run), ["k", OPENAI, "gpt-4o", "openai"]);
}

#[test]
fn the_variable_of_the_provider_in_use_gives_the_key() {
    let sandbox = Sandbox::new();
    let dashscope = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1";
    let run = token(&sandbox)
        .env("DASHSCOPE_API_KEY", "own")
        .env("OPENROUTER_API_KEY", "other")
        .env("OPENAI_API_KEY", "general")
        .env("OPENAI_BASE_URL", dashscope)
        .run();
    assert_eq!(resolved(run), ["own", dashscope, "qwen3-coder-plus", "dashscope"]);
    // Without its endpoint the provider is not in use.
    sandbox
        .tool("qwen-token")
        .env("DASHSCOPE_API_KEY", "own")
        .run()
        .fails(77, &["no credential"]);
}

#[test]
fn whoever_names_a_profile_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    let run = |name: &str| sandbox.tool("qwen-token").env("QWEN_PROFILE", name).run();
    run("gone").fails(
        77,
        &["no credential for profile 'gone' (from environment QWEN_PROFILE)\n"],
    );
    run("../x").fails(
        78,
        &["'../x' cannot be a profile's name (from environment QWEN_PROFILE)\n"],
    );
    let typed = sandbox.tool("qwen-token").args(["--profile", "gone"]).run();
    typed.fails(77, &["no credential for profile 'gone'\n"]);
    // Where there are others one of them may be meant.
    sandbox.config(&profiles(json!({"work": {}, "home": {}, "lab.1": {}})));
    for (name, near) in [
        ("wrok", "work"),
        ("Work", "work"),
        ("lab1", "lab.1"),
        ("hom", "home"),
    ] {
        let hints = format!(
            "qwen-token: hint: did you mean '{near}'?\nqwen-token: hint: known are home, lab.1, work\n\
             qwen-token: hint: or run 'qwen-login --profile {name}' to make it\n"
        );
        let said =
            format!("qwen-token: no profile is called '{name}' (from environment QWEN_PROFILE)\n{hints}");
        run(name).gives(77, "", &said);
        let typed = sandbox.tool("qwen-token").args(["--profile", name]).run();
        typed.gives(
            77,
            "",
            &format!("qwen-token: no profile is called '{name}'\n{hints}"),
        );
    }
    let run = run("entirely-else").fails(77, &["hint: known are home, lab.1, work\n"]);
    assert!(!run.stderr.contains("did you mean"), "{run:#?}");
}

#[test]
fn verbose_tools_name_a_setting_and_its_source_in_one_form() {
    let sandbox = Sandbox::new();
    sandbox.write("work/questions", "");
    for words in [
        &["qwen-token"][..],
        &["qwen-chat", "--dry-run", "hi"],
        &["qwen-batch", "run", "questions"],
    ] {
        let tool = sandbox.tool(words[0]).args(&words[1..]).arg("-v");
        let tool = tool.env("OPENAI_API_KEY", "k").env("OPENAI_MODEL", "m");
        let run = tool.run().exits(0);
        for said in [
            "method 'api-key' from environment OPENAI_API_KEY",
            "provider 'openai' from default",
            "base_url 'https://api.openai.com/v1' from default",
            "model 'm' from environment OPENAI_MODEL",
        ] {
            let line = format!("{}: {said}\n", words[0]);
            assert!(run.stderr.contains(&line), "no {line:?} in {run:#?}");
        }
    }
}

#[test]
fn a_tilde_that_no_shell_saw_is_the_home_directory() {
    let sandbox = Sandbox::new();
    let profile = json!({"key": {"command": ["echo", "mine"]}});
    sandbox.write("home/own.json", profiles(json!({ "p": profile })));
    sandbox.write("home/code/settings.json", r#"{"model": {"name": "theirs"}}"#);
    for config in ["~/own.json", "~//own.json"] {
        let run = token(&sandbox).env("QWEN_CONFIG", config).run();
        assert_eq!(resolved(run)[0], "mine", "{config}");
    }
    let run = token(&sandbox)
        .env("QWEN_HOME", "~/code")
        .env("OPENAI_API_KEY", "k");
    assert_eq!(resolved(run.run())[2], "theirs");
    // Another user's home is not looked up.
    let run = sandbox
        .tool("qwen-token")
        .env("QWEN_CONFIG", "~root/own.json")
        .run();
    run.fails(78, &["QWEN_CONFIG: '~root/own.json' is not an absolute path"]);
}

#[test]
fn a_key_command_runs_under_the_limit_on_core_dumps_that_its_user_has() {
    let sandbox = Sandbox::new();
    let profile = json!({"key": {"command": ["sh", "-c", "ulimit -S -c"]}});
    sandbox.config(&profiles(json!({ "p": profile })));
    let script = "ulimit -S -c 0; ulimit -H -c; ulimit -S -c 7 2>/dev/null; ulimit -S -c; exec qwen-token";
    let run = sandbox.command("/bin/sh").args(["-c", script]).run().exits(0);
    let text = run.text();
    let limits: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(limits[0], limits[1], "{text}");
}

#[test]
fn a_profile_is_chosen_by_flag_then_variable_then_default() {
    let sandbox = Sandbox::new();
    let entry = |key: &str| json!({"base_url": "https://x.example/v1", "key": {"command": ["echo", key]}});
    sandbox.config(
        &json!({"default_profile": "a", "profiles": {"a": entry("a"), "b": entry("b"), "c": entry("c")}})
            .to_string(),
    );
    let key = |tool: Tool| resolved(tool.run())[0].clone();
    assert_eq!(key(token(&sandbox)), "a");
    assert_eq!(key(token(&sandbox).env("QWEN_PROFILE", "b")), "b");
    assert_eq!(
        key(token(&sandbox).env("QWEN_PROFILE", "b").args(["--profile", "c"])),
        "c"
    );
    sandbox
        .tool("qwen-token")
        .args(["--profile", "work"])
        .run()
        .gives(
            77,
            "",
            "qwen-token: no profile is called 'work'\n\
             qwen-token: hint: known are a, b, c\n\
             qwen-token: hint: or run 'qwen-login --profile work' to make it\n",
        );
}

/// Services run with such a home.
#[test]
fn a_configuration_elsewhere_is_used() {
    let sandbox = Sandbox::new();
    let other = sandbox.write(
        "other/settings",
        profiles(json!({"x": {"base_url": "https://x.example/v1", "key": {"env": "X_KEY"}}})),
    );
    let run = token(&sandbox).env("QWEN_CONFIG", &other).env("X_KEY", "k").run();
    assert_eq!(resolved(run)[..2], ["k", "https://x.example/v1"]);
    let unset = sandbox.tool("qwen-token").env("QWEN_CONFIG", &other).run();
    unset.fails(77, &["profile 'x' takes its key from X_KEY, which is not set"]);
    let given = token(&sandbox)
        .env("QWEN_CONFIG", &other)
        .env("OPENAI_API_KEY", "given");
    assert_eq!(resolved(given.run())[..2], ["given", "https://x.example/v1"]);
}

#[test]
fn a_project_file_cannot_have_another_key_sent_to_its_endpoint() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("work/.env", "OPENAI_BASE_URL=https://thief.example/v1\n");
    let shown = file.display().to_string();
    let refusal = [
        &*format!("{shown}:1"),
        "environment OPENAI_API_KEY",
        "https://thief.example",
        "qwen-env --trust",
    ];
    sandbox
        .tool("qwen-token")
        .env("OPENAI_API_KEY", "k")
        .run()
        .fails(78, &refusal);
    sandbox.write("home/.env", "OPENAI_API_KEY=home\n");
    sandbox
        .tool("qwen-token")
        .env("QWEN_ENV_CHAIN", "merge")
        .run()
        .fails(78, &[&shown, "home/.env:1"]);
    sandbox.config(&profiles(json!({"a": {"key": {"command": ["echo", "stored"]}}})));
    sandbox
        .tool("qwen-token")
        .run()
        .fails(78, &[&shown, "profile 'a'"]);
    sandbox.config(&profiles(json!({"a": {"method": "oauth", "provider": "qwen"}})));
    sandbox
        .tool("qwen-token")
        .run()
        .fails(78, &[&shown, "profile 'a'"]);
}

#[test]
fn a_project_file_may_name_an_endpoint_for_its_own_key_or_for_the_one_that_is_bound_there() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "OPENAI_BASE_URL=https://x.example/v1\nOPENAI_API_KEY=own\n",
    );
    assert_eq!(
        resolved(token(&sandbox).run())[..2],
        ["own", "https://x.example/v1"]
    );

    sandbox.write("work/.env", "OPENAI_BASE_URL=https://x.example/v1/eu\n");
    let entry = |base: &str| profiles(json!({"a": {"base_url": base, "key": {"command": ["echo", "k"]}}}));
    sandbox.config(&entry("https://x.example/v1"));
    assert_eq!(
        resolved(token(&sandbox).run())[..2],
        ["k", "https://x.example/v1/eu"]
    );
    for elsewhere in ["https://x.example:8443/v1", "https://x.example/v1/us"] {
        sandbox.config(&entry(elsewhere));
        sandbox.tool("qwen-token").run().fails(78, &["profile 'a'"]);
    }
    // The variable that the profile names is the profile's key.
    let variable = |base: &str| {
        let profile = json!({"base_url": base, "key": {"env": "MINE"}});
        sandbox.config(&profiles(json!({ "a": profile })));
        token(&sandbox).env("MINE", "k").run()
    };
    let same = resolved(variable("https://x.example/v1"));
    assert_eq!(same[..2], ["k", "https://x.example/v1/eu"]);
    variable("https://x.example:8443/v1").fails(78, &["environment MINE"]);

    sandbox.write(
        "work/.env",
        "OPENAI_BASE_URL=https://dashscope-us.aliyuncs.com/compatible-mode/v1\n",
    );
    let own = token(&sandbox).env("DASHSCOPE_API_KEY", "k").run();
    assert_eq!(resolved(own)[0], "k");
    sandbox.config("{}");
    sandbox.write("work/.env", "OPENAI_BASE_URL=https://api.openai.com/v1\n");
    assert_eq!(resolved(token(&sandbox).env("OPENAI_API_KEY", "k").run())[0], "k");
}

#[test]
fn an_endpoint_that_is_none_is_a_configuration_error() {
    let sandbox = Sandbox::new();
    for (url, fault) in [
        (
            "api.openai.com/v1",
            "environment OPENAI_BASE_URL: this is not a URL",
        ),
        ("ftp://x.example", "must begin with 'https://'"),
        ("http://x.example/v1", "plain http"),
        ("https://user:pass@x.example/v1", "user name or password"),
    ] {
        let run = sandbox
            .tool("qwen-token")
            .env("OPENAI_API_KEY", "k")
            .env("OPENAI_BASE_URL", url);
        let run = run.args(["--format", "json"]).run();
        assert!(!run.stderr.contains("pass@"), "{run:?}");
        run.fails(78, &[fault]);
    }
}

#[test]
fn qwen_codes_settings_have_comments_and_variables() {
    let sandbox = Sandbox::new();
    let settings = r#"// mine
        { /* here */ "security": {"auth": {"selectedType": "openai", "apiKey": "${MY_KEY}", "baseUrl": "$BASE//v1",}},
          "model": {"name": "m-${UNSET}-$MY_KEY-$"}, "page": "https://x.example//y" }"#;
    sandbox.write("home/.qwen/settings.json", settings);
    let run = token(&sandbox)
        .env("MY_KEY", "k1")
        .env("BASE", "https://llm.example")
        .run();
    assert_eq!(
        resolved(run)[..3],
        ["k1", "https://llm.example//v1", "m-${UNSET}-k1-$"]
    );
    let unset = sandbox.tool("qwen-token").env("BASE", "https://llm.example");
    unset.run().fails(77, &["no credential"]);
    assert_eq!(
        sandbox.read("home/.qwen/settings.json"),
        settings,
        "it is never written"
    );
}

#[test]
fn a_limit_of_the_profile_is_obeyed_by_all_that_ask() {
    let (sandbox, server) = (Sandbox::new(), Server::answering(|_, _| Reply::default().hold()));
    let profile = json!({"base_url": server.url("/v1"), "timeouts": {"first_byte": 0.2}});
    sandbox.config(&profiles(json!({ "work": profile })));
    let asked = chat(&sandbox, &server).args(["--retries", "0", "hello"]);
    asked.run().fails(75, &["no answer within 0.2 s"]);
    let asked = batch(&sandbox, &server).args(["run", "--retries", "0"]);
    let run = asked.stdin(line("a", "hello")).run().exits(1);
    assert!(run.text().contains("no answer within 0.2 s"), "{run:#?}");
}

#[test]
fn the_version_of_the_api_comes_from_a_file_too() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "OPENAI_API_KEY=k\nOPENAI_BASE_URL=https://mine.openai.azure.com\nOPENAI_API_VERSION=2099-01-01\n",
    );
    let run = sandbox
        .tool("qwen-chat")
        .args(["--dry-run", "-m", "m", "hi"])
        .run()
        .exits(0);
    let shown: Value = serde_json::from_slice(&run.stdout).unwrap();
    let url = "https://mine.openai.azure.com/openai/deployments/m/chat/completions?api-version=2099-01-01";
    assert_eq!(shown["url"], url);
}

#[test]
fn members_that_take_one_of_a_few_words_are_checked() {
    let sandbox = Sandbox::new();
    let profile = |members: Value| json!({"profiles": {"a": members}});
    for (config, said) in [
        (
            json!({"theme": "blue"}),
            "'theme' is none of 'dark', 'light', 'none'",
        ),
        (json!({"env": {"allow": "NAME"}}), "'env.allow' is not a list"),
        (json!({"env": {"allow": ["$(id)"]}}), "a name of \"allow\""),
        (
            profile(json!({"reasoning": "closed"})),
            "'profiles.a.reasoning' is not 'open'",
        ),
        (
            profile(json!({"key": {"store": "file", "ttl": 5}})),
            "\"ttl\" of 'key' is for a \"command\" alone",
        ),
        (
            profile(json!({"key": {"command": ["x"], "ttl": 0}})),
            "a time-out of 0 s",
        ),
        (
            profile(json!({"timeouts": {"progress": -1}})),
            "a time-out of -1 s",
        ),
        (
            profile(json!({"oauth": {"parameters": {"client_id": "x"}}})),
            "\"parameters\" must not hold 'client_id'",
        ),
    ] {
        sandbox.config(&config.to_string());
        sandbox
            .tool("qwen-token")
            .run()
            .fails(78, &["config.json:1:", said]);
    }
    let all = json!({
        "theme": "none", "env": {"allow": ["NAME", "APP_*"]}, "profiles": {"a": {
            "base_url": "https://x.example/v1", "reasoning": "open", "key": {"command": ["echo", "k"], "ttl": 60},
            "timeouts": {"progress": 5}, "oauth": {"parameters": {"audience": "x"}},
        }},
    });
    sandbox.config(&all.to_string());
    sandbox.tool("qwen-token").run().gives(0, "k\n", "");
}
