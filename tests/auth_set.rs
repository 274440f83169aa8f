//! qwen-auth set: every member by a command, nothing lost of the file, and no secret that follows to another endpoint.
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use qwen_shared::net::config::{Kind, MEMBERS};
use serde_json::{Value, json};

use crate::support::{Run, Sandbox, Server, Terminal, Tool, chat};

/// As a person writes it: an order of its own, tabs, members that nobody reads, an array on one line.
const BY_HAND: &str = "{\n\t\"theme\" : \"dark\",\n\t\"mine\": {\"kept\": [1,2,  3]},\n\n\t\"profiles\": {\n\t\t\"work\": {\n\t\t\t\"model\": \"m1\", \"base_url\": \"https://llm.example/v1\",\n\t\t\t\"note\": \"ours\"\n\t\t},\n\t\t\"zoo\": {}\n\t},\n\t\"default_profile\": \"work\"\n}\n";

fn set(sandbox: &Sandbox, words: &[&str]) -> Tool {
    sandbox.detached("qwen-auth").arg("set").args(words)
}

fn config(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.read(sandbox.config_file())).unwrap()
}

/// A profile with a stored key, a header and a limit, all of one endpoint.
fn keyed() -> Sandbox {
    let sandbox = Sandbox::new();
    let work = json!({
        "method": "api-key", "base_url": "https://llm.example/v1", "model": "m1", "key": {"store": "file"},
        "headers": {"X-Team": "canary-team"}, "timeouts": {"idle": 5},
    });
    sandbox.config(&json!({"profiles": {"work": work}}).to_string());
    sandbox.write(
        "home/.config/qwen/credentials/work.json",
        r#"{"method": "api-key", "api_key": "sk-canary-0123456789"}"#,
    );
    sandbox
}

#[test]
fn nothing_else_of_a_file_that_people_edit_by_hand_changes() {
    let sandbox = Sandbox::new();
    sandbox.config(BY_HAND);
    set(&sandbox, &["model=m2", "rate.per_minute=30"]).run().gives(
        0,
        "",
        "qwen-auth: profile 'work': 'model' and 'rate.per_minute' set\n",
    );
    let expected = BY_HAND.replace("\"m1\"", "\"m2\"").replace(
        "\"note\": \"ours\"\n",
        "\"note\": \"ours\",\n\t\t\t\"rate\": {\n\t\t\t\t\"per_minute\": 30\n\t\t\t}\n",
    );
    assert_eq!(sandbox.read(sandbox.config_file()), expected);
    set(&sandbox, &["rate.per_minute=", "model=m1"]).run().exits(0);
    assert_eq!(sandbox.read(sandbox.config_file()), BY_HAND);
    set(&sandbox, &["zoo", "model=x"]).run().exits(0);
    set(&sandbox, &["theme="]).run().exits(0);
    let left = sandbox.read(sandbox.config_file());
    assert!(
        left.starts_with("{\n\t\"mine\": {\"kept\": [1,2,  3]},\n\n\t\"profiles\""),
        "{left}"
    );
    assert!(
        left.contains("\"zoo\": {\n\t\t\t\"model\": \"x\"\n\t\t}\n"),
        "{left}"
    );
}

