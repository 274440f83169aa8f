//! qwen-login and Qwen Code: one login for both, by its file and its lock.
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::authority::{ACCESS, Authority, REFRESH, device, login, ok, token};
use crate::support::{Keyring, Reply, Request, Run, Sandbox, Server, Tool, next_line, peers};
use serde_json::{Value, json};

const FILE: &str = "home/.qwen/oauth_creds.json";

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// A home whose profile `qwen` logs in at the server in place of qwen.ai.
fn home(authority: &Authority) -> Sandbox {
    let sandbox = Sandbox::new();
    let profile = json!({"provider": "qwen", "method": "oauth", "oauth": authority.oauth()});
    sandbox.config(&json!({"profiles": {"qwen": profile}}).to_string());
    sandbox
}

/// An authority whose tokens are for that endpoint.
fn authority_for(resource: &str) -> Authority {
    let mut answer = token();
    answer["resource_url"] = json!(resource);
    Authority::new(ok(&device()), [ok(&answer)])
}

/// A chat endpoint as Qwen Code needs one: it streams.
fn chat() -> Server {
    Server::answering(|_, request: &Request| {
        if request.method == "GET" {
            return Reply::json(200, r#"{"object": "list", "data": [{"id": "coder-model"}]}"#);
        }
        let chunk = |delta: Value, reason: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
            let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]});
            format!("data: {chunk}\n\n")
        };
        Reply::stream([
            chunk(json!({"role": "assistant", "content": "forty-two"}), Value::Null),
            chunk(json!({}), json!("stop")),
            "data: [DONE]\n\n".to_owned(),
        ])
    })
}

fn written_by_qwen_code(resource: &str) -> Value {
    json!({
        "access_token": ACCESS, "token_type": "Bearer", "refresh_token": REFRESH, "resource_url": resource,
        "expiry_date": now() + 3_600_000,
    })
}

#[test]
fn the_file_is_the_one_that_qwen_code_writes() {
    let authority = Authority::approving();
    let sandbox = home(&authority);
    login(&sandbox).run().exits(0);
    let text = sandbox.read(FILE);
    assert!(
        text.starts_with("{\n  \"access_token\": ") && text.ends_with('}'),
        "{text}"
    );
    let file: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = file.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names[..5],
        [
            "access_token",
            "refresh_token",
            "token_type",
            "resource_url",
            "expiry_date"
        ]
    );
    assert_eq!(
        (&file["access_token"], &file["refresh_token"]),
        (&json!(ACCESS), &json!(REFRESH))
    );
    let left = file["expiry_date"].as_u64().unwrap() - now();
    assert!((3_500_000..=3_600_000).contains(&left), "{left}");
    assert!(!sandbox.home().join(".qwen/oauth_creds.lock").exists());
    assert!(!sandbox.home().join(".config/qwen/credentials/qwen.json").exists());
}

