//! qwen-auth: what is in use and why, the list, the switch.
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Run, Sandbox, Server, Terminal, Tool};
use serde_json::{Map, Value, json};

const PROFILES: &str = r#"{
  "theme": "dark",
  "default_profile": "work",
  "profiles": {
    "home": {"method": "oauth", "provider": "qwen"},
    "pass": {"method": "api-key", "provider": "deepseek", "key": {"command": ["pass", "show", "deepseek"]}},
    "work": {"method": "api-key", "provider": "custom", "base_url": "https://llm.example/v1", "model": "m1",
             "key": {"store": "file"}, "rate": {"per_minute": 30, "per_day": 500}}
  }
}"#;

fn auth(sandbox: &Sandbox, words: &[&str]) -> Tool {
    sandbox.detached("qwen-auth").args(words)
}

fn configured() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(PROFILES);
    sandbox.write(
        "home/.config/qwen/credentials/work.json",
        r#"{"method": "api-key", "api_key": "sk-canary-work-key"}"#,
    );
    sandbox
}

fn millis(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap() + seconds * 1000
}

fn login_of_qwen_code(sandbox: &Sandbox, members: Value) {
    let mut file = json!({
        "access_token": "canary-at", "refresh_token": "canary-rt", "token_type": "Bearer",
        "resource_url": "portal.qwen.ai", "expiry_date": millis(7500),
    });
    file.as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    sandbox.write("home/.qwen/oauth_creds.json", file.to_string());
}