/// A value of each kind, as it is typed and as it is stored.
fn example(path: &str, kind: Kind) -> (String, Value) {
    let both = |text: &str, value: Value| (text.to_owned(), value);
    match kind {
        Kind::Text | Kind::Profile if path == "default_profile" => both("work", json!("work")),
        Kind::Text if path.ends_with("issuer") => both("https://id.example/", json!("https://id.example/")),
        Kind::Text | Kind::Profile => both("some text", json!("some text")),
        Kind::Url => both("https://id.example/x", json!("https://id.example/x")),
        Kind::Word(words) => both(words[0], json!(words[0])),
        Kind::Provider => both("OpenRouter", json!("openrouter")),
        Kind::Variable => both("TEAM_KEY", json!("TEAM_KEY")),
        Kind::Bool => both("true", json!(true)),
        Kind::Count => both("30", json!(30)),
        Kind::Seconds => both("1.5", json!(1.5)),
        Kind::List => both("a.example, b.example", json!(["a.example", "b.example"])),
        Kind::Command => both("sh -c 'echo \"a b\"'", json!(["sh", "-c", "echo \"a b\""])),
        Kind::Texts => both(r#"{"A": "b"}"#, json!({"A": "b"})),
        Kind::Values => both(r#"{"n": 1}"#, json!({"n": 1})),
        Kind::Object => panic!("{path}"),
    }
}

#[test]
fn every_member_is_set_and_removed_by_its_name() {
    let mut tried = BTreeSet::new();
    for member in MEMBERS.iter().filter(|member| member.kind != Kind::Object) {
        let sandbox = Sandbox::new();
        let of_command = if member.path.ends_with(".ttl") {
            r#""key": {"command": ["sh"]}"#
        } else {
            ""
        };
        sandbox.config(&format!("{{\"profiles\": {{\"work\": {{{of_command}}}}}}}"));
        let key = member.path.trim_start_matches("profiles.*.");
        let (typed, value) = example(key, member.kind);
        let run = set(&sandbox, &[&format!("{key}={typed}")]).run();
        assert_eq!(run.code(), 0, "{key}: {run:#?}");
        let pointer = format!("/{}", member.path.replace('*', "work").replace('.', "/"));
        assert_eq!(config(&sandbox).pointer(&pointer), Some(&value), "{key}");
        set(&sandbox, &[&format!("{key}=")]).run().exits(0);
        assert_eq!(config(&sandbox).pointer(&pointer), None, "{key}");
        assert!(config(&sandbox)["profiles"]["work"].is_object(), "{key}");
        tried.insert(key);
    }
    assert!(tried.len() >= 30, "{tried:?}");
}

#[test]
fn names_of_ones_own_may_hold_dots_and_values_keep_their_kind() {
    let sandbox = Sandbox::new();
    sandbox.config(r#"{"profiles": {"gpt-4.1": {}, "gpt-4": {}}, "default_profile": "gpt-4"}"#);
    for (words, pointer, value) in [
        (
            &["base_url= https://x.example/v1?a=b=c "][..],
            "/profiles/gpt-4/base_url",
            json!(" https://x.example/v1?a=b=c "),
        ),
        (
            &["profiles.gpt-4.1.model=m"][..],
            "/profiles/gpt-4.1/model",
            json!("m"),
        ),
        (
            &["gpt-4.1", "headers.X.Team=blue=green"],
            "/profiles/gpt-4.1/headers/X.Team",
            json!("blue=green"),
        ),
        (
            &["query.api-version=2024-10-21"],
            "/profiles/gpt-4/query/api-version",
            json!("2024-10-21"),
        ),
        (&["query.n=1"], "/profiles/gpt-4/query/n", json!("1")),
        (&["model=1"], "/profiles/gpt-4/model", json!("1")),
        (&["model=true"], "/profiles/gpt-4/model", json!("true")),
        (
            &["body.temperature=0"],
            "/profiles/gpt-4/body/temperature",
            json!(0),
        ),
        (&["body.user=\"7\""], "/profiles/gpt-4/body/user", json!("7")),
        (
            &["body.stop=[\"a\", \"b\"]"],
            "/profiles/gpt-4/body/stop",
            json!(["a", "b"]),
        ),
        (
            &["body.kwargs.thinking=false"],
            "/profiles/gpt-4/body/kwargs/thinking",
            json!(false),
        ),
        (
            &["body.kwargs.depth=x y"],
            "/profiles/gpt-4/body/kwargs",
            json!({"thinking": false, "depth": "x y"}),
        ),
        (
            &["rate={\"per_day\": 5}"],
            "/profiles/gpt-4/rate",
            json!({"per_day": 5}),
        ),
        (
            &["key.command=[\"op\", \"read\", \"a b\"]"],
            "/profiles/gpt-4/key",
            json!({"command": ["op", "read", "a b"]}),
        ),
        (&["key.env=K"], "/profiles/gpt-4/key", json!({"env": "K"})),
    ] {
        // A program of that name is on nobody's PATH: that is the check's affair when it is run.
        sandbox.program("bin/op", "#!/bin/sh\n");
        let path = format!("{}:/usr/bin:/bin", sandbox.root().join("bin").display());
        let run = set(&sandbox, words).env("PATH", path).run();
        assert_eq!(run.code(), 0, "{words:?} {run:#?}");
        assert_eq!(config(&sandbox).pointer(pointer), Some(&value), "{words:?}");
    }
}

#[test]
fn what_is_not_known_or_not_right_is_refused_with_what_was_meant_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    sandbox.config(BY_HAND);
    for (words, said) in [
        (
            &["modle=x"][..],
            &["modle: 'modle' is not known", "hint: did you mean 'model'?"][..],
        ),
        (
            &["baseUrl=x"],
            &["'baseUrl' is not known", "did you mean 'base_url'?"],
        ),
        (
            &["rate.perMinute=1"],
            &["'perMinute' is not known", "did you mean 'rate.per_minute'?"],
        ),
        (&["per_minute=1"], &["did you mean 'rate.per_minute'?"]),
        (&["temperature=1"], &["did you mean 'body.temperature'?"]),
        (&["url=x"], &["did you mean 'base_url'?"]),
        (
            &["oauth.audience=x"],
            &["did you mean 'oauth.parameters.audience'?"],
        ),
        (
            &["colour=x"],
            &["'colour' is not known", "a profile has provider, method"],
        ),
        (&["timeouts.colour=x"], &["'timeouts' has connect"]),
        (&["model.name=x"], &["'model' has no members"]),
        (&["headers.=x"], &["a name is missing between its dots"]),
        (&["profiles=x"], &["name a member of one"]),
        (&["profiles.work=x"], &["this is a whole profile"]),
        (
            &["profiles.wrok.model=x"],
            &["no profile is called 'wrok'", "did you mean 'work'?"],
        ),
        (
            &["rate.per_minute=many"],
            &["rate.per_minute: 'profiles.work.rate.per_minute' is not a number"],
        ),
        (
            &["rate.per_minute=0"],
            &["a rate is more than 0", "leave it out for no limit"],
        ),
        (
            &["rate=30"],
            &["rate: this is not an object in JSON", "'rate.per_minute=VALUE'"],
        ),
        (
            &["header.X-Team=blue"],
            &["'header' is not known", "did you mean 'headers.X-Team'?"],
        ),
        (
            &["quota=30"],
            &["'quota' is not known", "did you mean 'rate.per_minute'?"],
        ),
        (
            &["headers=X: y"],
            &["headers: this is not an object in JSON", "headers.NAME=VALUE"],
        ),
        (
            &["allow_http=yes"],
            &[
                "is not true or false",
                "hint: write true or false, without quotes",
            ],
        ),
        (&["timeouts.idle=5s"], &["is not a number", "such as 120"]),
        (&["method=api_key"], &["did you mean 'api-key'?"]),
        (
            &["theme=drak"],
            &["theme: 'theme' is none of", "did you mean 'dark'?"],
        ),
        (
            &["provider=opnrouter"],
            &["is no provider's name", "did you mean 'openrouter'?"],
        ),
        (
            &["default_profile=wrok"],
            &["names no profile", "did you mean 'work'?"],
        ),
        (&["base_url=llm.example/v1"], &["this is not a URL"]),
        (
            &["base_url=http://llm.example.com/v1"],
            &["would show the secret to the network", "allow_http to true"],
        ),
        (&["oauth.token_endpoint=x"], &["this is not a URL"]),
        (&["key.ttl=5"], &["is for a \"command\" alone"]),
        (&["env.allow=a b$"], &["made of letters, digits"]),
        (&["model=x", "modle=y"], &["'modle' is not known"]),
        (&["model"], &["there is no KEY=VALUE"]),
        (&["work"], &["there is no KEY=VALUE"]),
        (&["=x"], &["a member is set by KEY=VALUE"]),
        (&["", "model=x"], &["'' cannot be a profile's name"]),
        (&["work", "zoo", "model=x"], &["a member is set by KEY=VALUE"]),
        (
            &["work", "theme=dark"],
            &["theme: this is no member of a profile"],
        ),
        (
            &["profiles.work.model=a", "profiles.zoo.model=b"],
            &["members of several profiles"],
        ),
        (&["--profile", "zoo", "work", "model=x"], &["are two profiles"]),
        (&["key.command=pass 'x"], &["a quote is not closed"]),
    ] {
        let run = set(&sandbox, words).run();
        run.fails(64, said);
        assert_eq!(sandbox.read(sandbox.config_file()), BY_HAND, "{words:?}");
    }
}

#[test]
fn a_key_is_not_kept_in_the_file_and_not_shown() {
    let sandbox = Sandbox::new();
    sandbox.config(BY_HAND);
    for word in [
        "key=sk-canary-0123456789",
        "api_key=sk-canary-0123456789",
        "apiKey=sk-canary-0123456789",
        "token=sk-canary-0123456789",
        "key.env=sk-canary-0123456789",
        "key.store=sk-canary-0123456789",
        "oauth.client_secret=sk-canary-0123456789",
        "rate.per_day=sk-canary-0123456789",
        "base_url=sk-canary-0123456789",
        "theme=sk-canary-0123456789",
        "provider=sk-canary-0123456789",
    ] {
        let run = set(&sandbox, &[word]).run().exits(64);
        assert!(!run.stderr.contains("canary"), "{run:#?}");
        assert_eq!(sandbox.read(sandbox.config_file()), BY_HAND);
    }
    let run = set(&sandbox, &["api_key=sk-canary"]).run();
    run.fails(
        64,
        &[
            "no key is kept in config.json",
            "run 'qwen-login --profile work --with-key'",
            "'key.env'",
        ],
    );
}

#[test]
fn a_header_that_is_a_secret_is_read_from_a_file_or_a_pipe() {
    let sandbox = Sandbox::new();
    sandbox.config(r#"{"profiles": {"work": {"base_url": "https://llm.example/v1"}}}"#);
    let header = |sandbox: &Sandbox| config(sandbox)["profiles"]["work"]["headers"]["Authorization"].clone();
    set(&sandbox, &["headers.Authorization=@-"])
        .stdin("Basic canary==\n")
        .run()
        .gives(0, "", "qwen-auth: profile 'work': 'headers.Authorization' set\n");
    assert_eq!(header(&sandbox), "Basic canary==");
    sandbox.write("work/header", "Basic other\r\n");
    set(&sandbox, &["headers.Authorization=@header"]).run().exits(0);
    assert_eq!(header(&sandbox), "Basic other");
    let run = set(&sandbox, &["headers.Authorization=Basic canary"])
        .run()
        .exits(0);
    assert!(
        run.stderr
            .contains("other users can see a value in the list of processes"),
        "{run:#?}"
    );
    assert!(!run.stderr.contains("canary"));
    set(&sandbox, &["headers.Authorization=@nowhere"])
        .run()
        .fails(66, &["cannot read 'nowhere'"]);
    set(&sandbox, &["headers.Authorization=@-"])
        .stdin("\n")
        .run()
        .fails(65, &["is empty"]);
    set(&sandbox, &["headers.X-Two=@-"])
        .stdin("a\nb\n")
        .run()
        .fails(64, &["no header can have"]);
    assert_eq!(header(&sandbox), "Basic canary");
}

#[test]
fn a_profile_is_made_only_where_that_is_said() {
    let sandbox = Sandbox::new();
    let run = set(&sandbox, &["model=x"]).run();
    run.fails(
        77,
        &[
            "no profile is configured",
            "run 'qwen-login'",
            "qwen-auth set --new NAME",
        ],
    );
    set(&sandbox, &["--new", "model=x"])
        .run()
        .fails(64, &["--new needs the profile's name"]);
    set(&sandbox, &["lab", "model=x"])
        .run()
        .fails(77, &["no profile is called 'lab'"]);
    assert!(!sandbox.config_file().exists());
    set(
        &sandbox,
        &["--new", "lab", "base_url=http://127.0.0.1:8080/v1", "model=x"],
    )
    .run()
    .gives(
        0,
        "",
        "qwen-auth: new profile 'lab': 'base_url' and 'model' set\n",
    );
    let text = "{\n  \"profiles\": {\n    \"lab\": {\n      \"base_url\": \"http://127.0.0.1:8080/v1\",\n      \"model\": \"x\"\n    }\n  }\n}\n";
    assert_eq!(sandbox.read(sandbox.config_file()), text);
    assert_eq!(sandbox.mode(sandbox.config_file()), 0o600);
    set(&sandbox, &["--new", "lab", "model=y"])
        .run()
        .fails(64, &["a profile is called 'lab' already"]);
    let run = set(&sandbox, &["lob", "model=y"]).run();
    run.fails(
        77,
        &[
            "no profile is called 'lob'",
            "did you mean 'lab'?",
            "qwen-auth set --new lob KEY=VALUE",
        ],
    );
    set(&sandbox, &["--new", "a/b", "model=y"])
        .run()
        .fails(64, &["cannot be a profile's name"]);
    // Removing what is not there makes nothing.
    set(&sandbox, &["lob", "model="])
        .run()
        .fails(77, &["no profile is called 'lob'"]);
    assert_eq!(sandbox.read(sandbox.config_file()), text);
    let run = set(
        &sandbox,
        &["--new", "sso", "method=oauth", "oauth.issuer=https://id.example"],
    )
    .run()
    .exits(0);
    assert!(
        run.stderr
            .contains("has no client_id\nqwen-auth: hint: ask the server's owner")
            && run.stderr.contains("and set oauth.client_id\n"),
        "{run:#?}"
    );
}

#[test]
fn a_secret_does_not_follow_to_another_endpoint_without_a_word() {
    let sandbox = keyed();
    let before = sandbox.read(sandbox.config_file());
    for words in [
        &["base_url=https://other.example/v1"][..],
        &["base_url=https://llm.example/v2"],
        &["base_url=https://llm.example:8443/v1"],
        &["base_url="],
        &["profiles.work.base_url=https://other.example/v1"],
        &["provider=openrouter", "base_url="],
    ] {
        let run = set(&sandbox, words).run();
        let run = run.fails(
            78,
            &[
                "profile 'work': 'key.store' and 'headers.X-Team' would go to '",
                "instead of 'https://llm.example/v1'; nothing is changed\n",
                "hint: run 'qwen-auth set work ",
                " key= headers=' to leave it behind",
            ],
        );
        assert!(!run.stderr.contains("canary"), "{run:#?}");
        assert_eq!(sandbox.read(sandbox.config_file()), before, "{words:?}");
    }
    // Below the endpoint, the same one, or said with it.
    for words in [
        &["base_url=https://llm.example/v1/chat/completions"][..],
        &["base_url=https://LLM.example:443/v1/team"],
        &["model=other"],
        &[
            "base_url=https://other.example/v1",
            "key.env=OTHER_KEY",
            "headers.X-Team=red",
        ],
    ] {
        let sandbox = keyed();
        set(&sandbox, words).run().exits(0);
        assert_ne!(sandbox.read(sandbox.config_file()), before, "{words:?}");
    }
}

#[test]
fn the_hint_of_a_refusal_works_as_it_is_typed() {
    let sandbox = keyed();
    let run = set(&sandbox, &["base_url=https://other.example/v1?a=b c"])
        .run()
        .exits(78);
    let hint = run
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("qwen-auth: hint: run '"))
        .unwrap();
    let command = hint.split("' to leave").next().unwrap();
    let shell = sandbox
        .command("/bin/sh")
        .args(["-c", &format!("setsid --wait {command}")]);
    let run = shell.run().exits(0);
    assert!(
        run.stderr.contains("removed the old credential from '"),
        "{run:#?}"
    );
    let work = &config(&sandbox)["profiles"]["work"];
    assert_eq!(work["base_url"], "https://other.example/v1?a=b c");
    assert_eq!((work.get("key"), work.get("headers")), (None, None));
    assert_eq!(sandbox.files_with(&["canary"]), Vec::<std::path::PathBuf>::new());
}

#[test]
fn on_a_terminal_it_is_asked_whether_a_secret_may_follow() {
    for (answer, stored) in [("n\n", false), ("\n", false), ("y\n", true)] {
        let sandbox = keyed();
        let tool = sandbox
            .tool("qwen-auth")
            .args(["set", "base_url=https://other.example/v1"]);
        let mut terminal = Terminal::start(tool);
        terminal.answers(&[("Send what is secret there? [y/N] ", answer)]);
        assert_eq!(terminal.ends(), if stored { 0 } else { 78 });
        let url = &config(&sandbox)["profiles"]["work"]["base_url"];
        assert_eq!(url == "https://other.example/v1", stored, "{answer:?}");
    }
}

#[test]
fn a_login_does_not_follow_to_another_server_and_one_that_is_not_there_hinders_nothing() {
    let sandbox = Sandbox::new();
    let oauth = json!({"issuer": "https://id.example/", "client_id": "c"});
    let sso = json!({"method": "oauth", "base_url": "https://api.example/v1", "oauth": oauth});
    let other = json!({"method": "api-key", "base_url": "https://x.example/v1", "key": {"store": "file"}});
    sandbox.config(&json!({"default_profile": "sso", "profiles": {"sso": sso, "new": other}}).to_string());
    // Nobody has logged in, nor stored a key.
    set(&sandbox, &["oauth.issuer=https://login.example/"])
        .run()
        .exits(0);
    set(&sandbox, &["new", "base_url=https://y.example/v1"])
        .run()
        .exits(0);
    sandbox.write(
        "home/.config/qwen/credentials/sso.json",
        r#"{"method": "oauth", "access_token": "canary-at", "refresh_token": "canary-rt"}"#,
    );
    for word in [
        "oauth.issuer=https://evil.example/",
        "oauth.token_endpoint=https://evil.example/t",
        "base_url=https://evil.example/v1",
    ] {
        let run = set(&sandbox, &[word]).run();
        run.fails(
            78,
            &[
                "the login would go to 'https://evil.example/",
                "run 'qwen-auth logout sso' first",
            ],
        );
    }
    // Hosts that are named bound the token; where they are, the endpoint may move among them.
    set(&sandbox, &["oauth.allowed_hosts=api.example,b.example"])
        .run()
        .exits(0);
    set(&sandbox, &["base_url=https://b.example/v1"]).run().exits(0);
}

#[test]
fn a_key_moves_with_its_store_and_an_old_one_is_not_left_behind() {
    let sandbox = keyed();
    let run = set(&sandbox, &["key.env=MY_KEY"]).run().exits(0);
    let file = sandbox.home().join(".config/qwen/credentials/work.json");
    let removed = format!("removed the old credential from '{}'", file.display());
    assert!(run.stderr.contains(&removed), "{run:#?}");
    assert!(!file.exists());
    let Some(keyring) = crate::support::Keyring::start("unlocked") else {
        return;
    };
    let sandbox = keyed();
    let run = keyring
        .given_to(set(&sandbox, &["key.store=keyring"]))
        .run()
        .exits(0);
    assert!(run.stderr.contains("' to 'the system keyring'"), "{run:#?}");
    let token = || keyring.given_to(sandbox.tool("qwen-token")).run();
    token().gives(0, "sk-canary-0123456789\n", "");
    assert!(keyring.lookup("work").unwrap().contains("sk-canary-0123456789"));
    assert_eq!(
        sandbox.files_with(&["sk-canary"]),
        Vec::<std::path::PathBuf>::new()
    );
    keyring
        .given_to(set(&sandbox, &["key.store=file"]))
        .run()
        .exits(0);
    token().gives(0, "sk-canary-0123456789\n", "");
    assert_eq!(keyring.lookup("work"), None);
}

#[test]
fn many_at_once_lose_nothing() {
    let sandbox = Sandbox::new();
    sandbox.config(BY_HAND);
    let children: Vec<_> = (0..16)
        .map(|number| set(&sandbox, &[&format!("headers.X-{number}=v{number}")]).start())
        .collect();
    for child in children {
        Run::wait(child, "qwen-auth set").exits(0);
    }
    let config = config(&sandbox);
    for number in 0..16 {
        assert_eq!(
            config["profiles"]["work"]["headers"][format!("X-{number}")],
            format!("v{number}")
        );
    }
    assert_eq!(config["mine"], json!({"kept": [1, 2, 3]}));
}

#[test]
fn a_link_stays_a_link_and_what_is_not_ones_own_is_not_written() {
    let sandbox = Sandbox::new();
    let target = sandbox.write("dotfiles/config.json", BY_HAND);
    fs::create_dir_all(sandbox.config_file().parent().unwrap()).unwrap();
    symlink(&target, sandbox.config_file()).unwrap();
    set(&sandbox, &["model=m2"]).run().exits(0);
    assert!(sandbox.config_file().is_symlink());
    assert!(sandbox.read(&target).contains("\"m2\""));
    // A repository of dotfiles is no place for a lock file.
    assert_eq!(sandbox.files("dotfiles"), ["config.json"]);
    let children: Vec<_> = (0..16)
        .map(|number| set(&sandbox, &["work", &format!("headers.X-{number}=v{number}")]).start())
        .collect();
    for child in children {
        Run::wait(child, "qwen-auth set").exits(0);
    }
    let headers = config(&sandbox)["profiles"]["work"]["headers"].clone();
    assert!((0..16).all(|number| headers[format!("X-{number}")] == format!("v{number}")));
    assert_eq!(sandbox.files("dotfiles"), ["config.json"]);
    fs::set_permissions(&target, fs::Permissions::from_mode(0o666)).unwrap();
    set(&sandbox, &["model=m3"])
        .run()
        .fails(78, &["is not used", "is writable by all", "chmod go-w"]);
}

#[test]
fn an_empty_file_is_an_empty_configuration_and_a_broken_one_is_left_alone() {
    let sandbox = Sandbox::new();
    for empty in ["", "\n", "{}", "\u{feff}{ }"] {
        sandbox.config(empty);
        set(&sandbox, &["theme=dark"])
            .run()
            .gives(0, "", "qwen-auth: 'theme' set\n");
        assert_eq!(config(&sandbox), json!({"theme": "dark"}), "{empty:?}");
    }
    for (broken, said) in [
        ("{\n  // mine\n}", "config.json:2:3: JSON has no comments"),
        ("{\"theme\": 5}", "config.json:1:11: 'theme' is none of"),
        ("{\"a\": 1, \"a\": 2}", "config.json:1:10: 'a' is there twice"),
    ] {
        sandbox.config(broken);
        set(&sandbox, &["theme=dark"]).run().fails(78, &[said]);
        assert_eq!(sandbox.read(sandbox.config_file()), broken);
    }
}

#[test]
fn what_goes_before_a_new_value_is_said() {
    let sandbox = Sandbox::new();
    sandbox.config(r#"{"profiles": {"work": {"base_url": "http://127.0.0.1:9/v1"}}}"#);
    let run = set(&sandbox, &["model=m2"])
        .env("OPENAI_MODEL", "m9")
        .run()
        .exits(0);
    assert!(
        run.stderr
            .contains("here environment OPENAI_MODEL goes before its model"),
        "{run:#?}"
    );
    set(&sandbox, &["model=m2"])
        .run()
        .gives(0, "", "qwen-auth: profile 'work': nothing has changed\n");
    set(&sandbox, &["-q", "model=m3"]).run().gives(0, "", "");
}

/// What a shell is told when Tab is pressed behind these words.
fn completed(sandbox: &Sandbox, shell: &str, words: &[&str]) -> String {
    let tool = sandbox
        .tool("qwen-auth")
        .arg("--")
        .args(words)
        .env("QWEN_COMPLETE", shell);
    tool.run().exits(0).text()
}

#[test]
fn tab_completes_profiles_members_and_values() {
    let sandbox = Sandbox::new();
    sandbox.config(r#"{"profiles": {"work": {}, "weekend": {}}}"#);
    let fish = |typed: &str| completed(&sandbox, "fish", &["qwen-auth", "set", typed]);
    assert_eq!(fish("we"), "words\nweekend\ta profile\n");
    assert_eq!(
        fish("rate."),
        "words\nrate.per_minute=\trequests a minute\nrate.per_day=\trequests a day\n"
    );
    assert_eq!(fish("head"), "words\nheaders.\theaders of every request\n");
    assert_eq!(fish("method=o"), "words\nmethod=oauth\t\n");
    assert_eq!(
        fish("default_profile="),
        "words\ndefault_profile=weekend\t\ndefault_profile=work\t\n"
    );
    assert_eq!(fish("allow_http=t"), "words\nallow_http=true\t\n");
    assert!(fish("provider=open").contains("provider=openrouter\t"));
    assert_eq!(fish("model="), "words\n");
    let bash = completed(&sandbox, "bash", &["qwen-auth set work theme=d", "d"]);
    assert_eq!(bash, "words\ndark\n");
    let all = fish("");
    for member in MEMBERS
        .iter()
        .filter(|member| member.kind != Kind::Object && !member.path.starts_with('$'))
    {
        let key = member.path.trim_start_matches("profiles.*.");
        assert!(all.contains(&format!("\n{key}")), "{key}: {all}");
    }
    for (job, said) in [
        ("show", "weekend\t"),
        ("rename", "weekend\t"),
        ("remove", "work\t"),
    ] {
        let said_of_job = completed(&sandbox, "fish", &["qwen-auth", job, "w"]);
        assert!(said_of_job.contains(said), "{job}: {said_of_job}");
    }
}

const LEFT: &str = r#"{"method": "api-key", "api_key": "sk-canary-0123456789"}"#;
const LOGIN_LEFT: &str = r#"{"method": "oauth", "access_token": "canary-access", "token_type": "Bearer", "refresh_token": "canary-refresh", "expires_at": 4102444800}"#;

#[test]
fn what_is_stored_is_not_adopted_by_a_profile_that_did_not_use_it() {
    const EVIL: &str = "base_url=https://evil.example/v1";
    let api_key =
        json!({"method": "api-key", "base_url": "https://llm.example/v1", "key": {"store": "file"}});
    let oauth = json!({"method": "oauth", "base_url": "https://llm.example/v1", "oauth": {
        "token_endpoint": "https://id.example/token", "device_authorization_endpoint": "https://id.example/device",
        "client_id": "me"}});
    type Case<'a> = (&'a str, Option<&'a Value>, &'a [&'a [&'a str]]);
    let cases: [Case<'_>; 7] = [
        (LEFT, None, &[&["--new", "work", EVIL, "key.store=file"]]),
        (
            LEFT,
            None,
            &[&["--new", "work", EVIL], &["work", "key.store=file"]],
        ),
        (
            LEFT,
            None,
            &[&["--new", "work", EVIL, "method=api-key", "key.store=file"]],
        ),
        (
            LEFT,
            Some(&api_key),
            &[
                &["work", "method=oauth", "provider=qwen"],
                &["work", EVIL],
                &["work", "method=api-key", "provider="],
            ],
        ),
        (
            LOGIN_LEFT,
            Some(&oauth),
            &[
                &[
                    "work",
                    "method=api-key",
                    "oauth.token_endpoint=https://evil.example/t",
                ],
                &["work", "method=oauth"],
            ],
        ),
        (
            LOGIN_LEFT,
            None,
            &[&[
                "--new",
                "work",
                EVIL,
                "method=oauth",
                "oauth.token_endpoint=https://evil.example/t",
            ]],
        ),
        (
            LOGIN_LEFT,
            Some(&oauth),
            &[&["work", "oauth.revocation_endpoint=https://evil.example/revoke"]],
        ),
    ];
    for (stored, profile, calls) in cases {
        let sandbox = Sandbox::new();
        if let Some(profile) = profile {
            sandbox.config(&json!({"profiles": {"work": profile}}).to_string());
        }
        sandbox.write("home/.config/qwen/credentials/work.json", stored);
        let (last, before) = calls.split_last().unwrap();
        for call in before {
            set(&sandbox, call).run().exits(0);
        }
        let run = set(&sandbox, last).run();
        run.fails(
            78,
            &[
                "profile 'work': ",
                "would go to 'https://evil.example",
                "nothing is changed",
            ],
        );
        assert_eq!(
            sandbox.read("home/.config/qwen/credentials/work.json"),
            stored,
            "{calls:?}"
        );
    }
}

#[test]
fn what_is_secret_does_not_follow_in_another_spelling() {
    let sandbox = keyed();
    let mut work = config(&sandbox);
    work["profiles"]["work"] = json!({"method": "oauth", "base_url": "https://llm.example/v1", "oauth": {
        "issuer": "https://id.example", "client_id": "me", "parameters": {"tenant": "canary-secret"}}});
    sandbox.config(&work.to_string());
    set(&sandbox, &["work", "oauth.issuer=https://evil.example"])
        .run()
        .fails(
            78,
            &["'oauth.parameters.tenant' would go to 'https://evil.example"],
        );
}

#[test]
fn a_link_to_a_file_that_is_not_there_yet_stays_one() {
    let sandbox = Sandbox::new();
    let path = sandbox.config_file();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::create_dir_all(sandbox.root().join("home/dotfiles")).unwrap();
    symlink("../../dotfiles/qwen.json", &path).unwrap();
    set(&sandbox, &["--new", "work", "model=m1"]).run().exits(0);
    assert!(path.is_symlink());
    assert!(sandbox.read("home/dotfiles/qwen.json").contains("m1"));
}

#[test]
fn an_old_credential_that_cannot_be_removed_is_a_failure() {
    let sandbox = keyed();
    let directory = sandbox.root().join("home/.config/qwen/credentials");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o500)).unwrap();
    let run = set(&sandbox, &["work", "key.env=FOO"]).run();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    if run.code() == 0 {
        // Root may write everywhere.
        assert!(run.stderr.contains("removed the old credential"), "{run:#?}");
    } else {
        assert_ne!(run.stderr, "");
        assert!(
            sandbox
                .read("home/.config/qwen/credentials/work.json")
                .contains("canary")
        );
    }
}