#[test]
fn qwen_code_itself_accepts_it() {
    let program = peers::directory().join("qwen-code/node_modules/@qwen-code/qwen-code/cli.js");
    if !peers::present("qwen-code", program.is_file() && peers::command("node").is_some()) {
        return;
    }
    let chat = chat();
    let authority = authority_for(&chat.url(""));
    let sandbox = home(&authority);
    let run = sandbox
        .detached("qwen-login")
        .args(["--oauth", "--store", "file"])
        .run()
        .exits(0);
    assert!(
        run.stderr
            .contains("accepts the token; the model is 'coder-model'"),
        "{run:#?}"
    );
    let node = peers::command("node").unwrap();
    let path = format!("{}:/usr/bin:/bin", node.parent().unwrap().display());
    let run = sandbox
        .command(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/qwen-code"))
        .args(["--auth-type", "qwen-oauth", "-p", "what is the answer?"])
        .env("PATH", path)
        .env("QWEN_PEERS_DIR", peers::directory())
        .limit(Duration::from_secs(120))
        .run()
        .exits(0);
    assert!(run.text().contains("forty-two"), "{run:#?}");
    let bearer = format!("Bearer {ACCESS}");
    let asked: Vec<_> = chat
        .requests()
        .into_iter()
        .filter(|request| request.method == "POST")
        .collect();
    assert!(
        !asked.is_empty()
            && asked
                .iter()
                .all(|request| request.header("authorization") == Some(&bearer))
    );
    assert_eq!(
        authority.polls().len(),
        1,
        "Qwen Code had no need to log in or to refresh"
    );
}

#[test]
fn the_login_of_qwen_code_is_adopted_where_it_is() {
    let sandbox = Sandbox::new();
    let text = serde_json::to_string_pretty(&written_by_qwen_code("portal.qwen.ai")).unwrap();
    sandbox.write(FILE, &text);
    let run = import(&sandbox).run().exits(0);
    assert!(run.stderr.contains("uses Qwen Code's login in"), "{run:#?}");
    assert_eq!(sandbox.read(FILE), text, "it is shared, not rewritten");
    let token = sandbox
        .tool("qwen-token")
        .args(["--format", "json"])
        .run()
        .exits(0);
    let token: Value = serde_json::from_slice(&token.stdout).unwrap();
    assert_eq!(
        (&token["access_token"], &token["base_url"], &token["provider"]),
        (
            &json!(ACCESS),
            &json!("https://portal.qwen.ai/v1"),
            &json!("qwen")
        )
    );
    let loose = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(sandbox.root().join(FILE), loose).unwrap();
    let run = import(&sandbox).run().exits(0);
    assert!(run.stderr.contains("readable by others (mode 0644)"), "{run:#?}");
}

fn import(sandbox: &Sandbox) -> Tool {
    sandbox.detached("qwen-login").args(["--import", "--no-verify"])
}

#[test]
fn an_ended_login_is_adopted_and_renewed_by_the_trial() {
    let chat = chat();
    let authority = authority_for(&chat.url(""));
    let sandbox = home(&authority);
    let mut ended = written_by_qwen_code(&chat.url(""));
    ended["access_token"] = json!("canary-ended");
    ended["expiry_date"] = json!(now() - 1000);
    sandbox.write(FILE, ended.to_string());
    let run = sandbox.detached("qwen-login").arg("--import").run().exits(0);
    assert!(run.stderr.contains("accepts the token"), "{run:#?}");
    assert!(!run.stderr.contains("canary"), "{run:#?}");
    assert!(sandbox.read(FILE).contains(ACCESS));
    assert_eq!(authority.polls().len(), 1);
}

#[test]
fn a_login_that_cannot_be_looked_at_is_told_from_none() {
    let sandbox = Sandbox::new();
    let place = sandbox.home().join(".qwen/oauth_creds.json");
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("oauth_creds.json", &place).unwrap();
    let words = ["oauth_creds.json': too many levels of symbolic links"];
    import(&sandbox).run().fails(74, &words);
}

#[test]
fn what_qwen_code_has_not_cannot_be_adopted() {
    let sandbox = Sandbox::new();
    import(&sandbox).run().fails(
        77,
        &[
            "Qwen Code has no login here",
            "oauth_creds.json",
            "hint: run 'qwen-login'",
        ],
    );
    for broken in [
        "",
        "{",
        "[]",
        "{\"access_token\": \"\"}",
        "{\"refresh_token\": \"r\"}",
    ] {
        sandbox.write(FILE, broken);
        import(&sandbox).run().fails(77, &["oauth_creds.json"]);
        assert_eq!(sandbox.read(FILE), broken);
    }
    assert!(!sandbox.config_file().exists());
    // A key is adopted whatever the file of the login holds.
    sandbox.write(FILE, "{");
    sandbox.write(
        "home/.qwen/settings.json",
        r#"{"security": {"auth": {"selectedType": "openai", "apiKey": "sk-1"}}}"#,
    );
    import(&sandbox).args(["--store", "file"]).run().exits(0);
}

#[test]
fn the_key_in_qwen_codes_settings_is_adopted_into_our_store() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "home/.qwen/settings.json",
        r#"{ "security": {"auth": {"selectedType": "openai", "apiKey": "sk-canary-settings", "baseUrl": "https://llm.example/v1"}},
             "model": {"name": "m1"} }"#,
    );
    sandbox.write(FILE, written_by_qwen_code("portal.qwen.ai").to_string());
    let run = import(&sandbox).args(["--store", "file"]).run().exits(0);
    assert!(!run.stderr.contains("canary"), "{run:#?}");
    let token = sandbox
        .tool("qwen-token")
        .args(["--format", "json"])
        .run()
        .exits(0);
    let token: Value = serde_json::from_slice(&token.stdout).unwrap();
    assert_eq!(
        (&token["access_token"], &token["base_url"], &token["model"]),
        (
            &json!("sk-canary-settings"),
            &json!("https://llm.example/v1"),
            &json!("m1")
        )
    );
    assert!(
        sandbox
            .read("home/.config/qwen/credentials/default.json")
            .contains("sk-canary-settings")
    );
}

