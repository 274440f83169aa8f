//! The provider's Batch API: submit, status, wait, fetch, from any machine at any time.
use std::fs;

use crate::support::batch::{batch, echo, line, lines, results_in, whole_body};
use crate::support::batch_api::{BatchApi, Form};
use crate::support::chat::KEY;
use crate::support::{Reply, Sandbox, Server};
use serde_json::{Value, json};

/// A result as the API's files have it, with blanks that ours do not have.
fn result(custom_id: &str, status: u16) -> String {
    let body = if status == 200 {
        whole_body(custom_id)
    } else {
        json!({"error": {"message": "no"}})
    };
    format!(
        "{{\"id\": \"batch_req_{custom_id}\", \"custom_id\": \"{custom_id}\", \"response\": {{\"status_code\": {status}, \"request_id\": \"r\", \"body\": {body}}}, \"error\": null}}\n"
    )
}

fn expired(custom_id: &str) -> String {
    let error = json!({"code": "batch_expired", "message": "This request could not be executed before the completion window expired."});
    format!(
        "{}\n",
        json!({"id": "x", "custom_id": custom_id, "response": null, "error": error})
    )
}

fn counts(total: u64, completed: u64, failed: u64) -> Value {
    json!({"total": total, "completed": completed, "failed": failed})
}

fn submit(sandbox: &Sandbox, api: &BatchApi, args: &[&str]) -> crate::support::Run {
    batch(sandbox, &api.server).arg("submit").args(args).run()
}

#[test]
fn a_batch_is_submitted_and_its_id_printed() {
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    let input = format!("{}\n{{\"prompt\":\"hi\",\"id\":\"b\"}}\n", line("a", "x"));
    sandbox.write("work/my \"odd\" name.txt", input);
    let args = [
        "my \"odd\" name.txt",
        "-s",
        "brief",
        "--metadata",
        "team=docs",
        "--param",
        "temperature=0",
    ];
    submit(&sandbox, &api, &args).gives(0, "batch_1\n", "");
    assert_eq!(api.calls(), ["POST /v1/files", "POST /v1/batches"]);
    let requests = api.server.requests();
    let form = Form::read(&requests[0]);
    assert_eq!(form.name, "myoddname.txt.jsonl");
    let bearer = format!("Bearer {KEY}");
    assert!(
        requests
            .iter()
            .all(|request| request.header("authorization") == Some(&bearer))
    );
    let file = String::from_utf8(form.file).unwrap();
    let asked: Vec<Value> = file
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let user = |text: &str| json!({"role": "user", "content": text});
    let task = |custom_id: &str, messages: Value| {
        json!({
            "custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions",
            "body": {"model": "m-1", "messages": messages, "temperature": 0},
        })
    };
    let system = json!({"role": "system", "content": "brief"});
    assert_eq!(
        asked,
        [
            task("a", json!([user("x")])),
            task("b", json!([system, user("hi")]))
        ]
    );
    let mut order = requests[1].json();
    let mark = order["metadata"].as_object_mut().unwrap().remove("qwen_batch");
    assert_eq!(
        mark.unwrap().as_str().unwrap().len(),
        36,
        "a mark by which it is found again"
    );
    assert_eq!(
        order,
        json!({
            "input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h",
            "metadata": {"team": "docs"},
        })
    );
}

#[test]
fn a_large_file_is_sent_whole_and_from_a_pipe_too() {
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    let input: String = (0..300)
        .map(|number| line(&format!("q{number}"), &"äöü".repeat(2_000)))
        .collect();
    let tool = batch(&sandbox, &api.server).args(["submit", "-"]);
    tool.stdin(input).run().gives(0, "batch_1\n", "");
    let form = Form::read(&api.server.requests()[0]);
    assert_eq!(
        (
            form.name.as_str(),
            form.file.iter().filter(|&&byte| byte == b'\n').count()
        ),
        ("batch.jsonl", 300)
    );
    assert!(form.file.len() > 3_000_000);
    assert!(
        std::str::from_utf8(&form.file)
            .unwrap()
            .lines()
            .all(|line| line.contains("\"custom_id\":\"q"))
    );
}

#[test]
fn malformed_lines_are_named_and_nothing_is_sent() {
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    let input = format!(
        "{}nope\n\n{}{}\n",
        line("a", "x"),
        line("a", "y"),
        json!({"custom_id": "e", "url": "/v1/embeddings", "body": {"input": "x"}})
    );
    sandbox.write("work/in.jsonl", input);
    batch(&sandbox, &server).args(["submit", "in.jsonl"]).run().gives(
        65,
        "",
        "qwen-batch: in.jsonl:2: not valid JSON: expected ident at column 2\n\
         qwen-batch: in.jsonl:4: duplicate custom_id 'a'\n\
         qwen-batch: in.jsonl:5: 'url' is not '/v1/chat/completions', as on the lines before\n\
         qwen-batch: 'in.jsonl': 3 malformed lines; nothing was sent\n",
    );
    sandbox.write("work/empty.jsonl", "\n\n");
    let empty = batch(&sandbox, &server).args(["submit", "empty.jsonl"]).run();
    empty.gives(65, "", "qwen-batch: 'empty.jsonl': no requests in it\n");
    sandbox.write("work/many.jsonl", "{x\n".repeat(1_000));
    let many = batch(&sandbox, &server).args(["submit", "many.jsonl"]).run();
    assert_eq!(
        many.fails(65, &["1000 malformed lines"]).stderr.lines().count(),
        21
    );
}