#[test]
fn a_header_that_frames_the_message_is_neither_set_nor_sent() {
    let names = [
        "Content-Length",
        "HOST",
        "content-type",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Proxy-Connection",
        "Expect",
        "Accept-Encoding",
    ];
    let sandbox = keyed();
    for name in names {
        let word = format!("headers.{name}=5");
        set(&sandbox, &["work", &word])
            .run()
            .fails(64, &["is set by the tools"]);
    }
    set(&sandbox, &["work", "headers.X A=1"])
        .run()
        .fails(64, &["cannot be the name of a header"]);
    let mut file = config(&sandbox);
    for name in names {
        file["profiles"]["work"]["headers"][name] = json!("5");
    }
    let server = Server::script([chat::answer(&["yes"])]);
    file["profiles"]["work"]["base_url"] = json!(server.url("/v1"));
    sandbox.config(&file.to_string());
    let run = sandbox.tool("qwen-chat").arg("Is it?").run().exits(0);
    assert!(run.stderr.contains("what 'headers' has is not sent"), "{run:#?}");
    let requests = server.requests();
    assert_eq!(requests[0].header("X-Team"), Some("canary-team"));
    assert_eq!(requests[0].json()["messages"][0]["role"], "user");
    assert!(
        requests[0].headers.iter().all(|(_, value)| value != "5"),
        "{:?}",
        requests[0]
    );
}

