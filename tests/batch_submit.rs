//! What a Batch API would reject is rejected before anything is sent; what it rejects itself is reported.

use crate::support::batch::{batch, line, lines, prompt, whole};
use crate::support::batch_api::{BatchApi, Form, Metadata, refusal};
use crate::support::chat::KEY;
use crate::support::{Gate, Reply, Run, Sandbox, Server, Tool, signal};
use rustix::process::Signal;
use serde_json::{Value, json};

/// qwen-batch with a profile of that provider, whose endpoint is `server`.
fn of_provider(sandbox: &Sandbox, provider: &str, server: &Server) -> Tool {
    let profile =
        json!({"provider": provider, "base_url": server.url("/v1"), "model": "m-1", "key": {"env": "KEY"}});
    sandbox.config(&json!({"profiles": {"p": profile}}).to_string());
    sandbox.tool("qwen-batch").env("KEY", KEY)
}

fn refused(provider: &str, input: &str) -> Run {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    sandbox.write("work/in.jsonl", input);
    let tool = of_provider(&sandbox, provider, &server);
    tool.args(["submit", "in.jsonl"]).run()
}

#[test]
fn more_requests_than_a_batch_may_have_are_submitted_in_parts() {
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    sandbox.write("work/in.jsonl", lines(5_001));
    // The one that takes the fewest; by a proxy, which is ours.
    let profile = json!({
        "base_url": "http://api.siliconflow.cn/v1", "model": "m-1", "key": {"env": "KEY"}, "allow_http": true,
    });
    sandbox.config(&json!({"profiles": {"p": profile}}).to_string());
    let tool = sandbox.tool("qwen-batch").env("KEY", KEY);
    let tool = tool.env("http_proxy", api.server.url(""));
    tool.args(["submit", "in.jsonl"]).run().gives(
        0,
        "batch_1\nbatch_2\n",
        "qwen-batch: part 1 of 2: 5000 requests: 'batch_1'\n\
         qwen-batch: part 2 of 2: 1 requests: 'batch_2'\n",
    );
    let parts: Vec<usize> = api
        .server
        .requests()
        .iter()
        .filter(|request| request.target == "http://api.siliconflow.cn/v1/files")
        .map(|request| {
            Form::read(request)
                .file
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count()
        })
        .collect();
    assert_eq!(parts, [5_000, 1]);
}

#[test]
fn an_id_that_nobody_reads_is_said() {
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    sandbox.write("work/in.jsonl", lines(1));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = batch(&sandbox, &api.server)
        .args(["submit", "in.jsonl"])
        .into_command();
    let output = command.stdout(writer).output().unwrap();
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(
        (
            output.status.signal(),
            String::from_utf8_lossy(&output.stderr).as_ref()
        ),
        (Some(13), "qwen-batch: the batch was created: 'batch_1'\n")
    );
}

#[test]
fn the_rest_of_the_parts_can_be_submitted_by_what_is_said() {
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    sandbox.write("work/my in.jsonl", "\n".to_owned() + &large_lines(6));
    let full = refusal(
        429,
        "token_limit_exceeded",
        "Enqueued token limit reached for m-1.",
    );
    api.set(|state| {
        // The first part is taken.
        state.instead = (0..4).map(|_| ("POST /v1/batches", full.clone())).collect();
        state.instead.insert(0, ("POST /v1/batches", created("batch_a")));
    });
    let tool = of_provider(&sandbox, "moonshot", &api.server);
    let run = tool.args(["submit", "my in.jsonl", "--retries", "0"]).run();
    let run = run.exits(75);
    assert_eq!(run.text(), "batch_a\n");
    let hint = run.stderr.lines().last().unwrap();
    let command = hint.split('"').nth(1).unwrap();
    assert!(run.stderr.contains("part 2 of 2: "), "{run:#?}");
    api.set(|state| state.instead.clear());
    let shell = sandbox.command("/bin/sh").args(["-c", command]);
    shell.env("KEY", KEY).run().gives(0, "batch_1\n", "");
    let rest = api.server.requests();
    let rest = rest
        .iter()
        .rfind(|request| request.target == "/v1/files")
        .unwrap();
    let rest = String::from_utf8(Form::read(rest).file).unwrap();
    let names: Vec<String> = rest
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["custom_id"].to_string())
        .collect();
    assert_eq!(names, ["\"q4\"", "\"q5\""]);
}

/// Lines of which a file of Moonshot's, of 95 MiB, holds four.
fn large_lines(count: usize) -> String {
    let prompt = "x".repeat(20 << 20);
    (0..count)
        .map(|number| line(&format!("q{number}"), &prompt))
        .collect()
}