#[test]
fn a_provider_without_a_batch_api_is_refused_before_anything_is_sent() {
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    sandbox.write("work/in.jsonl", lines(1));
    let url = server.url("/v1");
    sandbox.config(&format!(
        r#"{{"profiles":{{"p":{{"provider":"deepseek","base_url":"{url}","key":{{"env":"KEY"}}}}}}}}"#
    ));
    let tool = sandbox
        .tool("qwen-batch")
        .env("KEY", KEY)
        .args(["submit", "in.jsonl"]);
    tool.run()
        .fails(69, &["provider 'deepseek' has no Batch API", "qwen-batch run"]);
    let (sandbox, server) = (Sandbox::new(), Server::script([Reply::json(404, "{}")]));
    sandbox.write("work/in.jsonl", lines(1));
    let run = batch(&sandbox, &server).args(["submit", "in.jsonl"]).run();
    run.fails(69, &["no such model or path (404)", "qwen-batch run IN"]);
}

#[test]
fn the_id_is_not_lost_where_it_cannot_be_printed() {
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    sandbox.write("work/in.jsonl", lines(1));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = batch(&sandbox, &api.server)
        .args(["submit", "in.jsonl"])
        .into_command();
    let output = command.stdout(full).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(74));
    assert!(said.contains("hint: the batch was created: 'batch_1'"), "{said}");
}

#[test]
fn a_batch_is_looked_at_in_words_and_as_the_provider_has_it() {
    let api = BatchApi::new([json!({"status": "in_progress", "request_counts": counts(10, 4, 1)})]);
    api.add_batch("batch_x");
    let sandbox = Sandbox::new();
    batch(&sandbox, &api.server).args(["status", "batch_x"]).run().gives(
        0,
        "id: batch_x\nstatus: in_progress\nrequests: 10\ncompleted: 4\nfailed: 1\ncreated: 2026-11-24T00:00:00Z\n\
         expires: 2026-11-25T00:00:00Z\ninput_file: file-in\n",
        "",
    );
    let run = batch(&sandbox, &api.server)
        .args(["status", "batch_x", "--format", "json"])
        .run()
        .exits(0);
    let seen: Value = serde_json::from_str(&run.text()).unwrap();
    assert_eq!(
        (&seen["status"], &seen["object"]),
        (&json!("in_progress"), &json!("batch"))
    );
    let run = batch(&sandbox, &api.server)
        .args(["cancel", "batch_x"])
        .run()
        .exits(0);
    assert!(run.text().contains("status: cancelling\n"));
    assert_eq!(api.calls().last().unwrap(), "POST /v1/batches/batch_x/cancel");
    batch(&sandbox, &api.server)
        .args(["status", "batch_no"])
        .run()
        .fails(69, &["No batch found"]);
}

#[test]
fn an_id_is_no_way_to_another_path() {
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    for id in ["../models", "a/b", "a?b", "", "..", "a b", "é"] {
        for job in ["status", "wait", "fetch", "cancel"] {
            batch(&sandbox, &server)
                .args([job, "--", id])
                .run()
                .fails(64, &["is not a valid batch or file ID"]);
        }
    }
}

#[test]
fn waiting_ends_when_the_batch_does_and_says_how() {
    for (end, code, words) in [
        (
            json!({"status": "completed", "request_counts": counts(3, 3, 0), "completed_at": 1_795_478_460_u64}),
            0,
            "",
        ),
        (
            json!({"status": "completed", "request_counts": counts(3, 2, 1)}),
            1,
            "",
        ),
        (
            json!({"status": "expired", "request_counts": counts(3, 2, 0)}),
            1,
            "",
        ),
        (json!({"status": "cancelled"}), 1, ""),
        (
            json!({"status": "failed", "errors": {"object": "list", "data": [
                {"code": "invalid_json_line", "message": "This line is not parseable as valid JSON.", "line": 7},
                {"code": "model_not_found", "message": "No such model\u{1b}[2J", "line": null},
            ]}}),
            65,
            "qwen-batch: batch 'batch_x' was rejected: line 7: This line is not parseable as valid JSON\n\
             qwen-batch: hint: also: No such model[2J\n",
        ),
    ] {
        let api = BatchApi::new([
            json!({"status": "in_progress"}),
            json!({"status": "finalizing"}),
            end.clone(),
        ]);
        api.add_batch("batch_x");
        let sandbox = Sandbox::new();
        let tool = batch(&sandbox, &api.server).args(["wait", "batch_x", "--interval", "0.01"]);
        let run = tool.run().exits(code);
        let status = format!("status: {}\n", end["status"].as_str().unwrap());
        assert!(run.text().contains(&status), "{run:#?}");
        assert_eq!(run.stderr, words);
        assert_eq!(api.calls().len(), 3);
    }
}

