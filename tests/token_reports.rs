//! Logins that were lost, or thought to be, in other programs: `tests/data/token/reports.json` holds public reports, rebuilt, and
//! what is right.
use std::fs;

use crate::support::authority::{self, Authority, device, ok, refusal};
use crate::support::login::{OWN_FILE, login, with};
use crate::support::{Gate, Reply, Run, Sandbox, Server};
use serde_json::{Map, Value, json};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    /// The public reports, if there are any.
    #[expect(dead_code, reason = "for whoever reads the case")]
    seen: Option<String>,
    /// Laid over a login that has ended.
    #[serde(default)]
    login: Map<String, Value>,
    /// What the file holds instead.
    raw: Option<String>,
    /// What the token endpoint answers, in turn.
    #[serde(default)]
    replies: Vec<Value>,
    runs: Vec<Expected>,
    /// Members of the login at the end; `null` for one that is not there.
    #[serde(default)]
    stored: Map<String, Value>,
    /// True where the file is as it was, to the byte.
    #[serde(default)]
    unchanged: bool,
    /// How often the server is asked by all runs.
    asked: Option<usize>,
    /// What is in the bodies of the requests.
    #[serde(default)]
    sent: Vec<String>,
}

/// One run of qwen-token.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    exit: i32,
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    words: Vec<String>,
    /// How often the server was asked until then.
    asked: Option<usize>,
}

fn reply(given: &Value) -> Reply {
    if given["drop"] == true {
        return Reply::default().close();
    }
    let body = &given["body"];
    let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    Reply::json(given["status"].as_u64().unwrap().try_into().unwrap(), &text)
}

fn check(case: &Case) {
    let what = &case.what;
    let server = match case.replies.is_empty() {
        true => Server::untouched(),
        false => Server::script(case.replies.iter().map(reply)),
    };
    let sandbox = Sandbox::new();
    let stored = with(login(-3600, -1), Value::Object(case.login.clone()));
    let file = sandbox.logged_in(&server.url("/token"), &stored);
    if let Some(raw) = &case.raw {
        sandbox.write(OWN_FILE, raw);
    }
    let before = fs::read(&file).unwrap();
    for expected in &case.runs {
        let run = sandbox.tool("qwen-token").args(&expected.words).run();
        assert_eq!(
            (run.code(), run.text()),
            (expected.exit, expected.stdout.clone()),
            "{what}: {run:#?}"
        );
        for part in &expected.says {
            assert!(run.stderr.contains(part), "{what}: no {part:?} in {run:#?}");
        }
        assert!(!run.stderr.contains("rt-"), "{what}: {run:#?}");
        if let Some(asked) = expected.asked {
            assert_eq!(server.count(), asked, "{what}");
        }
    }
    if case.unchanged {
        assert_eq!(fs::read(&file).unwrap(), before, "{what}");
    }
    for (member, value) in &case.stored {
        let stored = sandbox.stored();
        assert_eq!(
            stored.get(member).unwrap_or(&Value::Null),
            value,
            "{what}: {member}"
        );
    }
    if let Some(asked) = case.asked {
        assert_eq!(server.count(), asked, "{what}");
    }
    for (sent, request) in case.sent.iter().zip(&server.requests()) {
        assert!(request.text().contains(sent), "{what}: {}", request.text());
    }
    let journal = sandbox.root().join(format!("{OWN_FILE}.journal"));
    assert!(!journal.exists(), "{what}");
}

#[test]
fn what_lost_logins_elsewhere_loses_none() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("data/token/reports.json")).unwrap();
    for case in &cases {
        check(case);
    }
}

/// logto-io/kotlin#253, mvanhorn/printing-press-library#1653, wonderwhy-er/DesktopCommanderMCP#685.
#[test]
fn a_refresh_that_is_going_on_does_not_undo_a_logout() {
    let gate = Gate::default();
    let answer = r#"{"access_token":"at-new","refresh_token":"rt-new","expires_in":3600}"#;
    let server = Server::script([Reply::default().gate(&gate).then(Reply::json(200, answer))]);
    let sandbox = Sandbox::new();
    let file = sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
    let refresh = sandbox.tool("qwen-token").start();
    server.wait_for(1);
    let logout = sandbox.tool("qwen-auth").args(["logout", "work"]).start();
    gate.open();
    Run::wait(refresh, "qwen-token").gives(0, "at-new\n", "");
    Run::wait(logout, "qwen-auth logout").exits(0);
    assert!(!file.exists());
    assert_eq!(
        sandbox.files("home/.config/qwen/credentials"),
        ["work.json.lock"],
        "nothing that would bring it back"
    );
    sandbox.tool("qwen-token").run().fails(77, &["no credential"]);
}

/// MystenLabs/MemWal#354: the login that was there went before the new one came.
#[test]
fn a_login_that_comes_to_nothing_leaves_the_one_before() {
    for (poll, exit) in [
        (refusal(400, "access_denied"), 77),
        (refusal(400, "expired_token"), 77),
        (refusal(401, "invalid_client"), 78),
        (Reply::json(200, r#"{"token_type": "Bearer"}"#), 76),
    ] {
        let authority = Authority::new(ok(&device()), [poll]);
        let sandbox = Sandbox::new();
        let profile = json!({"method": "oauth", "key": {"store": "file"}, "oauth": authority.oauth()});
        sandbox.config(&json!({"profiles": {"lab": profile}}).to_string());
        let file = "home/.config/qwen/credentials/lab.json";
        let before = with(login(-10, 3590), json!({"note": "kept"}));
        sandbox.write(file, before.to_string());
        authority::login(&sandbox).run().exits(exit);
        assert_eq!(sandbox.read(file), before.to_string());
        sandbox
            .tool("qwen-token")
            .args(["--profile", "lab"])
            .run()
            .gives(0, "at-old\n", "");
    }
}