fn created(id: &str) -> Reply {
    Reply::json(200, &json!({"id": id, "status": "validating"}).to_string())
}

#[test]
fn ctrl_c_between_two_parts_says_how_the_rest_is_submitted() {
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    sandbox.write("work/in.jsonl", large_lines(5));
    api.set(|state| {
        state.instead = vec![
            ("POST /v1/files", Reply::json(200, r#"{"id":"file-1"}"#)),
            ("POST /v1/files", Reply::default().hold()),
        ];
        state.files.insert("file-1".to_owned(), Vec::new());
    });
    let tool = of_provider(&sandbox, "moonshot", &api.server);
    let child = tool.args(["submit", "in.jsonl"]).start();
    api.server.wait_for(3);
    signal(&child, Signal::INT);
    let run = Run::wait(child, "submit").exits(130);
    assert_eq!(run.text(), "batch_1\n");
    assert!(run.stderr.contains("1 of 2 parts submitted"), "{run:#?}");
    let hint = "submit the rest with \"tail -n +5 in.jsonl | qwen-batch submit -\"";
    assert!(run.stderr.contains(hint), "{run:#?}");
}

#[test]
fn ctrl_c_waits_a_moment_for_the_id_of_a_batch_that_is_being_created() {
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    sandbox.write("work/in.jsonl", lines(1));
    let gate = Gate::default();
    let answer = json!({"id": "batch_late", "status": "validating"}).to_string();
    let answer = Reply::default().gate(&gate).then(Reply::json(200, &answer));
    api.reply_once("POST /v1/batches", answer);
    let child = batch(&sandbox, &api.server).args(["submit", "in.jsonl"]).start();
    api.server.wait_for(2);
    signal(&child, Signal::TERM);
    gate.open();
    let run = Run::wait(child, "submit").exits(143);
    assert_eq!(run.text(), "batch_late\n");
}

#[test]
fn a_line_that_is_too_long_is_not_sent() {
    let long = "x".repeat(10 << 20);
    refused("dashscope", &line("a", &long)).gives(
        65,
        "",
        "qwen-batch: in.jsonl:1: longer than 6 MiB as it would be sent\n\
         qwen-batch: 'in.jsonl': 1 malformed line; nothing was sent\n",
    );
}

/// Creations of which it is not known whether they happened: the reply.
fn unclear() -> [Reply; 5] {
    let page = "<html><title>Log in to the Wi-Fi</title></html>";
    [
        Reply::json(500, "{}"),
        Reply::json(200, "[]"),
        Reply::new(200, "text/html", page),
        Reply::new(403, "text/html", page),
        Reply::default()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"id\":\"ba")
            .close(),
    ]
}

#[test]
fn the_input_of_a_batch_that_may_exist_is_never_deleted() {
    for reply in unclear() {
        let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
        sandbox.write("work/in.jsonl", lines(1));
        api.reply_once("POST /v1/batches", reply);
        let run = batch(&sandbox, &api.server).args(["submit", "in.jsonl"]).run();
        let code = run.code();
        assert!([69, 75, 76].contains(&code), "{run:#?}");
        let run = run.fails(code, &["looking whether the batch was created"]);
        assert!(
            run.stderr.contains("hint: see with 'qwen-batch list' whether"),
            "{run:#?}"
        );
        assert!(
            run.stderr.contains("hint: its input is kept: 'file-1'"),
            "{run:#?}"
        );
        let calls = api.calls();
        assert_eq!(calls[..2], ["POST /v1/files", "POST /v1/batches"]);
        assert!(
            calls[2..].iter().all(|call| call.starts_with("GET /v1/batches?")),
            "{calls:?}"
        );
    }
}

#[test]
fn the_input_is_deleted_where_the_api_says_that_there_is_no_batch() {
    for (status, code) in [
        (400, 65),
        (401, 77),
        (403, 69),
        (404, 69),
        (413, 65),
        (422, 65),
        (429, 75),
    ] {
        let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
        sandbox.write("work/in.jsonl", lines(1));
        api.reply_once("POST /v1/batches", refusal(status, "", "bad window"));
        let tool = batch(&sandbox, &api.server).args(["submit", "in.jsonl", "--retries", "0"]);
        tool.run().fails(code, &["bad window"]);
        assert_eq!(
            api.calls(),
            ["POST /v1/files", "POST /v1/batches", "DELETE /v1/files/file-1"],
            "{status}"
        );
    }
}

#[test]
fn a_busy_server_is_asked_again_where_that_makes_nothing_twice() {
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    sandbox.write("work/in.jsonl", lines(1));
    let busy = Reply::with_headers(429, &[("retry-after", "0")], "{}");
    let cut = Reply::default()
        .send("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{")
        .close();
    let page = Reply::new(200, "text/html", "<html>");
    for reply in [Reply::json(503, "{}"), cut, page] {
        api.reply_once("POST /v1/files", reply);
    }
    api.reply_once("POST /v1/batches", busy);
    let run = batch(&sandbox, &api.server)
        .args(["submit", "in.jsonl"])
        .run()
        .exits(0);
    assert_eq!(run.text(), "batch_1\n");
    assert_eq!(api.state.lock().unwrap().batches.len(), 1);
}

/// BerriAI/litellm#37203 and others: engines that drop metadata, or refuse it.
#[test]
fn a_batch_whose_creation_was_not_answered_is_found_again() {
    for metadata in [Metadata::Kept, Metadata::Dropped, Metadata::Refused] {
        let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
        sandbox.write("work/in.jsonl", lines(1));
        api.add_batch("batch_0");
        api.set(|state| (state.metadata, state.lost_creations) = (metadata, 1));
        let run = batch(&sandbox, &api.server)
            .args(["submit", "in.jsonl"])
            .run()
            .exits(0);
        assert_eq!(run.text(), "batch_2\n", "{run:#?}");
        assert!(
            run.stderr.contains("looking whether the batch was created"),
            "{run:#?}"
        );
        assert!(!api.calls().iter().any(|call| call.starts_with("DELETE")));
        assert_eq!(api.state.lock().unwrap().batches.len(), 2, "made once");
    }
}

#[test]
fn metadata_that_was_not_asked_for_is_taken_back_and_the_users_own_is_not() {
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    sandbox.write("work/in.jsonl", lines(1));
    api.set(|state| state.metadata = Metadata::Refused);
    let submit = |args: &[&str]| {
        let tool = batch(&sandbox, &api.server).args(["submit", "in.jsonl"]);
        tool.args(args).run()
    };
    submit(&[]).gives(0, "batch_1\n", "");
    let orders: Vec<Value> = api
        .server
        .requests()
        .iter()
        .filter(|request| request.target == "/v1/batches")
        .map(crate::support::Request::json)
        .collect();
    assert_eq!(orders.len(), 2);
    assert!(orders[0].get("metadata").is_some() && orders[1].get("metadata").is_none());
    submit(&["--metadata", "team=docs"]).fails(65, &["Unknown parameter: 'metadata'"]);
}

/// openai/openai-dotnet#312: Azure makes no batch of a file that is not processed yet.
#[test]
fn a_batch_is_created_once_the_provider_has_processed_the_file() {
    for states in [
        vec!["pending", "running", "processed"],
        vec!["uploaded", "processed"],
        // It says so at the creation alone.
        vec!["processed"],
    ] {
        let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
        sandbox.write("work/in.jsonl", lines(1));
        let is_quiet = states.len() == 1;
        api.set(|state| state.file_states = states);
        if is_quiet {
            let words = "File 'file-1' is not in the processed state. Current status: pending";
            api.reply_once("POST /v1/batches", refusal(400, "invalidPayload", words));
        }
        let run = batch(&sandbox, &api.server)
            .args(["submit", "in.jsonl"])
            .run()
            .exits(0);
        assert_eq!(run.text(), "batch_1\n");
        assert_eq!(
            run.stderr.matches("waiting until it is processed").count(),
            1,
            "{run:#?}"
        );
        assert!(!api.calls().iter().any(|call| call.starts_with("DELETE")));
    }
}

#[test]
fn a_file_whose_state_never_changes_is_tried_and_one_that_was_rejected_is_named() {
    let submit = |states: Vec<&'static str>, replies: &[Reply]| {
        let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
        sandbox.write("work/in.jsonl", lines(1));
        api.set(|state| state.file_states = states);
        for reply in replies {
            api.reply_once("POST /v1/batches", reply.clone());
        }
        let run = batch(&sandbox, &api.server).args(["submit", "in.jsonl"]).run();
        (run, api.calls())
    };
    let made = created("batch_m");
    let (run, _) = submit(vec!["uploaded"], &[made]);
    assert_eq!(run.exits(0).text(), "batch_m\n");
    let (run, calls) = submit(vec!["pending", "error"], &[]);
    run.fails(65, &["file 'file-1' was rejected ('error')"]);
    assert_eq!(calls.last().unwrap(), "DELETE /v1/files/file-1");
    assert!(!calls.contains(&"POST /v1/batches".to_owned()));
}

