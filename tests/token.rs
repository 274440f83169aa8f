//! qwen-token: the forms it prints, and where it takes a key from.
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::login::{OWN_FILE, QWEN_FILE, login, millis, with};
use crate::support::{Reply, Sandbox, Server, Tool};
use serde_json::{Value, json};

const KEY: &str = "sk-canary-0123456789";

fn token(sandbox: &Sandbox) -> Tool {
    sandbox.tool("qwen-token")
}

fn profile(sandbox: &Sandbox, members: Value) {
    let profile = with(
        json!({"provider": "custom", "base_url": "http://127.0.0.1:9/v1", "model": "m"}),
        members,
    );
    sandbox.config(&json!({"profiles": {"work": profile}}).to_string());
}

fn logged_in(sandbox: &Sandbox) {
    sandbox.logged_in("http://127.0.0.1:1/", &login(-10, 3590));
}

#[test]
fn every_form_holds_the_key_and_nothing_else() {
    let sandbox = Sandbox::new();
    for (format, text) in [
        ("raw", format!("{KEY}\n")),
        ("header", format!("Authorization: Bearer {KEY}\n")),
        ("curl", format!("header = \"Authorization: Bearer {KEY}\"\n")),
        (
            "json",
            format!(
                "{{\"access_token\":\"{KEY}\",\"token_type\":\"Bearer\",\"expires_at\":null,\"expires_in\":null,\
                 \"base_url\":\"https://api.openai.com/v1\",\"model\":\"gpt-4o\",\"profile\":null,\
                 \"provider\":\"openai\",\"store\":null}}\n"
            ),
        ),
    ] {
        let run = token(&sandbox)
            .args(["--format", format])
            .env("OPENAI_API_KEY", KEY)
            .run();
        run.gives(0, text, "");
    }
}

#[test]
fn json_tells_all_about_a_login() {
    let sandbox = Sandbox::new();
    logged_in(&sandbox);
    let run = token(&sandbox).args(["--format", "json"]).run().exits(0);
    let answer: Value = serde_json::from_slice(&run.stdout).unwrap();
    let names: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "access_token",
            "token_type",
            "expires_at",
            "expires_in",
            "base_url",
            "model",
            "profile",
            "provider",
            "store"
        ]
    );
    assert_eq!(
        (
            &answer["base_url"],
            &answer["model"],
            &answer["profile"],
            &answer["provider"],
            &answer["store"]
        ),
        (
            &json!("http://127.0.0.1:9/v1"),
            &json!("m"),
            &json!("work"),
            &json!("custom"),
            &json!("file")
        )
    );
    let date = answer["expires_at"].as_str().unwrap();
    assert_eq!((date.len(), &date[10..11], &date[19..]), (20, "T", "Z"), "{date}");
    assert!((3000..=3590).contains(&answer["expires_in"].as_i64().unwrap()));
}

#[test]
fn a_provider_with_a_header_of_its_own_gets_that_header() {
    let sandbox = Sandbox::new();
    let azure = |format: &str| {
        token(&sandbox)
            .args(["--format", format])
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", "https://mine.openai.azure.com/")
            .run()
    };
    azure("header").gives(0, format!("api-key: {KEY}\n"), "");
    azure("curl").gives(0, format!("header = \"api-key: {KEY}\"\n"), "");
    azure("raw").gives(0, format!("{KEY}\n"), "");
}

