//! qwen-auth show, rename and remove: the profile with all that is stored for it.
use serde_json::{Value, json};

use crate::support::{Keyring, Sandbox, Tool};

fn auth(sandbox: &Sandbox, words: &[&str]) -> Tool {
    sandbox.detached("qwen-auth").args(words)
}

const KEY: &str = r#"{"method": "api-key", "api_key": "sk-canary-0123456789"}"#;

const PROFILES: &str = r#"{
    "default_profile": "work",
    "profiles": {
        "first": {"provider": "openai", "key": {"env": "MY_KEY"}},
        "work": {"base_url": "https://llm.example/v1", "key": {"store": "file"}},
        "last": {"method": "oauth", "provider": "qwen"}
    }
}
"#;

fn configured() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(PROFILES);
    sandbox.write("home/.config/qwen/credentials/work.json", KEY);
    sandbox
}

#[test]
fn a_profile_is_shown_as_it_is_written_and_what_may_be_secret_is_masked() {
    let sandbox = Sandbox::new();
    let profile = json!({
        "note": "mine", "base_url": "https://llm.example/v1?key=canary-0123456789",
        "key": {"command": ["op", "read", "op://canary/0123456789"]},
        "headers": {"X-Team": "canary-0123456789", "Authorization": "Basic x"},
        "query": {"tenant": "canary-0123456789"},
        "body": {"temperature": 0, "metadata": {"user": ["canary-0123456789"]}},
        "oauth": {"client_id": "c", "parameters": {"audience": "canary-0123456789"}, "token_endpoint": "https://id.example/t?k=canary-0123456789", "client_secret": "canary-0123456789"},
        "api_key": "sk-canary-0123456789", "timeouts": {"idle": 5},
    });
    sandbox.config(&json!({"profiles": {"work": profile}}).to_string());
    let run = auth(&sandbox, &["show"]).run().exits(0);
    assert!(
        !run.text().contains("canary") && !run.stderr.contains("canary"),
        "{run:#?}"
    );
    let shown: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(shown["key"]["command"][0], "op");
    assert_eq!(
        shown["headers"],
        json!({"X-Team": "can***89", "Authorization": "***"})
    );
    assert_eq!(
        (&shown["body"]["temperature"], &shown["timeouts"]["idle"]),
        (&json!(0), &json!(5))
    );
    assert_eq!(
        (&shown["note"], &shown["oauth"]["client_id"]),
        (&json!("mine"), &json!("c"))
    );
    let names: Vec<&String> = shown.as_object().unwrap().keys().collect();
    assert_eq!(names[..3], ["note", "base_url", "key"], "the order is the file's");
    let run = auth(&sandbox, &["show", "work", "--show-secrets"]).run().exits(0);
    assert_eq!(serde_json::from_slice::<Value>(&run.stdout).unwrap(), profile);
    auth(&sandbox, &["show", "wrok"])
        .run()
        .fails(77, &["no profile is called 'wrok'", "did you mean 'work'?"]);
    sandbox.config("{\"profiles\": {\"a\": {\"note\": \"\u{202e}\\u001b[31m\"}}}");
    let run = auth(&sandbox, &["show"]).run().exits(0);
    assert!(
        run.text().contains("\\u202e") && run.text().contains("\\u001b"),
        "{run:#?}"
    );
}

#[test]
fn a_profile_is_renamed_in_its_place_and_its_key_and_the_default_go_along() {
    let sandbox = configured();
    let new = sandbox.home().join(".config/qwen/credentials/office.json");
    auth(&sandbox, &["rename", "work", "office"]).run().gives(
        0,
        "",
        &format!(
            "qwen-auth: profile 'work' is 'office' now\nqwen-auth: its credential is in '{}'\n",
            new.display()
        ),
    );
    let expected = PROFILES.replace("\"work\"", "\"office\"");
    assert_eq!(sandbox.read(sandbox.config_file()), expected);
    assert_eq!(sandbox.mode(&new), 0o600);
    assert!(!sandbox.home().join(".config/qwen/credentials/work.json").exists());
    sandbox
        .tool("qwen-token")
        .run()
        .gives(0, "sk-canary-0123456789\n", "");
    auth(&sandbox, &["rename", "first", "other"]).run().gives(
        0,
        "",
        "qwen-auth: profile 'first' is 'other' now\n",
    );
    let run = auth(&sandbox, &["rename", "other", "third"])
        .env("QWEN_PROFILE", "other")
        .run()
        .exits(0);
    assert!(
        run.stderr
            .contains("environment QWEN_PROFILE still names 'other'"),
        "{run:#?}"
    );
}