#[test]
fn batches_are_listed_page_by_page() {
    let api = BatchApi::new([]);
    for number in 100..350 {
        api.add_batch(&format!("batch_{number}"));
    }
    let sandbox = Sandbox::new();
    let run = batch(&sandbox, &api.server)
        .args(["list", "--limit", "205"])
        .run()
        .exits(0);
    let rows: Vec<String> = run.text().lines().map(str::to_owned).collect();
    assert_eq!(rows.len(), 205);
    assert_eq!(rows[0], "batch_349\tvalidating\t0/0\t2026-11-24T00:00:00Z");
    assert!(rows[204].starts_with("batch_145\t"));
    assert_eq!(
        api.calls(),
        [
            "GET /v1/batches?limit=100",
            "GET /v1/batches?limit=100&after=batch_250",
            "GET /v1/batches?limit=5&after=batch_150",
        ]
    );
    let run = batch(&sandbox, &api.server)
        .args(["list", "--limit", "1", "--format", "json"])
        .run()
        .exits(0);
    let first: Value = serde_json::from_str(&run.text()).unwrap();
    assert_eq!(first["id"], "batch_349");
}

/// An API whose only batch has ended like this, with these results.
fn ended(status: &str, counts: Value, output: Option<&str>, errors: Option<&str>) -> BatchApi {
    let api = BatchApi::new([json!({
        "status": status, "request_counts": counts,
        "output_file_id": output.map(|_| "file-out"), "error_file_id": errors.map(|_| "file-err"),
    })]);
    api.add_batch("batch_x");
    for (id, content) in [("file-out", output), ("file-err", errors)] {
        if let Some(content) = content {
            api.add_file(id, content);
        }
    }
    api
}

#[test]
fn results_and_errors_come_into_one_file_as_they_are() {
    let (good, bad) = (result("a", 200) + &result("b", 200), result("c", 400));
    let api = ended("completed", counts(3, 2, 1), Some(&good), Some(&bad));
    let sandbox = Sandbox::new();
    let fetch = || batch(&sandbox, &api.server).args(["fetch", "batch_x"]);
    let run = fetch().args(["-o", "out.jsonl"]).run();
    run.fails(1, &["qwen-batch: 3 done, 1 of them failed\n", "--retry-failed"]);
    assert_eq!(sandbox.read("work/out.jsonl"), format!("{good}{bad}"));
    let run = fetch().args(["-o", "out.jsonl"]).run();
    run.fails(1, &["3 done, 1 of them failed", "3 there already, not compared"]);
    assert_eq!(
        sandbox.read("work/out.jsonl"),
        format!("{good}{bad}"),
        "nothing twice"
    );
    assert_eq!(fetch().run().exits(1).text(), format!("{good}{bad}"));
    let api = ended("completed", counts(2, 2, 0), Some(good.trim_end()), None);
    let run = batch(&sandbox, &api.server).args(["fetch", "batch_x"]).run();
    run.gives(0, &good, "");
}

#[test]
fn what_an_expired_batch_has_done_is_fetched_and_run_does_the_rest() {
    for (status, errors) in [
        ("expired", Some(expired("q2") + &expired("q3"))),
        ("cancelled", None),
    ] {
        let good = result("q0", 200) + &result("q1", 200);
        let api = ended(status, counts(4, 2, 0), Some(&good), errors.as_deref());
        let sandbox = Sandbox::new();
        sandbox.write("work/in.jsonl", lines(4));
        let fetch = batch(&sandbox, &api.server).args(["fetch", "batch_x", "-o", "out.jsonl"]);
        let words = format!("the batch is {status}: ");
        fetch.run().fails(1, &[&words, "run IN -o OUT --retry-failed"]);
        let here = echo();
        let run = batch(&sandbox, &here).args(["run", "in.jsonl", "-o", "out.jsonl", "--retry-failed"]);
        run.run()
            .gives(0, "", "qwen-batch: 4 done, 2 there already, not compared\n");
        assert_eq!(here.requests().len(), 2);
        assert_eq!(results_in(&sandbox.work().join("out.jsonl")).len(), 4);
    }
}

#[test]
fn a_batch_that_has_not_ended_or_was_refused_has_no_results() {
    let sandbox = Sandbox::new();
    let fetch = |api: &BatchApi| {
        let tool = batch(&sandbox, &api.server).args(["fetch", "batch_x", "-o", "out.jsonl"]);
        tool.run()
    };
    let api = ended("in_progress", counts(9, 4, 0), None, None);
    fetch(&api).fails(
        75,
        &[
            "has not ended: in_progress, 4 of 9 done",
            "run 'qwen-batch wait batch_x'",
        ],
    );
    let api =
        BatchApi::new([json!({"status": "failed", "errors": {"data": [{"message": "too many lines"}]}})]);
    api.add_batch("batch_x");
    fetch(&api).fails(65, &["batch 'batch_x' was rejected: too many lines"]);
    assert!(!sandbox.work().join("out.jsonl").exists());
}
