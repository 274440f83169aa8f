//! What becomes of a refreshed login where the store is an odd place, or fails once the server has answered.
use std::fs;
use std::path::Path;

use crate::support::login::{OWN_FILE, login, with};
use crate::support::{Gate, Reply, Run, Sandbox, Server, Tool, peers};
use serde_json::{Value, json};

const NEW: &str =
    r#"{"access_token":"at-new","refresh_token":"rt-new","token_type":"Bearer","expires_in":3600}"#;

const JOURNAL: &str = "home/.config/qwen/credentials/work.json.journal";

/// A server that rotates, and refuses what it has rotated away.
fn rotating() -> Server {
    let used = std::sync::atomic::AtomicBool::new(false);
    Server::answering(move |_, request| {
        let is_first = !used.swap(true, std::sync::atomic::Ordering::SeqCst);
        match is_first && request.text().contains("refresh_token=rt-old") {
            true => Reply::json(200, NEW),
            false => Reply::json(400, r#"{"error":"invalid_grant"}"#),
        }
    })
    .optional()
}

/// Runs a script in the directory of the credentials, in a mount namespace of its own.
fn in_a_namespace(sandbox: &Sandbox, script: &str) -> Run {
    let script = format!("cd \"$HOME/.config/qwen/credentials\"\n{script}");
    let unshare = ["--user", "--map-root-user", "--mount", "sh", "-ec", &script];
    sandbox.command("/usr/bin/unshare").args(unshare).run()
}

/// tests/data/credentials/places.json: where people keep a credential, by public reports.
#[test]
fn wherever_a_credential_is_kept_a_refresh_is_stored_or_not_begun() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("data/credentials/places.json")).unwrap();
    for case in &cases {
        let sandbox = Sandbox::new();
        let server = rotating();
        sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let needs = match text("needs") {
            "" => "unshare --user --map-root-user --mount true",
            needs => needs,
        };
        let is_possible = sandbox.command("/bin/sh").args(["-ec", needs]).run().code() == 0;
        if !peers::present(text("case"), is_possible) {
            continue;
        }
        let script = format!(
            "{}\ncode=0; qwen-token || code=$?\n{}\ncat work.json >\"$HOME/stored\" || :\nexit $code",
            text("before"),
            text("after"),
        );
        // An immutable file is one for the namespace's maker alone.
        let run = match text("needs") {
            "" => in_a_namespace(&sandbox, &script),
            _ => {
                let script = format!("cd \"$HOME/.config/qwen/credentials\"\n{script}");
                sandbox.command("/bin/sh").args(["-ec", &script]).run()
            }
        };
        assert_eq!(i64::from(run.code()), case["exit"], "{case:#}\n{run:#?}");
        assert_eq!(run.text(), text("stdout"), "{case:#}\n{run:#?}");
        assert!(run.stderr.contains(text("stderr")), "{case:#}\n{run:#?}");
        assert_eq!(
            server.count(),
            case["requests"].as_u64().unwrap() as usize,
            "{case:#}"
        );
        let stored = sandbox.read("home/stored");
        assert!(stored.contains(text("stored")), "{case:#}\n{stored}");
        if case["exit"] == 0 {
            let stored: Value = serde_json::from_str(&stored).unwrap();
            assert_eq!(stored["access_token"], "at-new");
        }
    }
}

/// A login whose store fails after the server has answered: a directory takes the file's place meanwhile, and leaves it.
struct Interrupted {
    sandbox: Sandbox,
    server: Server,
    run: Run,
}

