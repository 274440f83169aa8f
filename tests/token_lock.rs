//! qwen-token beside programs that follow Qwen Code's lock protocol, and Qwen Code itself.
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::support::login::{QWEN_FILE, millis};
use crate::support::{Gate, Identity, Reply, Run, Sandbox, Server, next_line, wait_until};
use serde_json::{Value, json};

const NEW: &str =
    r#"{"access_token":"at-new","refresh_token":"rt-new","token_type":"Bearer","expires_in":3600}"#;
const THEIRS: &str = "0b9a3c1e-1111-4222-8333-0123456789ab";

/// A profile whose login is in Qwen Code's file and has just ended.
fn expired(sandbox: &Sandbox, token_endpoint: &str) -> PathBuf {
    let oauth = json!({"token_endpoint": token_endpoint, "client_id": "c"});
    sandbox.oauth_profile("qwen", "file", &oauth);
    sandbox.write(QWEN_FILE, in_file("at-old", "rt-old", -1));
    sandbox.root().join("home/.qwen/oauth_creds.lock")
}

fn in_file(access: &str, refresh: &str, ends: i64) -> String {
    serde_json::to_string_pretty(&json!({
        "access_token": access, "refresh_token": refresh, "token_type": "Bearer",
        "resource_url": "portal.qwen.ai", "expiry_date": millis(ends),
    }))
    .unwrap()
}