/// openai/openai-python#2084 and #1643: the answer to the creation, or a later look, says that the queue is full.
#[test]
fn a_full_queue_is_a_matter_of_time() {
    let words = "Enqueued token limit reached for m-1 in organization o. Limit: 2,000,000 enqueued tokens.";
    let failed = json!({"id": "batch_f", "status": "failed", "errors": {"object": "list", "data": [
        {"code": "token_limit_exceeded", "message": words, "line": null}]}});
    for reply in [
        Reply::json(200, &failed.to_string()),
        refusal(400, "token_limit_exceeded", words),
        refusal(403, "token_limit_exceeded", words),
    ] {
        let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
        sandbox.write("work/in.jsonl", lines(1));
        api.reply_once("POST /v1/batches", reply);
        let run = batch(&sandbox, &api.server).args(["submit", "in.jsonl"]).run();
        run.fails(
            75,
            &["Enqueued token limit reached", "hint: 'qwen-batch list' shows"],
        );
    }
}

#[test]
fn an_account_that_is_full_of_files_is_said_to_be_so() {
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    let words = "The quota for files without expiry is reached. The maximum is 500.";
    api.reply_once("POST /v1/files", refusal(400, "quotaExceeded", words));
    sandbox.write("work/in.jsonl", lines(2));
    let run = batch(&sandbox, &api.server).args(["submit", "in.jsonl"]).run();
    assert!(!run.stderr.contains("balance"), "{run:#?}");
    run.fails(
        69,
        &[
            "The maximum is 500",
            "hint: delete files that no batch needs any more",
        ],
    );
}