#[test]
fn curl_takes_the_token_from_its_stdin_and_no_argv_shows_it() {
    let sandbox = Sandbox::new();
    let server = Server::script([Reply::json(200, "{}")]);
    let odd = r#"sk-"odd\key' $HOME"#;
    for (format, option) in [("header", "-H @-"), ("curl", "-K -")] {
        let line = format!(
            "qwen-token --format {format} | curl -sS {option} '{}'; cat /proc/self/cmdline /proc/$$/cmdline",
            server.url("/v1")
        );
        let run = sandbox
            .command("/bin/sh")
            .args(["-c", &line])
            .env("OPENAI_API_KEY", odd)
            .run();
        assert!(!run.exits(0).text().contains("odd"));
    }
    for request in server.requests() {
        assert_eq!(
            request.header("authorization"),
            Some(format!("Bearer {odd}").as_str())
        );
    }
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_key_comes_from_where_the_profile_says() {
    let sandbox = Sandbox::new();
    profile(&sandbox, json!({"key": {"env": "MY_KEY"}}));
    token(&sandbox)
        .env("MY_KEY", KEY)
        .run()
        .gives(0, format!("{KEY}\n"), "");
    token(&sandbox)
        .run()
        .fails(77, &["takes its key from MY_KEY, which is not set"]);

    profile(&sandbox, json!({"key": {"store": "file"}}));
    sandbox.write(OWN_FILE, json!({"method": "api-key", "api_key": KEY}).to_string());
    token(&sandbox).run().gives(0, format!("{KEY}\n"), "");
    let run = token(&sandbox).args(["--format", "json"]).run().exits(0);
    assert_eq!(
        serde_json::from_slice::<Value>(&run.stdout).unwrap()["store"],
        "file"
    );
    token(&sandbox).env("OPENAI_API_KEY", "sk-given").run().exits(0);
    fs::remove_file(sandbox.root().join(OWN_FILE)).unwrap();
    token(&sandbox).run().fails(
        77,
        &[
            "no credential for profile 'work'",
            "hint: run 'qwen-login --profile work'",
        ],
    );
}

#[test]
fn a_key_command_runs_without_a_shell_and_within_limits() {
    let sandbox = Sandbox::new();
    let command = |words: Value| profile(&sandbox, json!({"key": {"command": words}}));
    command(json!(["printf", "%s\\nsecond line\\n", KEY]));
    token(&sandbox).run().gives(0, format!("{KEY}\n"), "");
    command(json!(["echo", "$HOME;`id`"]));
    token(&sandbox).run().gives(0, "$HOME;`id`\n", "");
    command(json!(["cat"]));
    token(&sandbox)
        .stdin("sk-from-our-stdin\n")
        .run()
        .fails(78, &["printed nothing"]);
    command(json!(["sh", "-c", "echo sk-x; echo sorry >&2; exit 3"]));
    token(&sandbox)
        .run()
        .fails(77, &["'sh' failed with exit 3: sorry"]);
    command(json!(["/no/such/program"]));
    token(&sandbox)
        .run()
        .fails(78, &["'/no/such/program': cannot run: no such file"]);
}

#[test]
fn a_key_that_no_header_can_carry_is_refused_and_not_shown() {
    let sandbox = Sandbox::new();
    for bad in ["sk-canary\nX-Evil: 1", "sk-canary\u{1b}[0m", "sk-canäry-canary"] {
        let run = token(&sandbox).env("OPENAI_API_KEY", bad).run();
        let run = run.fails(78, &["environment OPENAI_API_KEY: the key holds"]);
        assert!(!run.stderr.contains("canary"), "{run:#?}");
    }
}

#[test]
fn no_credential_at_all_names_what_to_set() {
    let sandbox = Sandbox::new();
    token(&sandbox).run().fails(
        77,
        &[
            "no credential",
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "OPENAI_MODEL",
            "qwen-login",
        ],
    );
    token(&sandbox).arg("--check").arg("-q").run().gives(1, "", "");
    token(&sandbox)
        .arg("--check")
        .env("OPENAI_API_KEY", KEY)
        .run()
        .gives(0, "", "");
}

#[test]
fn an_endpoint_that_needs_no_key_gets_none() {
    let sandbox = Sandbox::new();
    let open = |args: &[&str]| {
        token(&sandbox)
            .args(args)
            .env("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
            .run()
    };
    open(&[]).fails(77, &["'http://127.0.0.1:9/v1' is taken to need none"]);
    open(&["--check"]).gives(0, "", "");
    open(&["--refresh", "--format", "header"]).gives(
        0,
        "",
        "qwen-token: nothing to refresh: the method is none, from environment OPENAI_BASE_URL\n",
    );
    open(&["--format", "header"]).gives(0, "", "");
    let answer: Value = serde_json::from_slice(&open(&["--format", "json"]).exits(0).stdout).unwrap();
    assert_eq!(
        (
            &answer["access_token"],
            &answer["token_type"],
            &answer["base_url"]
        ),
        (&Value::Null, &Value::Null, &json!("http://127.0.0.1:9/v1"))
    );
    open(&["--format", "curl"]).gives(0, "", "");
    open(&["--", "printenv", "OPENAI_API_KEY"]).gives(0, "none\n", "");
}

#[test]
fn a_command_has_the_three_variables_and_we_have_not() {
    let sandbox = Sandbox::new();
    logged_in(&sandbox);
    let script = "printf '%s\\n' \"$OPENAI_API_KEY\" \"$OPENAI_BASE_URL\" \"$OPENAI_MODEL\" \"$@\"; exit 7";
    token(&sandbox)
        .args(["--", "sh", "-c", script, "sh", "--format", "-x"])
        .run()
        .gives(7, "at-old\nhttp://127.0.0.1:9/v1\nm\n--format\n-x\n", "");
    let state = ["sh", "-c", "ulimit -c; grep Sig[IB] /proc/self/status"];
    let plain = sandbox.command("/bin/sh").args(&state[1..]).run().exits(0);
    let below = token(&sandbox).arg("--").args(state).run().exits(0);
    assert_eq!(
        below.text(),
        plain.text(),
        "core limit and signals are as they were"
    );
}

#[test]
fn a_command_that_cannot_be_run_is_told_as_a_shell_tells_it() {
    let sandbox = Sandbox::new();
    sandbox.program("work/script", "#!/no/such/interpreter\n");
    for (command, code, words) in [
        ("no-such-command", 127, "'no-such-command': command not found"),
        ("/no/such/file", 127, "command not found"),
        ("/etc/passwd", 126, "permission denied"),
        ("/", 126, "permission denied"),
        ("./script", 126, "its interpreter is not there"),
    ] {
        let run = token(&sandbox)
            .args(["--", command])
            .env("OPENAI_API_KEY", KEY)
            .run();
        run.fails(code, &[words]);
    }
}

#[test]
fn a_command_that_turned_out_empty_does_not_get_the_token_printed() {
    let sandbox = Sandbox::new();
    for arguments in [&["--"][..], &["--no-refresh", "--"]] {
        let run = token(&sandbox).args(arguments).env("OPENAI_API_KEY", KEY).run();
        run.fails(64, &["no command after '--'", "hint: "]);
    }
}

#[test]
fn a_key_is_not_refreshed_and_that_is_said() {
    let sandbox = Sandbox::new();
    let asked = |flag: &[&str]| token(&sandbox).args(flag).env("OPENAI_API_KEY", KEY).run();
    asked(&["--refresh"]).gives(
        0,
        format!("{KEY}\n"),
        "qwen-token: nothing to refresh: the method is api-key, from environment OPENAI_API_KEY\n",
    );
    asked(&["--min-ttl", "99999999"]).gives(0, format!("{KEY}\n"), "");
    asked(&["--check", "--min-ttl", "99999999"]).gives(0, "", "");
}

#[test]
fn statements_survive_an_eval_without_quotes() {
    let sandbox = Sandbox::new();
    sandbox.write("work/x;touch pwned;", "");
    let model = "a  b*?[x]'\";$(touch pwned)\u{1}~";
    let script = "eval $(qwen-token --format env); printf '%s|%s' \"$OPENAI_API_KEY\" \"$OPENAI_MODEL\"";
    for shell in ["sh", "bash", "dash"] {
        sandbox
            .command(format!("/bin/{shell}"))
            .args(["-c", script])
            .env("OPENAI_API_KEY", "sk-'a b")
            .env("OPENAI_MODEL", model)
            .run()
            .gives(0, format!("sk-'a b|{model}"), "");
    }
    assert!(!sandbox.work().join("pwned").exists());
    let failed = sandbox.command("/bin/sh").args(["-ec", script]).run();
    failed.fails(1, &["no credential"]);
}

#[test]
fn flags_that_contradict_each_other_are_usage_errors() {
    let sandbox = Sandbox::new();
    for flags in [
        &["--refresh", "--no-refresh"][..],
        &["--check", "--refresh"],
        &["--check", "--format", "raw"],
        &["--check", "--", "true"],
        &["--format", "json", "--", "true"],
        &["--format", "xml"],
        &["--min-ttl", "-1"],
        &["--min-ttl", "soon"],
        &["operand"],
    ] {
        token(&sandbox)
            .args(flags)
            .env("OPENAI_API_KEY", KEY)
            .run()
            .fails(64, &["hint: "]);
    }
}

#[test]
fn a_token_goes_only_to_hosts_that_its_provider_allows() {
    let sandbox = Sandbox::new();
    logged_in(&sandbox);
    let elsewhere = |args: &[&str]| {
        token(&sandbox)
            .args(args)
            .env("OPENAI_BASE_URL", "https://evil.example/v1")
            .run()
    };
    for args in [
        &[][..],
        &["--format", "json"],
        &["--format", "env"],
        &["--", "env"],
    ] {
        let run = elsewhere(args);
        assert_eq!(run.code(), 78, "{run:#?}");
        assert!(run.stderr.contains("is not sent to 'https://evil.example/v1'"));
        assert!(!run.text().contains("at-old"));
    }
}

#[test]
fn the_place_of_a_credential_is_not_a_way_to_another_file() {
    let sandbox = Sandbox::new();
    logged_in(&sandbox);
    let file = sandbox.root().join(OWN_FILE);
    let elsewhere = sandbox.write("elsewhere.json", fs::read(&file).unwrap());
    fs::remove_file(&file).unwrap();
    symlink(&elsewhere, &file).unwrap();
    token(&sandbox).run().gives(0, "at-old\n", "");
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o640)).unwrap();
    let run = token(&sandbox).run().exits(0);
    assert!(
        run.stderr.contains("is readable by others (mode 0640)"),
        "{run:#?}"
    );
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o666)).unwrap();
    token(&sandbox)
        .run()
        .fails(78, &["work.json' is not used: it is writable by all (mode 0666)"]);
    fs::remove_file(&elsewhere).unwrap();
    token(&sandbox).run().fails(
        74,
        &["cannot read '", "work.json': is a symbolic link to nothing"],
    );
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    token(&sandbox).run().fails(74, &["is not a regular file"]);
    fs::remove_dir(&file).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &file,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    token(&sandbox).run().fails(74, &["is not a regular file"]);
}