fn age(lock: &PathBuf, time: SystemTime) {
    fs::File::options()
        .write(true)
        .open(lock)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

/// What is said when a lock has been waited for two seconds.
fn waiting(lock: &Path) -> String {
    let lock = lock.display();
    format!("qwen-token: {lock}: locked by another process; waiting up to 60 s\n")
}

#[test]
fn who_waits_long_for_our_own_lock_says_for_what() {
    let (gate, server) = refresh_that_waits();
    let sandbox = Sandbox::new();
    let shared = expired(&sandbox, &server.url("/token"));
    let first = sandbox.tool("qwen-token").start();
    server.wait_for(1);
    let mut second = sandbox.tool("qwen-token").start();
    let quiet = sandbox.tool("qwen-token").arg("--quiet").start();
    let lock = shared.with_file_name("oauth_creds.qwen-toolkit.lock");
    assert_eq!(next_line(&mut second), waiting(&lock));
    gate.open();
    for child in [first, second, quiet] {
        Run::wait(child, "qwen-token").gives(0, "at-new\n", "");
    }
}

#[test]
fn a_fresh_lock_is_waited_for_and_its_holders_token_used() {
    let server = Server::untouched();
    let sandbox = Sandbox::new();
    let lock = expired(&sandbox, &server.url("/token"));
    fs::write(&lock, THEIRS).unwrap();
    // Stale for 0.7.1, not for 0.24: a holder may still be at work.
    age(&lock, SystemTime::now() - Duration::from_secs(12));
    let mut child = sandbox.tool("qwen-token").start();
    assert_eq!(next_line(&mut child), waiting(&lock));
    assert_eq!(
        fs::read_to_string(&lock).unwrap(),
        THEIRS,
        "a lock in use is not touched"
    );
    sandbox.write(QWEN_FILE, in_file("at-theirs", "rt-theirs", 3600));
    fs::remove_file(&lock).unwrap();
    Run::wait(child, "qwen-token").gives(0, "at-theirs\n", "");
}

/// A server that answers a refresh when the gate is opened.
fn refresh_that_waits() -> (Gate, Server) {
    let gate = Gate::default();
    let server = Server::script([Reply::default().gate(&gate).then(Reply::json(200, NEW))]);
    (gate, server)
}

#[test]
fn those_who_take_what_another_one_refreshed_leave_qwen_codes_lock_alone() {
    let strace = crate::support::peers::command("strace");
    if !crate::support::peers::present("strace", strace.is_some()) {
        return;
    }
    let (gate, server) = refresh_that_waits();
    let sandbox = Sandbox::new();
    expired(&sandbox, &server.url("/token"));
    let first = sandbox.tool("qwen-token").start();
    server.wait_for(1);
    let trace = sandbox.root().join("trace");
    let second = sandbox.command(strace.unwrap()).arg("-fo").arg(&trace);
    let second = second.arg(crate::support::binary("qwen-token")).start();
    let waits = |calls: &str| calls.matches("LOCK_EX").count() > 1;
    wait_until("the second waits for the lock", || {
        fs::read_to_string(&trace).is_ok_and(|calls| waits(&calls))
    });
    gate.open();
    for child in [first, second] {
        Run::wait(child, "qwen-token").gives(0, "at-new\n", "");
    }
    let calls = fs::read_to_string(&trace).unwrap();
    assert!(!calls.contains("oauth_creds.lock"), "{calls}");
}

#[test]
fn a_crashed_holders_lock_is_taken_after_the_longest_limit() {
    for age_of in [Some(Duration::from_secs(36)), None] {
        let server = Server::script([Reply::json(200, NEW)]);
        let sandbox = Sandbox::new();
        let lock = expired(&sandbox, &server.url("/token"));
        fs::write(&lock, THEIRS).unwrap();
        let started = Instant::now();
        match age_of {
            Some(old) => age(&lock, SystemTime::now() - old),
            // A time stamp in the future never grows old; what counts is how long it stands.
            None => age(&lock, SystemTime::now() + Duration::from_secs(86_400)),
        }
        let run = sandbox.tool("qwen-token").run();
        let waited = started.elapsed();
        let said = match age_of {
            // Who waits says so after two seconds.
            Some(_) => String::new(),
            None => waiting(&lock),
        };
        run.gives(0, "at-new\n", &said);
        if age_of.is_none() {
            assert!(waited > Duration::from_secs(34), "{waited:?}");
        }
        assert!(!lock.exists());
    }
}

#[test]
fn a_held_lock_never_looks_stale_and_is_removed_only_while_ours() {
    let (gate, server) = refresh_that_waits();
    let sandbox = Sandbox::new();
    let lock = expired(&sandbox, &server.url("/token"));
    let child = sandbox.tool("qwen-token").start();
    server.wait_for(1);
    let mark = fs::read_to_string(&lock).unwrap();
    let parts: Vec<usize> = mark.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "a UUID as Qwen Code writes it: {mark}");
    let touched = || fs::metadata(&lock).unwrap().modified().unwrap();
    let mut last = touched();
    for _ in 0..3 {
        wait_until("a renewed time stamp", || touched() > last);
        let age = touched().duration_since(last).unwrap();
        assert!(
            age < Duration::from_secs(10),
            "{age:?}: 0.7.1 takes over after 10 s"
        );
        last = touched();
    }
    // Another program takes our lock away, as Qwen Code does when it exits, and makes one of its own.
    fs::remove_file(&lock).unwrap();
    fs::write(&lock, THEIRS).unwrap();
    gate.open();
    Run::wait(child, "qwen-token").gives(0, "at-new\n", "");
    assert_eq!(
        fs::read_to_string(&lock).unwrap(),
        THEIRS,
        "what is not ours stays"
    );
    let stored: Value = serde_json::from_str(&sandbox.read(QWEN_FILE)).unwrap();
    assert_eq!(stored["refresh_token"], "rt-new");
}