#[test]
fn a_copy_in_the_keyring_is_made_when_asked_for_and_its_danger_named() {
    let Some(keyring) = Keyring::start("unlocked") else {
        return;
    };
    let sandbox = Sandbox::new();
    sandbox.write(FILE, written_by_qwen_code("portal.qwen.ai").to_string());
    let run = keyring
        .given_to(import(&sandbox))
        .args(["--store", "keyring"])
        .run()
        .exits(0);
    assert!(run.stderr.contains("logs the other out"), "{run:#?}");
    let item: Value = serde_json::from_str(&keyring.lookup("default").unwrap()).unwrap();
    assert_eq!(
        (&item["access_token"], &item["resource_url"]),
        (&json!(ACCESS), &json!("portal.qwen.ai"))
    );
}

#[test]
fn a_login_waits_for_qwen_codes_lock_and_leaves_it_alone() {
    let authority = Authority::approving();
    let sandbox = home(&authority);
    let mark = "3f2b8c1e-0000-4000-8000-1234567890ab";
    let lock = sandbox.write("home/.qwen/oauth_creds.lock", mark);
    let mut child = login(&sandbox).start();
    while !next_line(&mut child)
        .ends_with("oauth_creds.lock: locked by another process; waiting up to 60 s\n")
    {}
    assert_eq!(fs::read_to_string(&lock).unwrap(), mark, "the lock was stolen");
    assert!(!sandbox.root().join(FILE).exists(), "the lock was not honoured");
    fs::remove_file(&lock).unwrap();
    Run::wait(child, "qwen-login").exits(0);
    assert!(sandbox.read(FILE).contains(ACCESS) && !lock.exists());
}

#[test]
fn members_of_others_survive_a_new_login() {
    let authority = Authority::approving();
    let sandbox = home(&authority);
    let mut old = written_by_qwen_code("portal.qwen.ai");
    old["access_token"] = json!("at-old");
    old["from_the_future"] = json!([1, 2]);
    sandbox.write(FILE, old.to_string());
    login(&sandbox).run().exits(0);
    let file: Value = serde_json::from_str(&sandbox.read(FILE)).unwrap();
    assert_eq!(
        (&file["access_token"], &file["from_the_future"]),
        (&json!(ACCESS), &json!([1, 2]))
    );
    assert!(!sandbox.read(FILE).contains("at-old"));
}

#[test]
fn profiles_that_share_the_file_are_named() {
    let authority = Authority::approving();
    let sandbox = Sandbox::new();
    let profile = |store: &str| json!({"provider": "qwen", "method": "oauth", "oauth": authority.oauth(), "key": {"store": store}});
    let profiles = json!({
        "apart": profile("keyring"), "home": profile("file"), "key": {"method": "api-key"}, "work": profile("file"),
    });
    sandbox.config(&json!({ "profiles": profiles }).to_string());
    let run = login(&sandbox).args(["--profile", "work"]).run().exits(0);
    let named: Vec<&str> = run
        .stderr
        .lines()
        .filter(|line| line.contains("same file"))
        .collect();
    assert_eq!(named.len(), 1, "{run:#?}");
    assert!(named[0].contains("profile 'home'"), "{run:#?}");
}

#[test]
fn an_endpoint_that_the_provider_does_not_allow_never_sees_the_token() {
    for resource in [
        "evil.example",
        "http://127.0.0.1.evil.example",
        "https://me@127.0.0.1/",
        "169.254.169.254",
    ] {
        let authority = authority_for(resource);
        let sandbox = home(&authority);
        let run = sandbox
            .detached("qwen-login")
            .args(["--oauth", "--store", "file"])
            .run()
            .exits(0);
        assert!(run.stderr.contains("that the token is not sent to"), "{run:#?}");
        sandbox
            .tool("qwen-token")
            .args(["--format", "json"])
            .run()
            .fails(78, &["resource_url"]);
    }
}

#[test]
fn an_incomplete_login_is_said_to_be_of_no_use_to_qwen_code() {
    let mut answer = token();
    answer["refresh_token"] = Value::Null;
    let authority = Authority::new(ok(&device()), [ok(&answer)]);
    let run = login(&home(&authority)).run().exits(0);
    assert!(run.stderr.contains("sent no refresh token"), "{run:#?}");
    assert!(run.stderr.contains("Qwen Code cannot use this login"), "{run:#?}");
}

#[test]
fn the_providers_notice_comes_first() {
    let authority = Authority::approving();
    let run = login(&home(&authority)).run().exits(0);
    let first = run.stderr.lines().next().unwrap();
    assert!(
        first.contains("Qwen OAuth") && first.contains("ended the free tier on 2026-04-15"),
        "{run:#?}"
    );
}