fn json_of(run: &Run) -> Value {
    serde_json::from_slice(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:#?}"))
}

fn status(sandbox: &Sandbox) -> Tool {
    auth(sandbox, &["status", "--format", "json"])
}

#[test]
fn the_status_of_a_key_names_every_source_and_no_secret() {
    let sandbox = configured();
    let run = auth(&sandbox, &["status"]).run();
    let file = sandbox.home().join(".config/qwen/credentials/work.json");
    let text = format!(
        "profile     work  (default_profile in config.json)\n\
         method      api-key  (profile 'work')\n\
         provider    custom  (profile 'work')\n\
         endpoint    https://llm.example/v1  (profile 'work')\n\
         model       m1  (profile 'work')\n\
         key         sk-***ey  (profile 'work')\n\
         store       file, {}  (profile 'work')\n\
         credential  stored, not tested\n\
         requests    0 of 500 today, at most 30 a minute  (profile 'work')\n",
        file.display()
    );
    run.gives(0, &text, "");
    auth(&sandbox, &[]).run().gives(0, &text, "");
    let report = json_of(&status(&sandbox).run().exits(0));
    for (name, value) in [
        ("profile", json!("work")),
        ("method", json!("api-key")),
        ("endpoint", json!("https://llm.example/v1")),
        ("model", json!("m1")),
        ("store", json!("file")),
        ("state", json!("unknown")),
        ("expires_at", Value::Null),
        ("requests_today", json!(0)),
        ("requests_per_day", json!(500)),
        ("requests_per_minute", json!(30)),
    ] {
        assert_eq!(report[name], value, "{name}");
    }
    assert_eq!(report["sources"]["profile"], "default_profile in config.json");
    for name in ["method", "provider", "endpoint", "model", "store"] {
        assert_eq!(report["sources"][name], "profile 'work'");
    }
}

#[test]
fn the_status_of_a_login_has_its_endpoint_and_end() {
    let sandbox = configured();
    login_of_qwen_code(&sandbox, json!({}));
    let run = auth(&sandbox, &["status", "--profile", "home"]).run().exits(0);
    let text = run.text();
    assert!(
        text.contains("endpoint    https://portal.qwen.ai/v1  (resource_url of the credential)\n"),
        "{text}"
    );
    assert!(
        text.contains("model       coder-model  (provider 'qwen')\n"),
        "{text}"
    );
    assert!(
        text.contains("credential  valid until 20") && text.contains("for 2 h 4 min more\n"),
        "{text}"
    );
    assert!(
        text.contains("requests    0 of 2000 today, at most 60 a minute  (provider 'qwen')\n"),
        "{text}"
    );
    let report = json_of(&status(&sandbox).args(["--profile", "home"]).run().exits(0));
    assert!((7400..=7500).contains(&report["expires_in"].as_u64().unwrap()));
    let documented = [&report["requests_per_minute"], &report["requests_per_day"]];
    assert_eq!(documented, [60, 2000]);
    assert_eq!(report["sources"]["profile"], "flag --profile");
    assert!(!run.stderr.contains("canary") && !text.contains("canary"));
}

#[test]
fn without_a_profile_the_login_of_qwen_code_is_the_source() {
    let sandbox = Sandbox::new();
    login_of_qwen_code(&sandbox, json!({}));
    let report = json_of(&status(&sandbox).run().exits(0));
    let file = sandbox.home().join(".qwen/oauth_creds.json");
    assert_eq!(report["profile"], Value::Null);
    for name in ["method", "provider", "store"] {
        assert_eq!(report["sources"][name], file.to_str().unwrap(), "{name}");
    }
}

#[test]
fn the_state_of_a_login_decides_the_exit() {
    for (members, state, code) in [
        (json!({}), "valid", 0),
        (json!({"expiry_date": null}), "unbounded", 0),
        (json!({"expiry_date": millis(-5)}), "renewable", 0),
        (
            json!({"expiry_date": millis(-5), "refresh_token": null}),
            "expired",
            77,
        ),
    ] {
        let sandbox = configured();
        login_of_qwen_code(&sandbox, members);
        let run = status(&sandbox).args(["--profile", "home"]).run().exits(code);
        assert_eq!(json_of(&run)["state"], state);
        assert_eq!(
            run.stderr
                .contains("hint: run 'qwen-login --oauth --profile home'"),
            code == 77,
            "{run:#?}"
        );
    }
    let sandbox = configured();
    let run = status(&sandbox).args(["--profile", "home"]).run().exits(77);
    assert_eq!(json_of(&run)["state"], "missing");
}

#[test]
fn an_environment_that_goes_first_is_shown_as_such() {
    let sandbox = configured();
    let run = status(&sandbox)
        .env("OPENAI_API_KEY", "sk-canary-environment")
        .env("OPENAI_MODEL", "m9")
        .run()
        .exits(0);
    let report = json_of(&run);
    assert_eq!(report["sources"]["method"], "environment OPENAI_API_KEY");
    assert_eq!(
        (&report["model"], &report["sources"]["model"]),
        (&json!("m9"), &json!("environment OPENAI_MODEL"))
    );
    assert_eq!(report["store"], Value::Null);
    assert!(
        run.stderr
            .contains("the key of environment OPENAI_API_KEY is used in place of that of profile 'work'"),
        "{run:#?}"
    );
    assert!(!run.stderr.contains("canary") && !run.text().contains("canary"));
}

#[test]
fn nothing_at_all_is_no_auth() {
    let sandbox = Sandbox::new();
    auth(&sandbox, &["status"])
        .run()
        .fails(77, &["no credential", "hint: run 'qwen-login'", "OPENAI_API_KEY"]);
    auth(&sandbox, &["list"]).run().gives(
        0,
        "",
        "qwen-auth: no profile is configured\nqwen-auth: hint: run 'qwen-login'\n",
    );
    auth(&sandbox, &["list", "--format", "json"])
        .run()
        .gives(0, "[]\n", "");
}

#[test]
fn the_status_for_a_script_is_an_object_of_the_same_members_whatever_is_wrong() {
    let sandbox = configured();
    let good = json_of(&status(&sandbox).run().exits(0));
    let members = |report: &Value| {
        let mut names: Vec<String> = report.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(good["error"], Value::Null);
    let other = "{\"profiles\": {\"work\": {\"provider\": \"openai\", \"key\": {\"store\": \"file\"}}}}";
    for (config, code, state, error) in [
        ("{}", 77, "missing", "no credential"),
        ("{\"profiles\": {", 78, "unknown", "config.json:1:"),
        (other, 77, "missing", "no credential for profile 'work'"),
    ] {
        sandbox.config(config);
        std::fs::remove_file(sandbox.home().join(".config/qwen/credentials/work.json")).ok();
        let run = status(&sandbox).run().exits(code);
        let report = json_of(&run);
        assert_eq!(members(&report), members(&good), "{config}");
        assert_eq!(report["state"], state, "{config}");
        let said = report["error"].as_str().unwrap();
        assert!(
            said.contains(error) && run.stderr.contains(said),
            "{config}: {run:#?}"
        );
    }
}

#[test]
fn the_list_shows_every_profile_and_marks_the_one_in_use() {
    let sandbox = configured();
    let run = auth(&sandbox, &["list"]).run();
    let text = "  home  oauth    qwen      https://dashscope.aliyuncs.com/compatible-mode/v1  coder-model     not logged in\n  \
                pass  api-key  deepseek  https://api.deepseek.com/                          deepseek-flash  command 'pass'\n\
                * work  api-key  custom    https://llm.example/v1                             m1              file\n";
    run.gives(0, text, "");
    let rows = json_of(
        &auth(&sandbox, &["list", "--format", "json"])
            .env("QWEN_PROFILE", "home")
            .run()
            .exits(0),
    );
    let active: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["active"] == true)
        .map(|row| row["profile"].as_str().unwrap())
        .collect();
    assert_eq!(active, ["home"]);
}

/// A profile with all that requests may carry.
const CARRIES: &str = r#"{"profiles": {"work": {
    "base_url": "https://llm.example/v1", "model": "m", "key": {"command": ["pass", "show", "canary"]},
    "headers": {"X-Api-Key": "canary-0123456789", "X-Team": "canary"}, "query": {"sig": "canary"},
    "rate": {"per_minute": 30}}}}"#;

