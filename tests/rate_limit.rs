//! The rate limit that all processes share: kept, and never refused by the server.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::chat::{answer, name};
use crate::support::{Reply, Request, Run, Sandbox, Server, Tool};

const SECRET: &str = "sk-canary-0123456789";

/// A sandbox whose only profile asks `server` under that rate.
fn sandbox(server: &Server, rate: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let url = server.url("/v1");
    sandbox.config(&format!(
        r#"{{"default_profile":"p","profiles":{{"p":{{"method":"api-key","base_url":"{url}","model":"m","rate":{rate}}}}}}}"#
    ));
    sandbox
}

fn chat(sandbox: &Sandbox) -> Tool {
    sandbox
        .tool("qwen-chat")
        .env("OPENAI_API_KEY", SECRET)
        .args(["--no-stdin", "hi"])
}

fn reply(request: &Request) -> Reply {
    match request.json()["stream"].as_bool() {
        Some(true) => answer(&["hello"]),
        _ => Reply::json(
            200,
            r#"{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#,
        ),
    }
}

/// A server that refuses what is above so many requests in any span of that length.
fn strict(most: usize, span: Duration) -> Server {
    let taken: Mutex<Vec<Instant>> = Mutex::default();
    Server::answering(move |_, request| {
        let now = Instant::now();
        let mut taken = taken.lock().unwrap();
        taken.retain(|&at| now - at < span);
        if taken.len() >= most {
            return Reply::json(429, r#"{"error":{"message":"too fast"}}"#);
        }
        taken.push(now);
        reply(request)
    })
}

fn generous() -> Server {
    Server::answering(|_, request| reply(request))
}

/// Runs so many qwen-chat by `xargs -P 32`; each prints its answer and a newline.
fn xargs(sandbox: &Sandbox, count: usize) -> Run {
    let numbers: String = (0..count).map(|number| format!("{number}\n")).collect();
    sandbox
        .command("/usr/bin/xargs")
        .env("OPENAI_API_KEY", SECRET)
        .args([
            "-P",
            "32",
            "-I{}",
            "qwen-chat",
            "-q",
            "--no-stdin",
            "--retries",
            "0",
            "hi {}",
        ])
        .stdin(numbers)
        .run()
}

/// The file of the only quota.
fn book(sandbox: &Sandbox) -> PathBuf {
    let directory = sandbox.home().join(".local/state/qwen/pace");
    let mut books = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let book = books.next().unwrap();
    assert_eq!(books.next(), None);
    book
}

fn count(sandbox: &Sandbox) -> u64 {
    let book: serde_json::Value = serde_json::from_slice(&fs::read(book(sandbox)).unwrap()).unwrap();
    book["count"].as_u64().unwrap()
}

#[test]
fn a_hundred_and_fifty_chats_at_once_are_paced_and_not_refused() {
    // Sixty in six seconds: a tenth of the time that sixty a minute would take.
    let server = strict(60, Duration::from_secs(6));
    let sandbox = sandbox(&server, r#"{"per_minute": 600}"#);
    let run = xargs(&sandbox, 150).exits(0);
    assert_eq!(
        (run.text().matches("hello").count(), run.stderr.as_str()),
        (150, "")
    );
    assert_eq!(server.requests().len(), 150, "none was refused");
    assert_eq!(count(&sandbox), 150);
    assert!(run.elapsed >= Duration::from_secs(12), "{:?}", run.elapsed);
}

#[test]
fn a_rate_of_a_few_a_minute_is_kept_in_the_minute() {
    let server = strict(20, Duration::from_secs(60));
    let sandbox = sandbox(&server, r#"{"per_minute": 20}"#);
    let run = xargs(&sandbox, 40).exits(0);
    assert_eq!(server.requests().len(), 40, "none was refused");
    assert!(run.elapsed >= Duration::from_secs(60), "{:?}", run.elapsed);
}

#[test]
fn waiters_that_are_killed_leave_the_quota_whole() {
    let server = strict(60, Duration::from_secs(2));
    let sandbox = sandbox(&server, r#"{"per_minute": 1800}"#);
    let mut killed = Vec::new();
    for round in 0..80_u64 {
        let mut child = chat(&sandbox).arg("-q").start();
        if round % 2 == 0 {
            killed.push((child, Instant::now() + Duration::from_millis(round / 2)));
        } else {
            child.wait().unwrap();
        }
        for (child, at) in &mut killed {
            if Instant::now() >= *at {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
    for (child, _) in &mut killed {
        let _ = child.kill();
        let _ = child.wait();
    }
    let run = chat(&sandbox).run().exits(0);
    assert_eq!(
        run.stderr, "",
        "the state is whole, and nothing that was killed is waited for"
    );
}

#[test]
fn a_used_up_day_says_when_it_renews_and_sends_nothing() {
    let server = generous();
    let sandbox = sandbox(&server, r#"{"per_day": 2}"#);
    for _ in 0..2 {
        chat(&sandbox).run().gives(0, "hello\n", "");
    }
    let run = chat(&sandbox).run().fails(
        69,
        &[
            "qwen-chat: the quota of 2 requests a day is used up; it renews at 20",
            "T00:00:00Z\n",
            "hint: add --no-pace to ask the server all the same\n",
        ],
    );
    assert!(!run.stderr.contains("waiting"), "{run:#?}");
    let batch = sandbox
        .tool("qwen-batch")
        .env("OPENAI_API_KEY", SECRET)
        .arg("run")
        .stdin("{\"prompt\":\"x\"}\n");
    batch
        .run()
        .fails(69, &["the quota of 2 requests a day is used up"]);
    assert_eq!(server.requests().len(), 2);
    chat(&sandbox).arg("--no-pace").run().gives(0, "hello\n", "");
    assert_eq!((server.requests().len(), count(&sandbox)), (3, 3));
}

#[test]
fn chat_and_batch_use_one_quota() {
    let server = generous();
    let sandbox = sandbox(&server, r#"{"per_day": 9}"#);
    chat(&sandbox).run().exits(0);
    let lines = "{\"prompt\":\"x\"}\n".repeat(3);
    let batch = sandbox
        .tool("qwen-batch")
        .env("OPENAI_API_KEY", SECRET)
        .arg("run");
    batch.stdin(lines).run().exits(0);
    assert_eq!(count(&sandbox), 4);
}

#[test]
fn a_request_that_reached_no_server_does_not_count() {
    let server = generous();
    let sandbox = sandbox(&server, r#"{"per_day": 9}"#);
    chat(&sandbox).run().exits(0);
    let closed = server.url("/v1");
    drop(server);
    let run = chat(&sandbox).args(["--retries", "1"]).run();
    assert_eq!(run.code(), 75, "{closed}: {run:#?}");
    assert_eq!(count(&sandbox), 1);
}

#[test]
fn a_pause_that_one_process_was_asked_for_is_heeded_by_the_next() {
    for rate in ["{}", r#"{"per_minute": 60}"#] {
        let server = Server::answering(|number, request| match number {
            0 => Reply::with_headers(429, &[("retry-after", "4")], "{}"),
            _ => reply(request),
        });
        let sandbox = sandbox(&server, rate);
        chat(&sandbox).args(["--retries", "0"]).run().exits(75);
        let run = chat(&sandbox).run().exits(0);
        let said = "qwen-chat: waiting 4 s: the server asked for a pause\n";
        assert_eq!(
            (run.text().as_str(), run.stderr.as_str()),
            ("hello\n", said),
            "{rate}"
        );
        assert!(run.elapsed >= Duration::from_secs(3), "{run:#?}");
        assert_eq!(server.requests().len(), 2);
        // Nothing of it is left after the pause.
        chat(&sandbox).run().gives(0, "hello\n", "");
    }
}

#[test]
fn a_pause_longer_than_a_minute_is_no_matter_of_pace() {
    let server = Server::answering(|number, request| match number {
        0 => Reply::with_headers(429, &[("retry-after", "3600")], "{}"),
        _ => reply(request),
    });
    let sandbox = sandbox(&server, "{}");
    chat(&sandbox).run().fails(75, &[&name(&server), "1 h"]);
    chat(&sandbox).run().gives(0, "hello\n", "");
}

#[test]
fn without_a_rate_and_a_pause_nothing_is_kept() {
    let server = generous();
    let sandbox = sandbox(&server, "{}");
    chat(&sandbox).run().exits(0);
    assert!(!sandbox.home().join(".local/state/qwen/pace").exists());
}

#[test]
fn a_wait_of_a_moment_is_not_announced() {
    let server = generous();
    let sandbox = sandbox(&server, r#"{"per_minute": 3600}"#);
    let lines = "{\"prompt\":\"x\"}\n".repeat(61);
    let batch = sandbox.tool("qwen-batch").env("OPENAI_API_KEY", SECRET);
    let run = batch.args(["run", "-j", "64"]).stdin(lines).run().exits(0);
    assert_eq!(run.stderr, "");
    assert!(run.elapsed >= Duration::from_secs(1), "{run:#?}");
}

#[test]
fn a_count_that_cannot_be_kept_is_a_notice_and_no_failure() {
    let server = generous();
    let sandbox = sandbox(&server, r#"{"per_minute": 1}"#);
    let state = sandbox.write("state", "a file");
    for _ in 0..2 {
        let run = chat(&sandbox).env("XDG_STATE_HOME", &state).run().exits(0);
        assert_eq!(run.text(), "hello\n");
        let said = "qwen-chat: requests are not rate limited: they cannot be counted: ";
        assert!(run.stderr.starts_with(said), "{run:#?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    }
}

#[test]
fn a_damaged_count_begins_anew() {
    let server = generous();
    let sandbox = sandbox(&server, r#"{"per_minute": 60}"#);
    chat(&sandbox).run().gives(0, "hello\n", "");
    for damage in [
        &b""[..],
        b"\0\0\0\0",
        b"{\"version\":1",
        b"[]",
        b"{\"version\":99}",
    ] {
        fs::write(book(&sandbox), damage).unwrap();
        let said = "qwen-chat: the count of requests was unreadable and begins anew\n";
        chat(&sandbox).run().gives(0, "hello\n", said);
        chat(&sandbox).run().gives(0, "hello\n", "");
        assert_eq!(count(&sandbox), 2);
    }
    let path = book(&sandbox);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(sandbox.write("elsewhere", "untouched"), &path).unwrap();
    chat(&sandbox).run().exits(0);
    assert_eq!(sandbox.read("elsewhere"), "untouched");
}

#[test]
fn what_is_no_file_in_the_counts_place_holds_up_nobody() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let server = generous();
    let sandbox = sandbox(&server, r#"{"per_minute": 60}"#);
    chat(&sandbox).run().gives(0, "hello\n", "");
    let path = book(&sandbox);
    for name in [path.with_extension("new"), path.with_extension("json.lock"), path] {
        let _ = fs::remove_file(&name);
        mknodat(CWD, &name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let run = chat(&sandbox).run().exits(0);
        assert_eq!(run.text(), "hello\n");
    }
}

#[test]
fn the_state_shows_no_secret_and_is_its_owners_alone() {
    let server = generous();
    let sandbox = sandbox(&server, r#"{"per_minute": 60}"#);
    chat(&sandbox).run().exits(0);
    let path = book(&sandbox);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let content = fs::read_to_string(&path).unwrap();
    assert!(!content.contains("canary") && !path.display().to_string().contains("canary"));
}

#[test]
fn another_key_has_a_quota_of_its_own_and_another_profile_with_the_key_has_not() {
    let server = generous();
    let sandbox = Sandbox::new();
    let profile = format!(
        r#"{{"method":"api-key","base_url":"{}","model":"m","rate":{{"per_day":1}}}}"#,
        server.url("/v1")
    );
    sandbox.config(&format!(
        r#"{{"default_profile":"p","profiles":{{"p":{profile},"q":{profile}}}}}"#
    ));
    chat(&sandbox).run().exits(0);
    chat(&sandbox).args(["--profile", "q"]).run().exits(69);
    chat(&sandbox).env("OPENAI_API_KEY", "sk-another").run().exits(0);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_pause_is_about_one_model_and_leaves_the_others_free() {
    let server = Server::answering(|_, request| match request.json()["model"].as_str() {
        Some("m") => Reply::with_headers(429, &[("retry-after", "30")], "{}"),
        _ => reply(request),
    });
    for rate in ["{}", r#"{"per_minute": 600}"#] {
        let sandbox = sandbox(&server, rate);
        let before = server.count();
        chat(&sandbox).args(["--retries", "0"]).run().exits(75);
        chat(&sandbox).args(["-m", "other"]).run().gives(0, "hello\n", "");
        chat(&sandbox)
            .args(["--max-time", "0.5"])
            .run()
            .fails(75, &["the server asked for a pause", "not done within 0.5 s"]);
        assert_eq!(server.count() - before, 2, "the paused model was not asked again");
    }
}