#[test]
fn a_batch_asks_one_model() {
    let of = |name: &str, model: &str| {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
        format!("{}\n", json!({"custom_id": name, "body": body}))
    };
    let input = of("a", "m-1") + &line("b", "x") + &of("c", "m-2");
    refused("openai", &input).gives(
        65,
        "",
        "qwen-batch: in.jsonl:3: 'model' is not 'm-1', as on the lines before\n\
         qwen-batch: 'in.jsonl': 1 malformed line; nothing was sent\n",
    );
    // Unless one is named for all.
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    sandbox.write("work/in.jsonl", &input);
    let tool = batch(&sandbox, &api.server).args(["submit", "in.jsonl", "-m", "m-3"]);
    tool.run().gives(0, "batch_1\n", "");
    let file = Form::read(&api.server.requests()[0]).file;
    for asked in String::from_utf8(file).unwrap().lines() {
        let asked: Value = serde_json::from_str(asked).unwrap();
        assert_eq!(asked["body"]["model"], "m-3");
    }
}

#[test]
fn a_batch_that_has_ended_cannot_be_stopped_and_the_server_says_so_once() {
    let sandbox = Sandbox::new();
    let error = json!({"error": {"message": "Cannot cancel a batch with status 'completed'."}});
    let server = Server::script([Reply::json(409, &error.to_string())]);
    let run = batch(&sandbox, &server).args(["cancel", "batch_x"]).run();
    let run = run.fails(65, &["the request was refused (409): Cannot cancel a batch"]);
    assert_eq!((run.stderr.lines().count(), server.requests().len()), (1, 1));
}

#[test]
fn waiting_is_given_up_in_time_when_the_server_says_nothing() {
    let sandbox = Sandbox::new();
    let server = Server::script([Reply::default().hold()]);
    let tool = batch(&sandbox, &server).args(["wait", "batch_x", "--timeout", "0.5"]);
    let run = tool.run();
    run.fails(
        75,
        &["batch 'batch_x' has not ended within 0.5 s: its status is unknown"],
    );
}