#[test]
fn what_requests_carry_is_shown_with_its_source_and_masked() {
    let sandbox = Sandbox::new();
    sandbox.config(CARRIES);
    let run = auth(&sandbox, &["status"]).run().exits(0);
    for line in [
        "key         command 'pass'  (profile 'work')\n",
        "headers     X-Api-Key=can***89 X-Team=***  (profile 'work')\n",
        "query       sig=***  (profile 'work')\n",
        "requests    at most 30 a minute  (profile 'work')\n",
    ] {
        assert!(run.text().contains(line), "{line} {}", run.text());
    }
    assert!(!run.text().contains("store "), "{}", run.text());
    let report = json_of(&status(&sandbox).run().exits(0));
    assert_eq!(
        report["headers"],
        json!({"X-Api-Key": "can***89", "X-Team": "***"})
    );
    assert_eq!(report["query"], json!({"sig": "***"}));
    for name in ["key", "headers", "query", "quota"] {
        assert_eq!(report["sources"][name], "profile 'work'", "{name}");
    }
    let chat = sandbox.tool("qwen-chat").args(["-v", "--dry-run", "hi"]);
    let said = chat.env("PATH", "/nonexistent").run().stderr;
    for line in [
        "key 'command 'pass'' from profile 'work'",
        "headers 'X-Api-Key=can***89 X-Team=***' from profile 'work'",
        "query 'sig=***' from profile 'work'",
        "rate '30 a minute' from profile 'work'",
    ] {
        assert!(said.contains(line), "{line} {said}");
    }
    assert!(!said.contains("canary") && !run.text().contains("canary"));
    let given = auth(&sandbox, &["status"]).env("OPENAI_API_KEY", "sk-canary-environment");
    let given = given.run().exits(0).text();
    assert!(
        given.contains("key         sk-***nt  (environment OPENAI_API_KEY)\n"),
        "{given}"
    );
    // An endpoint that is not the profile's gets nothing of it.
    let other = auth(&sandbox, &["status"]).env("OPENAI_API_KEY", "sk-canary-environment");
    let other = other
        .env("OPENAI_BASE_URL", "https://other.example/v1")
        .run()
        .text();
    assert!(
        !other.contains("X-Team") && !other.contains("30 a minute"),
        "{other}"
    );
}

