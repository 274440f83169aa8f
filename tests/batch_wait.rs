//! Waiting for a batch: for as long as it takes, whatever the network and the server do meanwhile.

use std::time::{Duration, Instant};

use crate::support::batch::batch;
use crate::support::batch_api::BatchApi;
use crate::support::login::{OWN_FILE, login};
use crate::support::{Reply, Run, Sandbox, Server, next_line, signal};
use rustix::process::Signal;
use serde_json::{Value, json};

const LOOK: &str = "GET /v1/batches/batch_x";

fn counts(total: u64, completed: u64, failed: u64) -> Value {
    json!({"total": total, "completed": completed, "failed": failed})
}

/// An API whose only batch goes through these states.
fn going(updates: impl IntoIterator<Item = Value>) -> BatchApi {
    let api = BatchApi::new(updates);
    api.add_batch("batch_x");
    api
}

fn wait(api: &BatchApi, args: &[&str]) -> Run {
    let sandbox = Sandbox::new();
    let tool = batch(&sandbox, &api.server).args(["wait", "batch_x", "--interval", "0.05"]);
    tool.args(args).run()
}

/// What comes in the place of an answer, and passes.
fn passing_faults() -> Vec<Reply> {
    let page = "<html><title>Log in to the Wi-Fi</title></html>";
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"id\":\"ba";
    vec![
        Reply::json(503, "{}"),
        // openclaw/openclaw#88238
        Reply::new(
            502,
            "text/html",
            "<html><head><title>502 Bad Gateway</title></head>",
        ),
        Reply::new(200, "text/html", page),
        Reply::new(401, "text/html", page),
        Reply::with_headers(302, &[("location", "http://portal.example/login")], ""),
        Reply::new(511, "text/html", page),
        Reply::json(200, ""),
        Reply::json(200, "null"),
        Reply::json(200, "{}"),
        // xoai/sage-wiki#124
        Reply::default().send(cut).close(),
        Reply::default().reset(),
        Reply::json(429, "{}"),
        Reply::json(404, r#"{"error":{"message":"No batch found with id 'batch_x'"}}"#),
        // tensorzero/tensorzero#1198
        Reply::json(
            200,
            r#"{"error":{"message":"The server had an error","type":"server_error"}}"#,
        ),
    ]
}

#[test]
fn a_fault_between_two_looks_is_told_once_and_waited_for() {
    for (number, fault) in passing_faults().into_iter().enumerate() {
        let api = going([
            json!({"status": "in_progress"}),
            json!({"status": "completed", "request_counts": counts(1, 1, 0)}),
        ]);
        // Before the first look nothing is known of the batch.
        api.set(|state| {
            state.instead = vec![(LOOK, fault.clone()), (LOOK, fault.clone()), (LOOK, fault)];
            let first = json!({"id": "batch_x", "status": "in_progress"});
            state
                .instead
                .insert(0, (LOOK, Reply::json(200, &first.to_string())));
        });
        let run = wait(&api, &[]).exits(0);
        assert_eq!(
            run.stderr.matches("; still waiting\n").count(),
            1,
            "{number}: {run:#?}"
        );
        assert_eq!(
            run.stderr.matches(" answers again\n").count(),
            1,
            "{number}: {run:#?}"
        );
        assert_eq!(run.stderr.lines().count(), 2, "{number}: {run:#?}");
        assert!(!run.stderr.contains('<'), "{number}: {run:#?}");
    }
}

#[test]
fn faults_without_end_end_it() {
    for (fault, code, words) in [
        (Reply::json(503, "{}"), 75, "the server is busy (503)"),
        (
            Reply::new(200, "text/html", "<html>"),
            76,
            "the answer is a web page",
        ),
        (Reply::json(200, ""), 76, "the answer is empty"),
        (Reply::json(200, "[]"), 76, "the answer is no batch"),
    ] {
        let api = going([]);
        api.set(|state| state.instead = (0..100).map(|_| (LOOK, fault.clone())).collect());
        let run = wait(&api, &["--retries", "0"]);
        let asked = api.calls().len();
        run.fails(code, &[words, "; still waiting"]);
        assert!((20..=60).contains(&asked), "{asked}");
    }
}

#[test]
fn a_batch_that_is_not_there_yet_is_asked_for_again_and_one_that_never_was_ends_it() {
    let missing = || Reply::json(404, r#"{"error":{"message":"No batch found with id 'batch_x'"}}"#);
    let api = going([json!({"status": "completed", "request_counts": counts(1, 1, 0)})]);
    api.set(|state| state.instead = vec![(LOOK, missing()), (LOOK, missing())]);
    let run = wait(&api, &[]).exits(0);
    assert_eq!(run.stderr, "qwen-batch: no batch 'batch_x' yet; asking again\n");
    let api = BatchApi::new([]);
    wait(&api, &[]).fails(69, &["No batch found"]);
    assert_eq!(api.calls().len(), 4);
}

#[test]
fn a_pause_that_the_server_asks_for_is_kept_though_the_interval_is_shorter() {
    let api = going([json!({"status": "completed", "request_counts": counts(1, 1, 0)})]);
    api.reply_once(LOOK, Reply::with_headers(429, &[("retry-after", "2")], "{}"));
    let began = Instant::now();
    wait(&api, &["--interval", "0.01"]).exits(0);
    assert!(began.elapsed() >= Duration::from_secs(2));
}

#[test]
fn an_id_may_have_several_parts() {
    // As Gemini's have.
    let api = BatchApi::new([]);
    let shown = json!({"id": "batches/abc", "status": "completed", "request_counts": counts(1, 1, 0)});
    for command in ["status", "wait", "cancel"] {
        let sandbox = Sandbox::new();
        let kind = match command {
            "cancel" => "POST /v1/batches/batches/abc/cancel",
            _ => "GET /v1/batches/batches/abc",
        };
        api.reply_once(kind, Reply::json(200, &shown.to_string()));
        let tool = batch(&sandbox, &api.server).args([command, "batches/abc"]);
        tool.run().exits(0);
    }
    let sandbox = Sandbox::new();
    for id in ["batches/../files", "/abc", "abc/", "a//b"] {
        let tool = batch(&sandbox, &api.server).args(["status", id]);
        tool.run().fails(64, &["is not a valid batch or file ID"]);
    }
}

#[test]
fn a_refusal_of_the_key_ends_it_at_once() {
    let api = going([]);
    api.reply_once(
        LOOK,
        Reply::json(401, r#"{"error":{"message":"Incorrect API key"}}"#),
    );
    wait(&api, &[]).fails(77, &["Incorrect API key"]);
    assert_eq!(api.calls().len(), 1);
}

#[test]
fn states_end_it_in_any_spelling() {
    for (end, code) in [
        (json!({"status": "COMPLETED"}), 0),
        (json!({"status": "Completed"}), 0),
        (
            json!({"status": "completed", "request_counts": counts(5, 0, 0)}),
            1,
        ),
        (
            json!({"status": "completed", "request_counts": counts(5, 3, 0), "output_file_id": "f"}),
            1,
        ),
        (
            json!({"status": "completed", "request_counts": counts(5, 0, 0), "output_file_id": "f"}),
            0,
        ),
        (json!({"status": "canceled"}), 1),
        (json!({"status": "Cancelled"}), 1),
        (json!({"status": "EXPIRED"}), 1),
        (
            json!({"status": "Failed", "errors": [{"message": "bad line"}]}),
            65,
        ),
        // langchain4j/langchain4j#5750: Mistral's words
        (json!({"status": "SUCCESS", "output_file": "file-1"}), 0),
        (json!({"status": "TIMEOUT_EXCEEDED"}), 1),
        (json!({"status": "archived", "output_file_id": "file-1"}), 1),
    ] {
        let api = going([
            json!({"status": "queued"}),
            json!({"status": "RUNNING"}),
            json!({"status": "cancellation_requested"}),
            end.clone(),
        ]);
        let run = wait(&api, &[]).exits(code);
        let status = format!("status: {}\n", end["status"].as_str().unwrap());
        assert!(run.text().contains(&status), "{run:#?}");
        assert_eq!(api.calls().len(), 4, "{end}");
    }
}

#[test]
fn a_state_that_is_not_known_is_said_once() {
    let odd = json!({"status": "parked"});
    let api = going([odd.clone(), odd.clone(), odd, json!({"status": "completed"})]);
    let run = wait(&api, &[]).exits(0);
    assert_eq!(
        run.stderr,
        "qwen-batch: 'parked' is no known state; still waiting\n"
    );
}

#[test]
fn a_full_queue_is_found_out_by_waiting_too() {
    let errors =
        json!({"data": [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}]});
    let api = going([json!({"status": "failed", "errors": errors})]);
    let run = wait(&api, &[]).exits(75);
    assert!(run.stderr.contains("Enqueued token limit reached"), "{run:#?}");
    assert!(run.stderr.contains("hint: 'qwen-batch list' shows"), "{run:#?}");
}

#[test]
fn ctrl_c_says_how_to_go_on() {
    let api = going([json!({"status": "in_progress", "request_counts": counts(9, 2, 0)})]);
    for (number, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let sandbox = Sandbox::new();
        let before = api.server.count();
        let tool = batch(&sandbox, &api.server).args(["wait", "batch_x", "--interval", "0.05"]);
        let child = tool.start();
        api.server.wait_for(before + 2);
        signal(&child, number);
        Run::wait(child, "wait").gives(
            code,
            "",
            "qwen-batch: batch 'batch_x' goes on: in_progress, 2 of 9 done\n\
             qwen-batch: hint: wait for it with 'qwen-batch wait batch_x', or stop it with 'qwen-batch cancel batch_x'\n",
        );
    }
}

#[test]
fn a_machine_that_slept_goes_on_with_another_connection() {
    let api = going([
        json!({"status": "in_progress"}),
        json!({"status": "completed", "request_counts": counts(1, 1, 0)}),
    ]);
    let first = json!({"id": "batch_x", "status": "in_progress"}).to_string();
    // The server forgets the connection while the program does not run.
    api.reply_once(LOOK, Reply::json(200, &first).close());
    let sandbox = Sandbox::new();
    let tool = batch(&sandbox, &api.server).args(["wait", "batch_x", "--interval", "0.3"]);
    let child = tool.start();
    api.server.wait_for(1);
    signal(&child, Signal::STOP);
    std::thread::sleep(std::time::Duration::from_millis(500));
    signal(&child, Signal::CONT);
    Run::wait(child, "wait").exits(0);
}

#[test]
fn a_token_that_ends_during_the_wait_is_renewed() {
    let sandbox = Sandbox::new();
    let answer =
        json!({"access_token": "at-new", "refresh_token": "rt", "token_type": "Bearer", "expires_in": 3600});
    let tokens = Server::script([Reply::json(200, &answer.to_string())]);
    // The old token is good for two looks.
    let api = Server::answering(|count, request| {
        let token = if count < 2 {
            "Bearer at-old"
        } else {
            "Bearer at-new"
        };
        if request.header("authorization") != Some(token) {
            let error = json!({"error": {"message": "token expired", "code": "invalid_api_key"}});
            return Reply::json(401, &error.to_string());
        }
        let status = if count > 3 { "completed" } else { "in_progress" };
        Reply::json(200, &json!({"id": "batch_x", "status": status}).to_string())
    });
    let oauth =
        json!({"token_endpoint": tokens.url("/token"), "client_id": "c", "allowed_hosts": ["127.0.0.1"]});
    sandbox.config(
        &json!({"profiles": {"work": {
            "provider": "custom", "method": "oauth", "base_url": api.url("/v1"), "model": "m",
            "key": {"store": "file"}, "oauth": oauth,
        }}})
        .to_string(),
    );
    sandbox.write(OWN_FILE, login(-10, 3600).to_string());
    let tool = sandbox
        .tool("qwen-batch")
        .args(["wait", "batch_x", "--interval", "0.05"]);
    let run = tool.run().exits(0);
    assert_eq!((tokens.count(), run.stderr.as_str()), (1, ""));
}

#[test]
fn a_login_server_that_is_away_is_waited_for_too() {
    let sandbox = Sandbox::new();
    let tokens = Server::answering(|count, _| match count {
        0..=2 => Reply::json(503, "{}"),
        _ => {
            let answer = json!({"access_token": "at-new", "refresh_token": "rt", "token_type": "Bearer", "expires_in": 3600});
            Reply::json(200, &answer.to_string())
        }
    });
    let api = Server::answering(|count, request| match (count, request.header("authorization")) {
        (0, _) => Reply::json(
            200,
            &json!({"id": "batch_x", "status": "in_progress"}).to_string(),
        ),
        (_, Some("Bearer at-new")) => {
            Reply::json(200, &json!({"id": "batch_x", "status": "completed"}).to_string())
        }
        _ => Reply::json(
            401,
            r#"{"error":{"message":"token expired","code":"invalid_api_key"}}"#,
        ),
    });
    let oauth =
        json!({"token_endpoint": tokens.url("/token"), "client_id": "c", "allowed_hosts": ["127.0.0.1"]});
    sandbox.config(
        &json!({"profiles": {"work": {
            "provider": "custom", "method": "oauth", "base_url": api.url("/v1"), "model": "m",
            "key": {"store": "file"}, "oauth": oauth,
        }}})
        .to_string(),
    );
    sandbox.write(OWN_FILE, login(-10, 3600).to_string());
    let tool = sandbox
        .tool("qwen-batch")
        .args(["wait", "batch_x", "--interval", "0.05"]);
    tool.run().exits(0);
}

#[test]
fn what_is_waited_for_is_said_while_it_is_waited_for() {
    let api = going([json!({"status": "in_progress"})]);
    api.set(|state| {
        let first = json!({"id": "batch_x", "status": "in_progress"}).to_string();
        state.instead = (0..1000).map(|_| (LOOK, Reply::json(503, "{}"))).collect();
        state.instead.insert(0, (LOOK, Reply::json(200, &first)));
    });
    let sandbox = Sandbox::new();
    let tool = batch(&sandbox, &api.server).args(["wait", "batch_x", "--interval", "0.2"]);
    let mut child = tool.start();
    let line = next_line(&mut child);
    assert!(
        line.ends_with("the server is busy (503); still waiting\n"),
        "{line}"
    );
    signal(&child, Signal::TERM);
    Run::wait(child, "wait").exits(143);
}