#[test]
fn a_credential_that_a_link_leads_to_stays_where_it_is_kept() {
    let sandbox = configured();
    let directory = sandbox.home().join(".config/qwen/credentials");
    let kept = sandbox.write("home/dotfiles/key.json", KEY);
    std::fs::remove_file(directory.join("work.json")).unwrap();
    std::os::unix::fs::symlink("../../../dotfiles/key.json", directory.join("work.json")).unwrap();
    auth(&sandbox, &["rename", "work", "office"]).run().exits(0);
    let link = std::fs::read_link(directory.join("office.json")).unwrap();
    assert_eq!(link.to_str(), Some("../../../dotfiles/key.json"));
    assert!(directory.join("work.json").symlink_metadata().is_err());
    assert_eq!(sandbox.read(&kept), KEY);
    let token = sandbox.tool("qwen-token").args(["--profile", "office"]);
    token.run().gives(0, "sk-canary-0123456789\n", "");
    // What an earlier profile of the new name has left is replaced, as it always is.
    sandbox.write("home/.config/qwen/credentials/desk.json", "{}");
    auth(&sandbox, &["rename", "office", "desk"]).run().exits(0);
    assert!(directory.join("desk.json").is_symlink() && !directory.join("office.json").is_symlink());
    assert_eq!(sandbox.read(&kept), KEY);
}