#[test]
fn no_line_of_a_report_breaks_within_a_word_on_a_narrow_terminal() {
    let sandbox = Sandbox::new();
    for (config, args) in [
        (CARRIES, &["status"][..]),
        (CARRIES, &["list"]),
        (
            r#"{"profiles": {"work": {"modle": "m", "timeouts": {"idel": 3}}}}"#,
            &["check"],
        ),
    ] {
        sandbox.config(config);
        let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let piped = auth(&sandbox, args).run().text();
        let last = words(&piped).pop().unwrap_or_default();
        let shown = |columns| {
            let terminal = Terminal::of_width(columns, sandbox.tool("qwen-auth").args(args.iter()));
            terminal.shows(&format!("{last}\r\n"));
            terminal.plain()
        };
        for columns in [40, 60, 79] {
            let shown = shown(columns);
            for line in shown.lines().map(str::trim) {
                let is_one_word = !line.contains(' ')
                    || line
                        .split("  ")
                        .nth(1)
                        .is_some_and(|value| !value.trim().contains(' '));
                assert!(
                    line.chars().count() <= usize::from(columns) || is_one_word,
                    "{columns}: {shown}"
                );
            }
            for word in words(&piped) {
                assert!(
                    words(&shown).contains(&word),
                    "{columns}: {word} of {piped} in {shown}"
                );
            }
        }
        let wide = shown(200);
        assert!(wide.starts_with(&piped), "{wide}");
    }
}

#[test]
fn an_endpoint_that_will_not_get_the_secret_is_mentioned() {
    let sandbox = Sandbox::new();
    let plain = json!({"base_url": "http://llm.example/v1", "key": {"env": "MINE"}});
    let own = json!({"method": "oauth", "key": {"store": "file"}, "oauth": {"client_id": "c"}});
    sandbox.config(&json!({"profiles": {"plain": plain, "own": own}}).to_string());
    sandbox.write(
        "home/.config/qwen/credentials/own.json",
        json!({"method": "oauth", "access_token": "at"}).to_string(),
    );
    for (profile, said) in [
        ("plain", "plain http would show the secret"),
        ("own", "profile 'own' names no endpoint for its token"),
    ] {
        let run = status(&sandbox).args(["--profile", profile]).env("MINE", "k");
        let status = json_of(&run.run().exits(0));
        assert!(status["notices"].to_string().contains(said), "{status:#}");
    }
}

#[test]
fn the_list_recognises_a_provider_by_its_host() {
    let sandbox = Sandbox::new();
    let profile = json!({"base_url": "https://openrouter.ai/api/v1", "key": {"env": "MINE"}});
    sandbox.config(&json!({"profiles": {"lab": profile}}).to_string());
    let text = "* lab  api-key  openrouter  https://openrouter.ai/api/v1  qwen/qwen3-coder  variable MINE\n";
    auth(&sandbox, &["list"]).run().gives(0, text, "");
}

#[test]
fn the_list_and_the_status_agree() {
    let sandbox = Sandbox::new();
    login_of_qwen_code(&sandbox, json!({}));
    let server = json!({"token_endpoint": "https://id.example/token", "client_id": "c"});
    let profiles = json!({
        "own": {"method": "oauth", "oauth": server, "base_url": "https://llm.example/v1"},
        "own without endpoint": {"method": "oauth", "oauth": server, "key": {"store": "file"}},
        "own of a provider": {"method": "oauth", "oauth": server, "provider": "openrouter", "model": "m"},
        "adapted": {"method": "oauth", "oauth": {"scope": "chat"}, "provider": "qwen"},
        "qwen": {"method": "oauth"},
        "key": {"key": {"store": "file"}, "base_url": "https://openrouter.ai/api/v1"},
        "elsewhere": {"key": {"env": "MINE"}, "provider": "deepseek"},
        "printed": {"method": "api-key", "key": {"command": ["pass", "show", "x"]}},
        "open": {"base_url": "http://127.0.0.1:11434/v1"},
    });
    let profiles = profiles.as_object().unwrap();
    let named: Map<String, Value> = profiles
        .iter()
        .map(|(name, profile)| (name.replace(' ', "-"), profile.clone()))
        .collect();
    sandbox.config(&json!({ "profiles": named }).to_string());
    let rows = json_of(&auth(&sandbox, &["list", "--format", "json"]).run().exits(0));
    for row in rows.as_array().unwrap() {
        let name = row["profile"].as_str().unwrap();
        let run = status(&sandbox).args(["--profile", name]).env("MINE", "k").run();
        let report = json_of(&run);
        for member in ["method", "provider", "model"] {
            assert_eq!(row[member], report[member], "{member} of {name}");
        }
        let sources = &report["sources"];
        if sources["endpoint"] != "resource_url of the credential" {
            assert_eq!(row["endpoint"], report["endpoint"], "endpoint of {name}");
        }
        if !report["store"].is_null() {
            assert_eq!(row["key"], report["store"], "store of {name}");
        }
    }
    assert_eq!(rows.as_array().unwrap().len(), profiles.len());
}

