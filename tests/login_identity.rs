//! qwen-login and qwen-auth against a certified OAuth server, approved by a person with a browser.
use std::process::{Command, Stdio};

use crate::support::login::millis;
use crate::support::{Identity, PendingLogin, Run, Sandbox, peers, wait_until};
use serde_json::{Value, json};

/// A home with a profile `lab` that logs in at the server.
fn home(identity: &Identity) -> Sandbox {
    let sandbox = Sandbox::new();
    let oauth = json!({
        "issuer": identity.url(), "client_id": "qwen-cli-test", "allowed_hosts": ["127.0.0.1"],
        "scope": "openid profile email offline_access model.completion",
    });
    sandbox.config(&json!({"profiles": {"lab": {"method": "oauth", "oauth": oauth}}}).to_string());
    sandbox
}

/// A person with a browser who goes to the address and answers.
fn in_the_browser(address: &str, answer: &str) -> Option<String> {
    let there = peers::command("chromium").is_some()
        && peers::directory()
            .join("node/node_modules/puppeteer-core")
            .is_dir();
    if !peers::present("browser", there) {
        return None;
    }
    let output = Command::new(peers::command("node").unwrap())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/approve.mjs"))
        .args([address, answer])
        .env("QWEN_PEERS_DIR", peers::directory())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn stored(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.read("home/.config/qwen/credentials/lab.json")).unwrap()
}

fn status(sandbox: &Sandbox) -> Run {
    sandbox
        .tool("qwen-auth")
        .args(["status", "--format", "json"])
        .run()
}

#[test]
fn a_login_approved_in_chromium_works_until_the_logout_revokes_it() {
    let Some(identity) = Identity::start(&[]) else {
        return;
    };
    let sandbox = home(&identity);
    let waiting = PendingLogin::begin(&sandbox);
    let Some(page) = in_the_browser(&waiting.address, "approve") else {
        return;
    };
    assert_eq!(page, "approved: Sign-in Success\n");
    let (code, said) = waiting.ends();
    assert_eq!(code, 0, "{said}");
    let login = stored(&sandbox);
    let token = |name: &str| login[name].as_str().unwrap().to_owned();
    assert!(identity.is_active(&token("access_token")) && identity.is_active(&token("refresh_token")));
    assert!(
        login.get("id_token").is_none(),
        "nobody needs it, and it is a secret"
    );

    let run = status(&sandbox).exits(0);
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(
        (
            &report["profile"],
            &report["method"],
            &report["state"],
            &report["store"]
        ),
        (&json!("lab"), &json!("oauth"), &json!("valid"), &json!("file"))
    );
    assert!(
        (30..=60).contains(&report["expires_in"].as_u64().unwrap()),
        "{report}"
    );
    sandbox
        .tool("qwen-token")
        .run()
        .gives(0, format!("{}\n", token("access_token")), "");

    let run = sandbox.tool("qwen-auth").arg("logout").run().exits(0);
    let said = format!("revoked at '{}'", identity.name());
    assert!(run.stderr.contains(&said), "{run:#?}");
    assert!(!identity.is_active(&token("access_token")) && !identity.is_active(&token("refresh_token")));
    assert!(!sandbox.home().join(".config/qwen/credentials/lab.json").exists());
    let run = status(&sandbox).exits(77);
    assert!(run.stderr.contains("no credential for profile 'lab'"), "{run:#?}");
    assert!(run.text().contains("\"missing\""));
    let words = run.stderr + &said;
    for secret in ["access_token", "refresh_token"] {
        assert!(!words.contains(&token(secret)), "{words}");
    }
}

#[test]
fn a_login_denied_in_chromium_is_over_at_once() {
    let Some(identity) = Identity::start(&[]) else {
        return;
    };
    let sandbox = home(&identity);
    let waiting = PendingLogin::begin(&sandbox);
    if in_the_browser(&waiting.address, "deny").is_none() {
        return;
    }
    let (code, said) = waiting.ends();
    assert_eq!(code, 77, "{said}");
    assert!(
        said.contains("the login was denied")
            && said.contains("hint: run 'qwen-login --oauth --profile lab'"),
        "{said}"
    );
}

#[test]
fn the_server_never_finds_the_client_too_fast_or_twice() {
    for status in ["400", "429"] {
        let settings = [
            ("INTERVAL", "2"),
            ("SLOW_STATUS", status),
            ("PENDING_STATUS", status),
        ];
        let Some(identity) = Identity::start(&settings) else {
            return;
        };
        let sandbox = home(&identity);
        let waiting = PendingLogin::begin(&sandbox);
        let pending = |stats: &Value| stats["answers"]["device_code"]["authorization_pending"].as_u64();
        wait_until("two polls", || pending(&identity.stats()) >= Some(2));
        identity.decide(&waiting.code, true);
        let (code, said) = waiting.ends();
        assert_eq!(code, 0, "{said}");
        let stats = identity.stats();
        assert!(stats["answers"]["device_code"]["slow_down"].is_null(), "{stats}");
        assert_eq!(stats["answers"]["device_code"]["ok"], 1, "{stats}");
        let token = stored(&sandbox)["access_token"].as_str().unwrap().to_owned();
        assert!(identity.is_active(&token), "a second poll would have revoked it");
    }
}

#[test]
fn a_code_that_nobody_approves_expires() {
    let Some(identity) = Identity::start(&[("DC_TTL", "3")]) else {
        return;
    };
    let sandbox = home(&identity);
    let (code, said) = PendingLogin::begin(&sandbox).ends();
    assert_eq!(code, 77, "{said}");
    assert!(said.contains("the code expired before it was approved"), "{said}");
    assert!(!sandbox.home().join(".config/qwen/credentials/lab.json").exists());
}

#[test]
fn a_server_that_says_less_is_logged_in_at_too() {
    let Some(identity) = Identity::start(&[("OMIT", "interval,verification_uri_complete")]) else {
        return;
    };
    let sandbox = home(&identity);
    let waiting = PendingLogin::begin(&sandbox);
    assert_eq!(waiting.address, "");
    identity.change(&json!({"OMIT": "scope,token_type,expires_in,id_token"}));
    identity.decide(&waiting.code, true);
    let (code, said) = waiting.ends();
    assert_eq!(code, 0, "{said}");
    assert!(stored(&sandbox).get("expires_at").is_none());
    let run = status(&sandbox).exits(0);
    assert!(run.text().contains("\"unbounded\""), "{run:#?}");
}

#[test]
fn a_revoked_refresh_token_asks_for_a_login_and_stays_where_it_is() {
    let Some(identity) = Identity::start(&[]) else {
        return;
    };
    let sandbox = home(&identity);
    let waiting = PendingLogin::begin(&sandbox);
    identity.decide(&waiting.code, true);
    assert_eq!(waiting.ends().0, 0);
    let mut expired = stored(&sandbox);
    expired["expires_at"] = json!(millis(-1));
    let before = expired.to_string();
    sandbox.tool("qwen-auth").arg("logout").run().exits(0);
    sandbox.write("home/.config/qwen/credentials/lab.json", &before);
    sandbox
        .tool("qwen-token")
        .run()
        .fails(77, &["hint: run 'qwen-login --profile lab'"]);
    assert_eq!(sandbox.read("home/.config/qwen/credentials/lab.json"), before);
}