#[test]
fn a_header_is_the_same_in_any_case() {
    let sandbox = keyed();
    set(&sandbox, &["work", "headers.x-team=other"]).run().exits(0);
    assert_eq!(
        config(&sandbox)["profiles"]["work"]["headers"],
        json!({"x-team": "other"})
    );
    set(&sandbox, &["work", "headers.X-TEAM="]).run().exits(0);
    assert_eq!(config(&sandbox)["profiles"]["work"].get("headers"), None);
    let mut file = config(&sandbox);
    file["profiles"]["work"]["headers"] = json!({"X-A": "1", "x-a": "2"});
    sandbox.config(&file.to_string());
    let check = sandbox.detached("qwen-auth").arg("check").run();
    assert!(check.text().contains("is there twice"), "{check:#?}");
    set(&sandbox, &["work", "headers.X-a="]).run().exits(0);
    sandbox.detached("qwen-auth").arg("check").run().exits(0);
}

#[test]
fn a_key_for_plain_http_is_refused_in_whatever_order_it_comes() {
    let sandbox = Sandbox::new();
    sandbox.config(r#"{"profiles": {"lan": {"base_url": "http://192.168.1.5:8000/v1", "model": "m"}}}"#);
    set(&sandbox, &["lan", "key.env=K"]).run().fails(
        64,
        &["key.env: 'profiles.lan.base_url' would show the secret to the network"],
    );
    set(&sandbox, &["lan", "allow_http=true", "key.env=K"])
        .run()
        .exits(0);
    set(&sandbox, &["lan", "allow_http="])
        .run()
        .fails(64, &["would show the secret"]);
}

#[test]
fn a_text_that_no_variable_can_hold_is_no_name() {
    let sandbox = Sandbox::new();
    for member in ["model", "provider"] {
        sandbox.config(&format!(
            r#"{{"profiles": {{"work": {{"{member}": "a\u0000b"}}}}}}"#
        ));
        let check = sandbox.detached("qwen-auth").arg("check").run();
        assert_eq!(check.code(), 65, "{check:#?}");
        assert!(check.text().contains("NUL"), "{check:#?}");
        set(&sandbox, &["theme=dark"]).run().fails(78, &["NUL"]);
    }
}

#[test]
fn what_is_never_sent_is_refused_with_the_words_of_check() {
    let sandbox = keyed();
    for (word, said) in [
        ("headers.Authorization=x", "is replaced by the key"),
        ("headers.authorization=x", "is replaced by the key"),
        ("body.model=x", "is set by the tools"),
    ] {
        let before = config(&sandbox);
        set(&sandbox, &[word])
            .run()
            .fails(64, &[word.split('=').next().unwrap(), said]);
        assert_eq!(config(&sandbox), before);
    }
}

#[test]
fn the_question_whether_a_secret_may_go_elsewhere_is_a_line_of_its_own_at_any_width() {
    for columns in [30, 40, 80, 120] {
        let sandbox = keyed();
        let tool = sandbox
            .tool("qwen-auth")
            .args(["set", "work", "base_url=https://other.example/v1"]);
        let mut terminal = Terminal::of_width(columns, tool);
        terminal.shows("[y/N]");
        let shown = terminal.shown();
        let last = shown.rsplit("\r\n").next().unwrap_or_default();
        let question = "Send what is secret there? [y/N] ";
        match columns {
            30 => assert!(last.trim_start() == "[y/N] ", "{shown:?}"),
            _ => assert_eq!(last, question, "{shown:?}"),
        }
        terminal.types("n\n");
        assert_eq!(terminal.ends(), 78);
    }
}