#[test]
fn a_broken_or_loose_file_is_named() {
    let sandbox = Sandbox::new();
    logged_in(&sandbox);
    let file = sandbox.root().join(OWN_FILE);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let run = token(&sandbox).run().exits(0);
    assert!(
        run.stderr
            .contains("work.json' is readable by others (mode 0644)"),
        "{run:#?}"
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.write(OWN_FILE, "{\"access_token\": \"at-old\", oops");
    let run = token(&sandbox).run().fails(
        77,
        &[
            "work.json:1:28: not valid JSON",
            "hint: run 'qwen-login --profile work'",
        ],
    );
    assert!(!run.stderr.contains("at-old"));
}

#[test]
fn verbose_names_every_source_and_no_secret() {
    let sandbox = Sandbox::new();
    logged_in(&sandbox);
    for check in [None, Some("--check")] {
        let run = token(&sandbox).arg("-v").args(check).run().exits(0);
        for words in [
            "profile 'work' from ",
            "method 'oauth' from profile 'work'",
            "provider 'custom' from profile 'work'",
            "base_url 'http://127.0.0.1:9/v1' from profile 'work'",
            "model 'm' from profile 'work'",
            "as stored, valid until 20",
        ] {
            assert!(run.stderr.contains(words), "{words:?} in {}", run.stderr);
        }
        assert!(!run.stderr.contains("at-old") && !run.stderr.contains("rt-old"));
    }
}

#[test]
fn qwen_codes_own_login_serves_without_any_configuration() {
    let sandbox = Sandbox::new();
    let stored = |resource: &str| {
        json!({"access_token": "at-q", "refresh_token": "rt-q", "token_type": "Bearer", "resource_url": resource,
               "expiry_date": millis(3600)})
    };
    sandbox.write(QWEN_FILE, stored("portal.qwen.ai").to_string());
    let run = token(&sandbox).args(["--format", "json", "-v"]).run().exits(0);
    let answer: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(
        (&answer["base_url"], &answer["access_token"]),
        (&json!("https://portal.qwen.ai/v1"), &json!("at-q"))
    );
    assert!(
        run.stderr.contains("from the credential's 'resource_url'"),
        "{run:#?}"
    );
    for hostile in [
        "evil.example",
        "https://user:pw@portal.qwen.ai",
        "http://portal.qwen.ai",
        "169.254.169.254",
    ] {
        sandbox.write(QWEN_FILE, stored(hostile).to_string());
        let run = token(&sandbox).args(["--", "env"]).run();
        assert!(!run.fails(78, &["'resource_url'"]).stderr.contains("at-q"));
    }
}