#[test]
fn a_switch_takes_effect_at_once_and_changes_nothing_else() {
    let sandbox = configured();
    login_of_qwen_code(&sandbox, json!({}));
    auth(&sandbox, &["use", "home"])
        .run()
        .gives(0, "", "qwen-auth: profile 'home' is in use\n");
    assert_eq!(json_of(&status(&sandbox).run().exits(0))["profile"], "home");
    sandbox.tool("qwen-token").run().gives(0, "canary-at\n", "");
    let mut before: Value = serde_json::from_str(PROFILES).unwrap();
    before["default_profile"] = json!("home");
    let after: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    assert_eq!(after, before);
    auth(&sandbox, &["use", "work"]).run().exits(0);
    sandbox
        .tool("qwen-token")
        .run()
        .gives(0, "sk-canary-work-key\n", "");
}

#[test]
fn a_switch_says_what_goes_before_it() {
    let sandbox = configured();
    let run = auth(&sandbox, &["use", "home"])
        .env("QWEN_PROFILE", "work")
        .run()
        .exits(0);
    assert!(
        run.stderr
            .contains("environment QWEN_PROFILE goes before it and names 'work'"),
        "{run:#?}"
    );
    let run = auth(&sandbox, &["use", "work"])
        .env("OPENAI_API_KEY", "sk-x")
        .run()
        .exits(0);
    assert!(
        run.stderr
            .contains("the key of environment OPENAI_API_KEY is set and goes before"),
        "{run:#?}"
    );
}

#[test]
fn a_profile_that_is_not_there_is_named_with_those_that_are() {
    let sandbox = configured();
    for words in [&["use", "nope"][..], &["logout", "nope"]] {
        auth(&sandbox, words)
            .run()
            .fails(77, &["no profile is called 'nope'", "known are home, pass, work"]);
    }
    assert_eq!(sandbox.read("home/.config/qwen/config.json"), PROFILES);
    auth(&sandbox, &["use"])
        .run()
        .fails(64, &["hint: run 'qwen-auth use --help'"]);
    auth(&sandbox, &["logout", "work", "--all"])
        .run()
        .fails(64, &["cannot be used with"]);
}

#[test]
fn a_broken_configuration_is_reported_with_its_place_and_left_alone() {
    let sandbox = Sandbox::new();
    for (broken, place) in [
        ("{", "config.json:1:"),
        ("{\n \"profiles\": 3}", "config.json:2:"),
    ] {
        sandbox.config(broken);
        for words in [
            &["status"][..],
            &["list"],
            &["use", "x"],
            &["logout"],
            &["logout", "--all"],
        ] {
            auth(&sandbox, words).run().fails(78, &[place]);
        }
        assert_eq!(sandbox.read("home/.config/qwen/config.json"), broken);
    }
}

#[test]
fn looking_asks_no_server_and_changes_no_file() {
    let sandbox = configured();
    let server = Server::untouched();
    let mut config: Value = serde_json::from_str(PROFILES).unwrap();
    config["profiles"]["home"]["oauth"] = crate::support::authority::oauth(&server.url(""));
    sandbox.config(&config.to_string());
    login_of_qwen_code(&sandbox, json!({"expiry_date": millis(-5)}));
    let before = sandbox.read("home/.qwen/oauth_creds.json");
    status(&sandbox).args(["--profile", "home"]).run().exits(0);
    auth(&sandbox, &["list"]).run().exits(0);
    assert_eq!(sandbox.read("home/.qwen/oauth_creds.json"), before);
    assert_eq!(sandbox.read("home/.config/qwen/config.json"), config.to_string());
}