/// OUT as it stands after a run: `done` answered, `failed` not.
fn results_of_a_run(sandbox: &Sandbox, failing: &'static str) {
    let here = Server::answering(move |_, request| match prompt(request) {
        text if text == failing => Reply::json(400, r#"{"error":{"message":"no"}}"#),
        text => whole(&text),
    });
    let run = batch(sandbox, &here)
        .args(["run", "in.jsonl", "-o", "out.jsonl"])
        .run();
    run.exits(i32::from(!failing.is_empty()));
}

fn handed_in(api: &BatchApi) -> Vec<String> {
    let requests = api.server.requests();
    let file = requests
        .iter()
        .rfind(|request| request.target == "/v1/files")
        .unwrap();
    let file = String::from_utf8(Form::read(file).file).unwrap();
    let name = |line: &str| serde_json::from_str::<Value>(line).unwrap()["custom_id"].clone();
    file.lines()
        .map(|line| name(line).as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_has_a_good_answer_is_not_handed_in_again() {
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    sandbox.write("work/in.jsonl", lines(3));
    results_of_a_run(&sandbox, "q1");
    sandbox.write("work/in.jsonl", lines(5));
    let submit = || batch(&sandbox, &api.server).args(["submit", "in.jsonl", "--except", "out.jsonl"]);
    submit()
        .run()
        .gives(0, "batch_1\n", "qwen-batch: 2 there already in 'out.jsonl'\n");
    assert_eq!(handed_in(&api), ["q1", "q3", "q4"]);
    // An engine's answers have no digest: their name alone is known.
    let answer = |name: &str| {
        let response = json!({"status_code": 200, "request_id": "", "body": {"choices": [{"index": 0}]}});
        format!(
            "{}\n",
            json!({"id": "batch_req_1", "custom_id": name, "response": response, "error": null})
        )
    };
    let rest = sandbox.read("work/out.jsonl") + &answer("q3") + "{\"id\":\"batch_r";
    sandbox.write("work/out.jsonl", &rest);
    let words = "qwen-batch: 3 there already in 'out.jsonl', 1 of them not compared\n";
    submit().run().gives(0, "batch_2\n", words);
    assert_eq!(handed_in(&api), ["q1", "q4"]);
    assert_eq!(sandbox.read("work/out.jsonl"), rest, "it is not changed");
}

#[test]
fn a_request_that_has_changed_is_handed_in_and_said() {
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    sandbox.write("work/in.jsonl", lines(2));
    results_of_a_run(&sandbox, "");
    sandbox.write("work/in.jsonl", line("q0", "another") + &line("q1", "q1"));
    let tool = batch(&sandbox, &api.server).args(["submit", "in.jsonl", "--except", "out.jsonl"]);
    let run = tool.run().exits(0);
    assert_eq!(handed_in(&api), ["q0"]);
    assert!(
        run.stderr
            .contains("1 with an answer to another request in 'out.jsonl': 'q0'\n"),
        "{run:#?}"
    );
    assert!(run.stderr.contains("into another file"), "{run:#?}");
}

#[test]
fn nothing_is_sent_where_nothing_is_left_and_where_out_is_something_else() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    sandbox.write("work/in.jsonl", lines(2));
    results_of_a_run(&sandbox, "");
    let submit = |out: &str| {
        let tool = batch(&sandbox, &server).args(["submit", "in.jsonl", "--except", out]);
        tool.run()
    };
    submit("out.jsonl").gives(
        0,
        "",
        "qwen-batch: 2 there already in 'out.jsonl'\n\
         qwen-batch: nothing to submit: every request has a good answer\n",
    );
    submit("in.jsonl").fails(65, &["in.jsonl:1: not a result"]);
    submit("none.jsonl").fails(66, &["'none.jsonl'"]);
}

#[test]
fn a_file_that_is_not_found_right_after_its_upload_is_waited_for_and_kept() {
    // bespokelabsai/curator#116.
    let words = "Cannot find file file-1, or project proj_1 does not have access to it.";
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    for _ in 0..2 {
        api.reply_once("POST /v1/batches", refusal(400, "", words));
    }
    sandbox.write("work/in.jsonl", lines(2));
    let run = batch(&sandbox, &api.server).args(["submit", "in.jsonl"]).run();
    let server = api.server.url("").replace("http://", "");
    run.gives(
        0,
        "batch_1\n",
        &format!("qwen-batch: '{server}': it does not find the file 'file-1' yet; asking again\n"),
    );
    let calls = api.calls();
    assert!(!calls.iter().any(|call| call.starts_with("DELETE")), "{calls:?}");
}

/// Every limit on open files from none at all to enough.
#[test]
fn few_descriptors_are_to_be_tried_again_and_hand_in_nothing_by_halves() {
    let (mut refused, mut done) = (0, 0);
    for limit in 3..32 {
        let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
        let server = api.server.optional();
        sandbox.write("work/in.jsonl", lines(3));
        let script = format!("ulimit -n {limit}; exec qwen-batch submit in.jsonl --retries 0");
        let tool = sandbox.command("/bin/sh").args(["-c", &script]);
        let run = tool
            .env("OPENAI_API_KEY", crate::support::chat::KEY)
            .env("OPENAI_BASE_URL", server.url("/v1"))
            .run();
        let batches = api.state.lock().unwrap().batches.len();
        match run.code() {
            // The loader's own refusal.
            127 => {}
            0 => {
                assert_eq!((run.text().as_str(), batches), ("batch_1\n", 1));
                done += 1;
            }
            code => {
                assert_eq!((code, batches), (75, 0), "{limit}: {run:#?}");
                let told = format!("too many open files: limit {limit} (ulimit -n)");
                assert!(run.stderr.contains(&told), "{run:#?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && done > 0, "{refused} {done}");
}