impl Interrupted {
    fn new(login: &Value) -> Self {
        let sandbox = Sandbox::new();
        let file = sandbox.root().join(OWN_FILE);
        let aside = sandbox.root().join("aside");
        let (moved, kept) = (file.clone(), aside.clone());
        let server = Server::answering(move |count, request| {
            if count > 0 || !request.text().contains("rt-old") {
                return Reply::json(400, r#"{"error":"invalid_grant"}"#);
            }
            fs::rename(&moved, &kept).unwrap();
            fs::create_dir(&moved).unwrap();
            Reply::json(200, NEW)
        });
        sandbox.logged_in(&server.url("/token"), login);
        let run = sandbox.tool("qwen-token").arg("--refresh").run().exits(0);
        fs::remove_dir(&file).unwrap();
        fs::rename(&aside, &file).unwrap();
        Self { sandbox, server, run }
    }

    fn token(&self) -> Tool {
        self.sandbox.tool("qwen-token")
    }

    fn journal(&self) -> std::path::PathBuf {
        self.sandbox.root().join(JOURNAL)
    }
}

#[test]
fn a_token_that_cannot_be_stored_is_printed_and_the_next_start_takes_the_login_over() {
    let interrupted = Interrupted::new(&with(login(-3600, -1), json!({"note": "kept"})));
    let (sandbox, run) = (&interrupted.sandbox, &interrupted.run);
    assert_eq!(run.text(), "at-new\n");
    for part in [
        "the new login of profile 'work' cannot be saved: cannot write '",
        "work.json': ",
        "; it is kept in '",
        "work.json.journal': mend that, then run 'qwen-token --refresh --profile work' to save it\n",
    ] {
        assert!(run.stderr.contains(part), "{run:#?}");
    }
    assert!(!run.stderr.contains("rt-"), "no secret is shown");
    assert_eq!(sandbox.stored()["refresh_token"], "rt-old");
    assert_eq!(sandbox.mode(JOURNAL), 0o600);
    interrupted.token().run().gives(0, "at-new\n", "");
    let stored = sandbox.stored();
    assert_eq!(
        (&stored["refresh_token"], &stored["note"]),
        (&json!("rt-new"), &json!("kept"))
    );
    assert!(!interrupted.journal().exists());
    assert_eq!(interrupted.server.count(), 1);
}

#[test]
fn the_command_that_the_notice_names_saves_the_login_of_a_token_that_was_not_due() {
    let interrupted = Interrupted::new(&login(-10, 3590));
    let refresh = interrupted.token().args(["--refresh", "--profile", "work"]);
    refresh.run().gives(0, "at-new\n", "");
    assert_eq!(interrupted.sandbox.stored()["refresh_token"], "rt-new");
    assert_eq!(interrupted.server.count(), 1);
}

#[test]
fn the_status_is_that_of_the_login_in_the_journal_and_stores_it() {
    let interrupted = Interrupted::new(&login(-3600, -1));
    let status = || {
        interrupted
            .sandbox
            .tool("qwen-auth")
            .args(["status", "--format", "json"])
    };
    let state = |run: &Run| serde_json::from_str::<Value>(&run.text()).unwrap()["state"].clone();
    if peers::present("root", rustix::process::geteuid().is_root()) {
        let script = "mount --bind work.json work.json; mount -o remount,bind,ro work.json; \
                      qwen-auth status --format json";
        let run = in_a_namespace(&interrupted.sandbox, script).exits(0);
        assert_eq!(state(&run), "valid");
        assert!(run.stderr.contains("work.json.journal': mend that"), "{run:#?}");
    }
    let run = status().run().exits(0);
    assert_eq!((state(&run), run.stderr.as_str()), (json!("valid"), ""));
    assert_eq!(interrupted.sandbox.stored()["refresh_token"], "rt-new");
    assert!(!interrupted.journal().exists());
    assert_eq!(interrupted.server.count(), 1, "no server is asked");
}

#[test]
fn the_status_does_not_wait_for_a_refresh_that_is_going_on() {
    let gate = Gate::default();
    let server = Server::script([Reply::default().gate(&gate).then(Reply::json(200, NEW))]);
    let sandbox = Sandbox::new();
    sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
    let child = sandbox.tool("qwen-token").start();
    server.wait_for(1);
    assert!(sandbox.root().join(JOURNAL).exists());
    let run = sandbox.tool("qwen-auth").arg("status").run().exits(0);
    assert!(
        run.text().contains("expired, refreshed at the next use"),
        "{run:#?}"
    );
    gate.open();
    Run::wait(child, "qwen-token").gives(0, "at-new\n", "");
}

#[test]
fn what_a_journal_keeps_is_used_as_long_as_the_store_does_not_take_it() {
    let interrupted = Interrupted::new(&login(-3600, -1));
    if !peers::present("root", rustix::process::geteuid().is_root()) {
        return;
    }
    // The lock and the journal can be written, the credential cannot.
    let script =
        "mount --bind work.json work.json; mount -o remount,bind,ro work.json; qwen-token; qwen-token";
    let run = in_a_namespace(&interrupted.sandbox, script).exits(0);
    assert_eq!(run.text(), "at-new\nat-new\n");
    assert_eq!(run.stderr.matches("it is kept in '").count(), 2, "{run:#?}");
    interrupted.token().run().gives(0, "at-new\n", "");
    assert_eq!(interrupted.sandbox.stored()["refresh_token"], "rt-new");
    assert_eq!(interrupted.server.count(), 1);
}

#[test]
fn a_stale_journal_is_never_taken_for_a_newer_login() {
    for newer in [
        with(
            login(-3600, -1),
            json!({"access_token": "at-newer", "refresh_token": "rt-newer"}),
        ),
        // The same tokens with a longer life.
        with(login(-3600, -1), json!({"expires_at": 1000})),
    ] {
        let interrupted = Interrupted::new(&login(-3600, -1));
        interrupted.sandbox.write(OWN_FILE, newer.to_string());
        interrupted.token().run().fails(77, &["invalid_grant"]);
        assert_eq!(
            interrupted.sandbox.stored()["refresh_token"],
            newer["refresh_token"]
        );
        assert!(!interrupted.journal().exists());
        assert_eq!(interrupted.server.count(), 2);
    }
}

#[test]
fn what_is_left_beside_a_token_that_is_not_due_is_cleared_away() {
    let interrupted = Interrupted::new(&login(-10, 3590));
    for args in [&["--check"][..], &["--no-refresh"]] {
        interrupted.token().args(args).run().exits(0);
        assert!(interrupted.journal().exists(), "{args:?} changes nothing");
    }
    interrupted.token().run().gives(0, "at-new\n", "");
    assert!(!interrupted.journal().exists());
    assert_eq!(interrupted.sandbox.stored()["refresh_token"], "rt-new");
    // One that is stale goes too.
    interrupted.sandbox.write(JOURNAL, journal_with("{}"));
    interrupted.token().run().gives(0, "at-new\n", "");
    assert!(!interrupted.journal().exists());
}

#[test]
fn a_journal_that_says_nothing_is_swept() {
    for content in [
        "",
        "qwen refresh journal 1\n",
        "qwen refresh journal 1\nx\nanswer 1 2",
        "\u{0}\u{0}",
    ] {
        let server = rotating();
        let sandbox = Sandbox::new();
        sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
        let journal = sandbox.write(JOURNAL, content);
        sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
        assert!(!journal.exists(), "{content:?}");
    }
}

/// A journal as it is where a file had to be written in place.
fn journal_with(document: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest: String = Sha256::digest(document)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let length = document.len();
    format!(
        "qwen refresh journal 1\n{}\ndocument 1 {length} {digest}\n{document}\n\n\n",
        "0".repeat(64)
    )
}

#[test]
fn a_file_that_was_written_in_part_is_made_whole_from_the_journal() {
    let server = Server::untouched();
    let new = with(
        login(-10, 3590),
        json!({"access_token": "at-new", "refresh_token": "rt-new"}),
    )
    .to_string();
    for part in [0, 1, 60, 100] {
        let sandbox = Sandbox::new();
        sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
        sandbox.write(OWN_FILE, &new[..part]);
        let journal = sandbox.write(JOURNAL, journal_with(&new));
        sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
        assert_eq!(sandbox.stored()["refresh_token"], "rt-new");
        assert!(!journal.exists());
        // A damaged journal restores nothing.
        sandbox.write(OWN_FILE, &new[..part]);
        sandbox.write(JOURNAL, journal_with(&new).replace("at-new", "at-odd"));
        sandbox
            .tool("qwen-token")
            .run()
            .fails(77, &["work.json:1:", "not valid JSON"]);
    }
}

#[test]
fn a_login_and_a_logout_leave_no_journal() {
    let interrupted = Interrupted::new(&login(-3600, -1));
    let logout = interrupted.sandbox.tool("qwen-auth").arg("logout").run().exits(0);
    assert!(logout.stderr.contains("removed from"), "{logout:#?}");
    assert!(!interrupted.journal().exists() && !interrupted.sandbox.root().join(OWN_FILE).exists());
    interrupted.token().run().fails(77, &["no credential"]);
    let interrupted = Interrupted::new(&login(-3600, -1));
    let login = interrupted
        .sandbox
        .tool("qwen-login")
        .args(["--with-key", "--no-verify", "--store", "file"]);
    let login = login.args(["--base-url", "https://api.example/v1", "--model", "m"]);
    login.stdin("sk-key").run().exits(0);
    assert!(!interrupted.journal().exists());
    assert_eq!(interrupted.sandbox.stored()["api_key"], "sk-key");
}

#[test]
fn a_refusal_leaves_no_journal_and_no_other_file() {
    for (reply, exit) in [
        (Reply::json(400, r#"{"error":"invalid_grant"}"#), 77),
        (Reply::json(500, "{}"), 75),
        (Reply::json(200, r#"{"error":"invalid_grant"}"#), 77),
        (Reply::json(200, "no token"), 76),
        (Reply::default().reset(), 75),
    ] {
        let server = Server::script([reply]);
        let sandbox = Sandbox::new();
        sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
        sandbox.tool("qwen-token").run().exits(exit);
        assert_eq!(
            sandbox.files("home/.config/qwen/credentials"),
            ["work.json", "work.json.lock"]
        );
        assert_eq!(sandbox.stored()["refresh_token"], "rt-old");
    }
}

/// Every limit on open files from none at all to enough.
#[test]
fn few_descriptors_are_to_be_tried_again_and_never_lose_a_login() {
    let (mut refused, mut refreshed) = (0, 0);
    for limit in 3..40 {
        let server = rotating();
        let sandbox = Sandbox::new();
        sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
        let script = format!("ulimit -n {limit}; exec qwen-token");
        let run = sandbox.command("/bin/sh").args(["-c", &script]).run();
        // The loader's own refusal.
        if run.code() == 127 {
            continue;
        }
        let stored = sandbox.stored();
        match run.code() {
            0 => {
                assert_eq!(
                    (run.text().as_str(), &stored["refresh_token"]),
                    ("at-new\n", &json!("rt-new"))
                );
                refreshed += 1;
            }
            code => {
                assert_eq!(code, 75, "{run:#?}");
                let told = format!("too many open files: limit {limit} (ulimit -n)");
                assert!(run.stderr.contains(&told), "{run:#?}");
                assert_eq!(
                    (&stored["refresh_token"], server.count()),
                    (&json!("rt-old"), 0),
                    "{run:#?}"
                );
                refused += 1;
            }
        }
        for secret in ["rt-", "/.cargo/", "/rustc/"] {
            assert!(!run.stderr.contains(secret), "{run:#?}");
        }
    }
    assert!(refused > 0 && refreshed > 0, "{refused} {refreshed}");
}

#[test]
fn a_file_size_limit_shows_before_the_server_is_asked() {
    let server = rotating();
    let sandbox = Sandbox::new();
    sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
    let script = "ulimit -f 1; exec qwen-token";
    let run = sandbox.command("/bin/sh").args(["-c", script]).run();
    run.fails(74, &["work.json': file too large: limit ", "(ulimit -f)"]);
    assert_eq!(sandbox.stored()["refresh_token"], "rt-old");
    assert!(!Path::new(&sandbox.root().join(JOURNAL)).exists());
    assert_eq!(server.count(), 0);
}