/// One turn of a program that follows Qwen Code 0.7.1: it takes the lock exclusively, calls it stale after 10 s, looks
/// at the file again, refreshes when due, and unlinks the lock whoever owns it.
fn qwen_codes_turn(lock: &PathBuf, file: &PathBuf, refresh: &dyn Fn(&str) -> Value) -> String {
    let stored = || -> Value { serde_json::from_slice(&fs::read(file).unwrap()).unwrap() };
    let valid = |stored: &Value| stored["expiry_date"].as_i64().unwrap() - 30_000 > millis(0);
    if valid(&stored()) {
        return stored()["access_token"].as_str().unwrap().to_owned();
    }
    let mut pause = Duration::from_millis(100);
    while let Err(error) = fs::File::create_new(lock) {
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        let modified = fs::metadata(lock).and_then(|lock| lock.modified());
        if modified.is_ok_and(|time| time.elapsed().unwrap_or_default() > Duration::from_secs(10)) {
            let _ = fs::remove_file(lock);
        }
        thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_secs(2));
    }
    fs::write(lock, THEIRS).unwrap();
    let mut now = stored();
    if !valid(&now) {
        let answer = refresh(now["refresh_token"].as_str().unwrap());
        let (access, next) = (
            answer["access_token"].as_str().unwrap(),
            answer["refresh_token"].as_str().unwrap(),
        );
        let temporary = file.with_extension("json.tmp.0b9a3c1e");
        fs::write(&temporary, in_file(access, next, 3600)).unwrap();
        fs::rename(temporary, file).unwrap();
        now = stored();
    }
    let _ = fs::remove_file(lock);
    now["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn with_programs_of_qwen_codes_protocol_there_is_one_refresh() {
    let Some(server) = Identity::start(&[("AT_TTL", "3600")]) else {
        return;
    };
    server.change(&json!({"DELAY": 300}));
    let sandbox = Sandbox::new();
    sandbox.oauth_profile("qwen", "file", &server.oauth());
    let tokens = server.login();
    let (access, refresh) = (&tokens["access_token"], &tokens["refresh_token"]);
    let file = sandbox.write(
        QWEN_FILE,
        in_file(access.as_str().unwrap(), refresh.as_str().unwrap(), -1),
    );
    let lock = sandbox.root().join("home/.qwen/oauth_creds.lock");
    let printed: Vec<String> = thread::scope(|scope| {
        let ours = (0..20)
            .map(|_| scope.spawn(|| sandbox.tool("qwen-token").run().exits(0).text().trim().to_owned()));
        let ours: Vec<_> = ours.collect();
        let theirs =
            (0..20).map(|_| scope.spawn(|| qwen_codes_turn(&lock, &file, &|token| server.refresh(token))));
        let theirs: Vec<_> = theirs.collect();
        ours.into_iter()
            .chain(theirs)
            .map(|turn| turn.join().unwrap())
            .collect()
    });
    assert!(printed.iter().all(|token| *token == printed[0]), "{printed:?}");
    assert_eq!(server.refreshes(), (1, 1));
    assert!(server.is_active(&printed[0]));
}

/// The login that Qwen Code sends to its chat endpoint, after asking it something.
fn sent_by_qwen_code(sandbox: &Sandbox, server: &Server) -> String {
    let program =
        crate::support::peers::directory().join("qwen-code/node_modules/@qwen-code/qwen-code/cli.js");
    assert!(program.is_file());
    let before = server.requests().len();
    let path = std::env::var("PATH").unwrap();
    let run = sandbox
        .command(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/qwen-code"))
        .args(["--auth-type", "qwen-oauth", "-p", "hi"])
        .env("PATH", path)
        .env("QWEN_PEERS_DIR", crate::support::peers::directory())
        .limit(Duration::from_secs(120))
        .run()
        .exits(0);
    assert_eq!(run.text().trim(), "hello there", "{run:#?}");
    let requests = server.requests();
    requests[before].header("authorization").unwrap().to_owned()
}

#[test]
fn qwen_code_itself_takes_the_file_that_we_wrote() {
    let installed = crate::support::peers::directory().join("qwen-code");
    if !crate::support::peers::present("qwen-code", installed.is_dir()) {
        return;
    }
    const ANSWER: &str = "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
        \"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"hello there\"},\
        \"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let server = Server::answering(|_, request| match request.target.as_str() {
        "/token" => Reply::json(200, NEW),
        _ => Reply::new(200, "text/event-stream", ANSWER),
    });
    let sandbox = Sandbox::new();
    expired(&sandbox, &server.url("/token"));
    // Qwen Code takes a plain http URL of loopback from the file: that is how to see which token it sends.
    let stored = sandbox.read(QWEN_FILE).replace("portal.qwen.ai", &server.url(""));
    sandbox.write(QWEN_FILE, stored);
    sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
    assert_eq!(sandbox.mode(QWEN_FILE), 0o600);
    assert_eq!(sent_by_qwen_code(&sandbox, &server), "Bearer at-new");
    sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
}