#[test]
fn the_status_says_unknown_of_what_nobody_tried() {
    let sandbox = configured();
    let text = |tool: Tool| tool.run().exits(0).text();
    let given = auth(&sandbox, &["status"]).env("OPENAI_API_KEY", "sk-canary-0123");
    assert!(text(given).contains("credential  set, not tested\n"));
    let given = status(&sandbox).env("OPENAI_API_KEY", "sk-canary-0123");
    assert_eq!(json_of(&given.run().exits(0))["state"], "unknown");
    sandbox.write(
        "work/.env",
        "OPENAI_API_KEY=sk-canary-0123\nOPENAI_BASE_URL=https://x.example/v1\n",
    );
    assert!(text(auth(&sandbox, &["status"])).contains("credential  set, not tested\n"));
    std::fs::remove_file(sandbox.work().join(".env")).unwrap();
    let command = auth(&sandbox, &["status", "--profile", "pass"]);
    assert!(text(command).contains("credential  unknown, the command was not run\n"));
    let open = json!({"base_url": "http://127.0.0.1:11434/v1"});
    sandbox.config(&json!({"profiles": {"open": open, "own": {"key": {"env": "MINE"}}}}).to_string());
    let none = auth(&sandbox, &["status", "--profile", "open"]);
    assert!(text(none).contains("credential  no key needed\n"));
    let report = json_of(&status(&sandbox).args(["--profile", "open"]).run().exits(0));
    assert_eq!(report["state"], "not-needed");
    let own = auth(&sandbox, &["status", "--profile", "own"]).env("MINE", "k");
    assert!(text(own).contains("credential  set, not tested\n"));
}

#[test]
fn several_profiles_and_no_default_are_told_as_that_by_every_tool() {
    let sandbox = configured();
    let mut config: Value = serde_json::from_str(PROFILES).unwrap();
    config.as_object_mut().unwrap().remove("default_profile");
    sandbox.config(&config.to_string());
    sandbox.write("work/in", "hello\n");
    for words in [
        &["qwen-token"][..],
        &["qwen-token", "--format", "curl"],
        &["qwen-chat", "--no-stdin", "hi"],
        &["qwen-chat", "--list-models"],
        &["qwen-batch", "run", "--template", "{}", "in", "-o", "out"],
        &["qwen-batch", "list"],
        &["qwen-auth", "status"],
    ] {
        let run = sandbox.detached(words[0]).args(&words[1..]).run();
        let said = "no profile is in use, and there are 3: home, pass, work\n";
        let run = run.fails(
            77,
            &[
                &format!("{}: {said}", words[0]),
                "hint: run 'qwen-auth use home'\n",
                "--profile NAME",
            ],
        );
        assert!(!run.stderr.contains("no credential"), "{run:#?}");
    }
}

#[test]
fn a_word_of_another_tool_is_answered_with_the_command_that_it_means() {
    let sandbox = Sandbox::new();
    for (words, command) in [
        (&["whoami"][..], "qwen-auth status"),
        (&["switch", "work"], "qwen-auth use NAME"),
        (&["ls"], "qwen-auth list"),
        (&["rm", "work"], "qwen-auth remove NAME"),
        (&["delete", "work"], "qwen-auth remove NAME"),
        (&["unset", "model"], "qwen-auth set KEY="),
        (&["login"], "qwen-login"),
        (&["Login", "--profile", "x"], "qwen-login"),
        (&["print-access-token"], "qwen-token"),
        (&["signout"], "qwen-auth logout"),
        (&["configure"], "qwen-login"),
        (&["get", "model"], "qwen-auth show"),
    ] {
        let hint = format!("qwen-auth: hint: did you mean '{command}'?\n");
        auth(&sandbox, words)
            .run()
            .fails(64, &["unrecognized subcommand", &hint]);
        let said = format!("did you mean '{command}'?\n");
        let run = sandbox.detached("qwen").args(words.iter()).run();
        if words[0] != "login" && words[0] != "Login" {
            run.fails(127, &[&said]);
        }
    }
    auth(&sandbox, &["stat us"])
        .run()
        .fails(64, &["did you mean 'status'"]);
    sandbox
        .detached("qwen")
        .arg("logout")
        .run()
        .fails(127, &["did you mean 'qwen-auth logout'?"]);
}