#[test]
fn a_rename_that_cannot_be_is_refused_and_loses_nothing() {
    let sandbox = configured();
    for (words, code, said) in [
        (["wrok", "x"], 77, "did you mean 'work'?"),
        (["work", "last"], 64, "a profile is called 'last' already"),
        (["work", "../x"], 64, "cannot be a profile's name"),
        (["work", ""], 64, "cannot be a profile's name"),
    ] {
        auth(&sandbox, &["rename", words[0], words[1]])
            .run()
            .fails(code, &[said]);
        assert_eq!(sandbox.read(sandbox.config_file()), PROFILES);
        assert_eq!(sandbox.files_with(&["sk-canary"]).len(), 1);
    }
    auth(&sandbox, &["rename", "work", "work"]).run().gives(
        0,
        "",
        "qwen-auth: profile 'work' has that name\n",
    );
    // What an earlier profile of that name has left is replaced.
    sandbox.write(
        "home/.config/qwen/credentials/office.json",
        KEY.replace("canary", "orphan"),
    );
    auth(&sandbox, &["rename", "work", "office"]).run().exits(0);
    sandbox
        .tool("qwen-token")
        .run()
        .gives(0, "sk-canary-0123456789\n", "");
    assert_eq!(sandbox.files_with(&["orphan"]), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_profile_goes_with_its_key_and_the_default() {
    let sandbox = configured();
    let run = auth(&sandbox, &["remove", "work"]).run().exits(0);
    for said in [
        "profile 'work': removed from '",
        "profile 'work' is removed\n",
        "no profile is in use; there are first, last",
        "run 'qwen-auth use first'",
    ] {
        assert!(run.stderr.contains(said), "{said}: {run:#?}");
    }
    assert_eq!(
        sandbox.files_with(&["sk-canary"]),
        Vec::<std::path::PathBuf>::new()
    );
    let left = "{\n    \"profiles\": {\n        \"first\": {\"provider\": \"openai\", \"key\": {\"env\": \"MY_KEY\"}},\n        \"last\": {\"method\": \"oauth\", \"provider\": \"qwen\"}\n    }\n}\n";
    assert_eq!(sandbox.read(sandbox.config_file()), left);
    auth(&sandbox, &["remove", "fisrt"])
        .run()
        .fails(77, &["did you mean 'first'?"]);
    auth(&sandbox, &["remove", "first"])
        .run()
        .gives(0, "", "qwen-auth: profile 'first' is removed\n");
}

#[test]
fn a_login_that_is_shared_with_qwen_code_stays() {
    let sandbox = configured();
    let file = sandbox.write(
        "home/.qwen/oauth_creds.json",
        r#"{"access_token": "canary-at", "token_type": "Bearer"}"#,
    );
    let before = sandbox.read(&file);
    let run = auth(&sandbox, &["remove", "last"]).run().exits(0);
    let said = format!(
        "its login is shared with Qwen Code, and stays in '{}'",
        file.display()
    );
    assert!(run.stderr.contains(&said), "{run:#?}");
    assert_eq!(sandbox.read(&file), before);
    sandbox.config(PROFILES);
    auth(&sandbox, &["rename", "last", "qwen"]).run().gives(
        0,
        "",
        "qwen-auth: profile 'last' is 'qwen' now\n",
    );
    assert_eq!(sandbox.read(&file), before);
}

#[test]
fn what_is_in_the_keyring_moves_and_goes_too() {
    let Some(keyring) = Keyring::start("unlocked") else {
        return;
    };
    let sandbox = Sandbox::new();
    let work = json!({"base_url": "https://llm.example/v1", "key": {"store": "keyring"}});
    sandbox.config(&json!({"profiles": {"work": work}}).to_string());
    keyring.store("work", KEY);
    keyring
        .given_to(auth(&sandbox, &["rename", "work", "office"]))
        .run()
        .exits(0);
    assert_eq!(keyring.lookup("work"), None);
    keyring
        .given_to(sandbox.tool("qwen-token"))
        .run()
        .gives(0, "sk-canary-0123456789\n", "");
    keyring
        .given_to(auth(&sandbox, &["remove", "office"]))
        .run()
        .exits(0);
    assert_eq!(keyring.lookup("office"), None);
}

#[test]
fn a_keyring_that_does_not_answer_stops_a_rename_and_a_removal() {
    let Some(mut keyring) = Keyring::start("unlocked") else {
        return;
    };
    let sandbox = Sandbox::new();
    let work = json!({"base_url": "https://llm.example/v1", "key": {"store": "keyring"}});
    let config = json!({"profiles": {"work": work}}).to_string();
    sandbox.config(&config);
    keyring.store("work", KEY);
    keyring.tell("lock");
    for words in [&["rename", "work", "office"][..], &["remove", "work"]] {
        keyring
            .given_to(auth(&sandbox, words))
            .run()
            .fails(75, &["keyring"]);
        assert_eq!(sandbox.read(sandbox.config_file()), config);
    }
    keyring.tell("unlock");
    assert!(keyring.lookup("work").unwrap().contains("sk-canary"));
}

#[test]
fn a_profile_whose_keyring_is_gone_can_be_removed_by_the_way_that_is_named() {
    let sandbox = Sandbox::new();
    sandbox.config(
        r#"{"profiles": {"work": {"base_url": "https://llm.example/v1", "key": {"store": "keyring"}}}}"#,
    );
    let without = |words: &[&str]| {
        let tool = auth(&sandbox, words);
        tool.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/no/such/bus")
            .run()
    };
    let run = without(&["remove", "work"]).fails(75, &["there is no system keyring"]);
    assert!(
        run.stderr.contains("run 'qwen-auth set work key=' first"),
        "{run:#?}"
    );
    assert!(!run.stderr.contains("qwen-login"), "{run:#?}");
    without(&["set", "work", "key="]).exits(0);
    without(&["remove", "work"]).exits(0);
}

#[test]
fn a_new_name_does_not_adopt_what_was_stored_under_it() {
    let sandbox = Sandbox::new();
    sandbox.config(r#"{"profiles": {"evil": {"base_url": "https://evil.example/v1", "method": "api-key", "key": {"store": "file"}}}}"#);
    let path = "home/.config/qwen/credentials/work.json";
    sandbox.write(
        path,
        r#"{"method": "api-key", "api_key": "sk-canary-0123456789"}"#,
    );
    let run = auth(&sandbox, &["rename", "evil", "work"]).run();
    run.fails(78, &["would go to 'https://evil.example/v1'"]);
    assert!(sandbox.read(path).contains("canary"));
}

#[test]
fn renames_and_changes_at_once_leave_one_profile_with_its_key() {
    let sandbox = Sandbox::new();
    let work = serde_json::json!({"base_url": "https://llm.example/v1", "method": "api-key", "key": {"store": "file"}});
    sandbox.config(&serde_json::json!({"profiles": {"work": work}}).to_string());
    let key = r#"{"method": "api-key", "api_key": "sk-canary-0123456789"}"#;
    sandbox.write("home/.config/qwen/credentials/work.json", key);
    let calls: [&[&str]; 6] = [
        &["rename", "work", "a"],
        &["rename", "work", "b"],
        &["rename", "work", "c"],
        &["rename", "work", "a"],
        &["set", "work", "model=m1"],
        &["set", "work", "model=m2"],
    ];
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let sandbox = &sandbox;
        let runs: Vec<_> = calls
            .map(|call| scope.spawn(move || auth(sandbox, call).run().code()))
            .into();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(
        codes[..4].iter().filter(|code| **code == 0).count(),
        1,
        "{codes:?}"
    );
    let config: serde_json::Value = serde_json::from_str(&sandbox.read(sandbox.config_file())).unwrap();
    let names: Vec<&String> = config["profiles"].as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 1, "{config}");
    for name in ["work", "a", "b", "c"] {
        let path = sandbox
            .root()
            .join(format!("home/.config/qwen/credentials/{name}.json"));
        assert_eq!(path.exists(), name == names[0], "{name} {config}");
    }
}

/// A server to log in at, before the login and after the logout.
#[test]
fn a_profile_with_a_server_to_log_in_at_is_told_to_be_not_logged_in() {
    let oauth = json!({"client_id": "toolkit", "token_endpoint": "https://auth.example/token"});
    for method in [json!(null), json!("oauth")] {
        let sandbox = Sandbox::new();
        let profile = json!({"method": method, "base_url": "http://127.0.0.1:9/v1", "oauth": oauth});
        sandbox.config(
            &json!({"default_profile": "a", "profiles": {"a": {"provider": "ollama"}, "lab": profile}})
                .to_string(),
        );
        let list = sandbox.detached("qwen-auth").arg("list").run().exits(0).text();
        let row = list.lines().find(|line| line.contains("lab")).unwrap().to_owned();
        assert!(
            row.contains(" oauth ") && row.ends_with("not logged in"),
            "{list}"
        );
        let run = sandbox
            .detached("qwen-auth")
            .args(["status", "--profile", "lab"])
            .run()
            .exits(77);
        let hint = "hint: run 'qwen-login --oauth --profile lab'";
        assert!(run.stderr.contains(hint), "{run:#?}");
        sandbox
            .detached("qwen-chat")
            .args(["--profile", "lab", "hi"])
            .run()
            .fails(77, &["profile 'lab'", "qwen-login", "--profile lab'"]);
    }
}

/// Typed as it is said, a hint must not change another profile.
#[test]
fn every_hint_at_a_login_names_the_profile_that_was_named() {
    let server = crate::support::Server::answering(|_, _: &crate::support::Request| {
        crate::support::Reply::json(401, r#"{"error": {"message": "no", "code": "invalid_api_key"}}"#)
    });
    let sandbox = Sandbox::new();
    let local = json!({"provider": "llama.cpp", "base_url": server.url("/v1"), "model": "m"});
    sandbox.config(&json!({"default_profile": "a", "profiles": {"a": local, "badk": local}}).to_string());
    let chat = || sandbox.detached("qwen-chat").arg("hi");
    chat()
        .args(["--profile", "badk"])
        .run()
        .fails(77, &["'qwen-login --api-key --profile badk'"]);
    chat()
        .env("QWEN_PROFILE", "badk")
        .run()
        .fails(77, &["'qwen-login --api-key --profile badk'"]);
    chat().run().fails(77, &["'qwen-login --api-key'"]);
    sandbox
        .detached("qwen-login")
        .args(["--profile", "badk"])
        .run()
        .fails(64, &["'qwen-login --with-key --provider NAME --profile badk'"]);
    sandbox
        .detached("qwen-token")
        .args(["--profile", "none"])
        .run()
        .fails(77, &["--profile none'"]);
}
