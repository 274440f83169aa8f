//! Fetching results: whatever a provider's files hold, what can be had is kept.

use crate::support::batch::{batch, echo, line, lines, prompt, results, results_in, text, whole, whole_body};
use crate::support::batch_api::BatchApi;
use crate::support::{Reply, Run, Sandbox, Server, Tool};
use serde_json::{Value, json};

fn result(custom_id: &str, status: u16) -> String {
    let body = match status {
        200 => whole_body(custom_id),
        _ => json!({"error": {"message": "no"}}),
    };
    let response = json!({"status_code": status, "request_id": "r", "body": body});
    let id = format!("batch_req_{custom_id}");
    format!(
        "{}\n",
        json!({"id": id, "custom_id": custom_id, "response": response, "error": null})
    )
}

fn batch_of(id: &str, status: &str, total: u64, output: Option<&str>, errors: Option<&str>) -> Value {
    json!({
        "id": id, "status": status, "output_file_id": output, "error_file_id": errors,
        "request_counts": {"total": total, "completed": 0, "failed": 0},
    })
}

/// An API with this batch, which has ended.
fn ended(status: &str, total: u64, output: Option<&str>, errors: Option<&str>) -> BatchApi {
    let api = BatchApi::new([]);
    let batch = batch_of(
        "batch_x",
        status,
        total,
        output.map(|_| "file-out"),
        errors.map(|_| "file-err"),
    );
    api.set(|state| {
        state.batches.insert("batch_x".to_owned(), batch);
    });
    for (id, content) in [("file-out", output), ("file-err", errors)] {
        if let Some(content) = content {
            api.add_file(id, content);
        }
    }
    api
}

fn fetch(sandbox: &Sandbox, api: &BatchApi) -> Tool {
    batch(sandbox, &api.server).args(["fetch", "batch_x", "-o", "out.jsonl"])
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    results_in(&sandbox.work().join("out.jsonl"))
        .into_keys()
        .collect()
}

#[test]
fn odd_lines_are_counted_and_all_others_kept() {
    let (a, b, c) = (result("a", 200), result("b", 200), result("c", 200));
    for (content, kept, odd) in [
        (
            format!("{a}{}\n{c}", &b[..40]),
            "ac",
            "1 line is no result, the first one 'file-out:2'",
        ),
        (format!("{a}{c}{}", &b[..b.len() - 9]), "ac", "'file-out:3'"),
        (
            format!("{a}[]\nnull\n{{\"custom_id\":\"x\"}}\n{c}"),
            "ac",
            "3 lines are no results",
        ),
        (
            format!("{a}{{\"id\":\"r\",\"response\":{{}},\"error\":null}}\n{c}"),
            "ac",
            "'file-out:2'",
        ),
    ] {
        let api = ended("completed", 3, Some(&content), None);
        let sandbox = Sandbox::new();
        let run = fetch(&sandbox, &api).run();
        run.fails(
            76,
            &[
                odd,
                "2 done, 1 not done",
                "hint: save the files as they are with '--raw'",
            ],
        );
        assert_eq!(names(&sandbox).concat(), kept);
    }
    // Bytes that are no text.
    let mut content = a.clone().into_bytes();
    content.extend_from_slice(b"{\"custom_id\":\"\xff\xfe\"}\n");
    content.extend_from_slice(c.as_bytes());
    let api = ended("completed", 3, Some(&a), None);
    api.add_file("file-out", content);
    let sandbox = Sandbox::new();
    fetch(&sandbox, &api).run().fails(76, &["'file-out:2'"]);
    assert_eq!(names(&sandbox).concat(), "ac");
}

#[test]
fn marks_line_ends_and_blank_lines_are_no_odd_lines() {
    let (a, b) = (result("a", 200), result("b", 200));
    let content = format!("\u{feff}{}\r\n\n  \n\u{feff}{}", a.trim_end(), b.trim_end());
    let api = ended("completed", 2, Some(&content), None);
    let sandbox = Sandbox::new();
    fetch(&sandbox, &api).run().gives(0, "", "");
    assert_eq!(names(&sandbox).concat(), "ab");
}

#[test]
fn a_status_as_text_is_a_status() {
    let text = |name: &str, status: &str| {
        let line = result(name, 200).replace("\"status_code\":200", &format!("\"status_code\":\"{status}\""));
        assert!(line.contains(status));
        line
    };
    let content = text("a", "200") + &text("b", "429");
    let api = ended("completed", 2, Some(&content), None);
    let sandbox = Sandbox::new();
    fetch(&sandbox, &api)
        .run()
        .fails(1, &["2 done, 1 of them failed"]);
}

#[test]
fn a_file_that_is_gone_does_not_keep_the_other_back() {
    let (good, bad) = (result("a", 200), result("b", 400));
    for status in [404, 410] {
        for (gone, kept) in [("file-out", "b"), ("file-err", "a")] {
            let api = ended("completed", 2, Some(&good), Some(&bad));
            let target = format!("GET /v1/files/{gone}/content");
            let words = r#"{"error":{"message":"No such File object"}}"#;
            api.reply_once(target.leak(), Reply::json(status, words));
            let sandbox = Sandbox::new();
            let run = fetch(&sandbox, &api).run();
            let words = format!("file '{gone}' is gone: ");
            run.fails(76, &[&words, "No such File object", "1 not done"]);
            assert_eq!(names(&sandbox).concat(), kept);
        }
    }
}

#[test]
fn a_failed_batch_gives_what_it_has() {
    let api = ended("failed", 3, Some(&result("a", 200)), None);
    let sandbox = Sandbox::new();
    fetch(&sandbox, &api)
        .run()
        .fails(1, &["the batch is failed: 1 done, 2 not done"]);
    assert_eq!(names(&sandbox).concat(), "a");
}

#[test]
fn a_good_answer_replaces_a_failure_and_no_other_answer() {
    let sandbox = Sandbox::new();
    let old = result("good", 200).replace("chatcmpl-1", "old") + &result("bad", 500) + &result("worse", 500);
    sandbox.write("work/out.jsonl", &old);
    let output = result("good", 200) + &result("bad", 200);
    let api = ended("completed", 3, Some(&output), Some(&result("worse", 400)));
    let run = fetch(&sandbox, &api).run();
    run.fails(1, &["3 done, 1 of them failed", "2 there already, not compared"]);
    let kept = results_in(&sandbox.work().join("out.jsonl"));
    let status = |name: &str| kept[name]["response"]["status_code"].clone();
    assert_eq!([status("good"), status("bad"), status("worse")], [200, 200, 500]);
    assert_eq!(kept["good"]["response"]["body"]["id"], "old");
}

#[test]
fn a_good_answer_comes_before_a_failure_of_the_same_name() {
    for (output, errors) in [
        (result("a", 200), Some(result("a", 500))),
        (result("a", 500) + &result("a", 200), None),
    ] {
        let api = ended("completed", 1, Some(&output), errors.as_deref());
        let sandbox = Sandbox::new();
        fetch(&sandbox, &api).run().gives(0, "", "");
        assert_eq!(sandbox.read("work/out.jsonl"), result("a", 200));
    }
}

#[test]
fn several_batches_are_gathered_in_one_file() {
    let api = BatchApi::new([]);
    for (id, status, name) in [
        ("batch_1", "completed", "a"),
        ("batch_2", "COMPLETED", "b"),
        ("batch_3", "in_progress", "c"),
    ] {
        let file = format!("file-{name}");
        api.add_file(&file, result(name, 200));
        let batch = batch_of(id, status, 1, Some(&file), None);
        api.set(|state| {
            state.batches.insert(id.to_owned(), batch);
        });
    }
    let sandbox = Sandbox::new();
    let fetch = |ids: &[&str]| {
        let tool = batch(&sandbox, &api.server).args(["fetch", "-o", "out.jsonl"]);
        tool.args(ids).run()
    };
    fetch(&["batch_1", "batch_2", "batch_1"]).gives(0, "", "");
    assert_eq!(names(&sandbox).concat(), "ab");
    let run = fetch(&["batch_3", "batch_2"]);
    run.fails(
        75,
        &[
            "batch 'batch_3' has not ended: in_progress",
            "run 'qwen-batch wait batch_3'",
        ],
    );
    fetch(&["batch_1", "batch_4"]).fails(69, &["No batch found"]);
}

#[test]
fn a_download_that_breaks_is_tried_again_and_nothing_comes_twice() {
    let good: String = (0..500)
        .map(|number| result(&format!("q{number}"), 200))
        .collect();
    let cut = || {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", good.len());
        Reply::default().send(head).send(&good[..good.len() / 2]).close()
    };
    let page = || Reply::new(200, "text/html", "\n<html><title>Log in</title>\n</html>\n");
    const CONTENT: &str = "GET /v1/files/file-out/content";
    let api = ended("completed", 500, Some(&good), None);
    api.set(|state| state.instead = vec![(CONTENT, cut()), (CONTENT, page()), (CONTENT, cut())]);
    let sandbox = Sandbox::new();
    let run = fetch(&sandbox, &api).run().exits(0);
    assert_eq!(run.stderr.lines().count(), 3, "{run:#?}");
    assert!(
        run.stderr.contains("the connection broke within the answer"),
        "{run:#?}"
    );
    assert_eq!(sandbox.read("work/out.jsonl"), good);
    // Where it goes on breaking, what came is kept, and the next one continues.
    let sandbox = Sandbox::new();
    api.reply_once(CONTENT, cut());
    let run = fetch(&sandbox, &api).args(["--retries", "0"]).run();
    run.fails(
        76,
        &[
            "the connection broke within the answer",
            "run the same command again",
        ],
    );
    let kept = results(&sandbox.read("work/out.jsonl")).len();
    assert!((240..260).contains(&kept), "{kept}");
    let run = fetch(&sandbox, &api).run().exits(0);
    assert_eq!(
        run.stderr,
        format!("qwen-batch: {kept} there already, not compared\n")
    );
    assert_eq!(sandbox.read("work/out.jsonl"), good);
}

#[test]
fn raw_saves_the_files_as_they_are() {
    let output = format!("\u{feff}{}{{\"cut\n[]", result("a", 200));
    let errors = "not even JSON\n\n";
    let api = ended("completed", 3, Some(&output), Some(errors));
    let sandbox = Sandbox::new();
    let raw = |out: &str| {
        let tool = batch(&sandbox, &api.server).args(["fetch", "batch_x", "--raw", "-o", out]);
        tool.run()
    };
    raw("raw.txt").gives(0, "", "");
    let whole = format!("{output}\n{errors}");
    assert_eq!(sandbox.read("work/raw.txt"), whole);
    raw("raw.txt").fails(64, &["'raw.txt' is not empty", "--output"]);
    raw("-").gives(0, &whole, "");
    // A download that breaks begins again.
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n";
    let cut = Reply::default().send(head).send("half of").close();
    api.reply_once("GET /v1/files/file-out/content", cut.clone());
    let run = raw("again.txt").exits(0);
    assert_eq!(sandbox.read("work/again.txt"), whole, "{run:#?}");
    api.reply_once("GET /v1/files/file-out/content", cut);
    let run = raw("-").exits(76);
    assert!(run.text().starts_with("half of\n"), "{run:#?}");
}

#[test]
fn run_does_what_a_fetched_batch_has_not_done() {
    let good = result("q0", 200);
    let api = ended("cancelled", 3, Some(&good), Some(&result("q1", 500)));
    let sandbox = Sandbox::new();
    sandbox.write("work/in.jsonl", lines(3));
    fetch(&sandbox, &api).run().fails(
        1,
        &["the batch is cancelled: 2 done, 1 of them failed, 1 not done"],
    );
    let here = crate::support::batch::echo();
    let run = batch(&sandbox, &here).args(["run", "in.jsonl", "-o", "out.jsonl", "--retry-failed"]);
    run.run().exits(0);
    assert_eq!(here.requests().len(), 2);
    assert_eq!(names(&sandbox).concat(), "q0q1q2");
}

#[test]
fn an_answer_that_was_fetched_without_anything_in_it_is_asked_for_again() {
    let empty = result("b", 200).replace(&whole_body("b")["choices"].to_string(), "[]");
    assert!(empty.contains("\"choices\":[]"), "{empty}");
    let api = ended("completed", 2, Some(&(result("a", 200) + &empty)), None);
    let sandbox = Sandbox::new();
    let run = fetch(&sandbox, &api).run().exits(1);
    assert!(run.stderr.contains("2 done, 1 of them failed"), "{run:#?}");
    sandbox.write("work/in.jsonl", line("a", "a") + &line("b", "b"));
    let server = echo();
    let again = batch(&sandbox, &server).args(["run", "in.jsonl", "-o", "out.jsonl", "--retry-failed"]);
    again.run().exits(0);
    assert_eq!(server.count(), 1);
    assert_eq!(text(&results_in(&sandbox.work().join("out.jsonl"))["b"]), "b");
}

/// An API with these batches of these inputs, each answered with its request's name.
fn answered(inputs: &[(&str, String)]) -> BatchApi {
    let api = BatchApi::new([]);
    for (id, input) in inputs {
        let names = input.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["custom_id"].as_str().unwrap().to_owned()
        });
        let output: String = names.map(|name| result(&name, 200)).collect();
        let total = u64::try_from(output.lines().count()).unwrap();
        let (file_in, file_out) = (format!("in-{id}"), format!("out-{id}"));
        api.add_file(&file_in, input);
        api.add_file(&file_out, output);
        let mut batch = batch_of(id, "completed", total, Some(&file_out), None);
        batch["input_file_id"] = file_in.into();
        api.set(|state| {
            state.batches.insert((*id).to_owned(), batch);
        });
    }
    api
}

/// Runs these questions from here into the same output; `failing` is refused.
fn run_here(sandbox: &Sandbox, input: &str, failing: &str) -> Run {
    let failing = failing.to_owned();
    let here = Server::answering(move |_, request| match prompt(request) {
        text if text == failing => Reply::json(400, r#"{"error":{"message":"no"}}"#),
        text => whole(&text),
    });
    sandbox.write("work/in.jsonl", input);
    batch(sandbox, &here)
        .args(["run", "in.jsonl", "-o", "out.jsonl"])
        .run()
}

#[test]
fn a_fetched_answer_is_bound_to_its_request() {
    let input = line("a", "x") + &line("b", "y").replace("\"body\":{", "\"body\":{\"model\":\"m-1\",");
    // As other programs submit them: with what is not sent from here.
    let submitted = input
        .replace("\"body\":{\"model\":\"m-1\",", "\"body\":{")
        .replace(
            "\"body\":{",
            "\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"m-1\",\"stream\":false,\"stop\":null,",
        );
    let api = answered(&[("batch_x", submitted)]);
    let sandbox = Sandbox::new();
    fetch(&sandbox, &api).run().gives(0, "", "");
    let kept = results_in(&sandbox.work().join("out.jsonl"));
    assert_eq!(kept["a"]["response"]["request_id"], "r");
    fetch(&sandbox, &api)
        .run()
        .gives(0, "", "qwen-batch: 2 there already\n");
    // The same requests are not asked again, another one is.
    sandbox.write("work/in.jsonl", &input);
    let untouched = Server::untouched();
    let again = batch(&sandbox, &untouched).args(["run", "in.jsonl", "-o", "out.jsonl"]);
    again.run().gives(0, "", "qwen-batch: 2 done, 2 there already\n");
    let changed = input.replace("\"x\"", "\"z\"");
    let run = run_here(&sandbox, &changed, "").exits(0);
    assert!(run.stderr.contains("1 there already, 1 asked again"), "{run:#?}");
}

#[test]
fn an_answer_to_another_request_is_left_out_and_said() {
    let sandbox = Sandbox::new();
    let first = lines(4);
    run_here(&sandbox, &first, "q1").exits(1);
    let there = sandbox.read("work/out.jsonl");
    let model = "\"body\":{\"model\":\"m-1\",";
    let changed = first
        .replace("\"content\":\"q0\"", "\"content\":\"other\"")
        .replace("\"content\":\"q1\"", "\"content\":\"other\"")
        .replace("\"body\":{", model);
    let new = line("q4", "q4").replace("\"body\":{", model);
    let api = answered(&[("batch_x", changed + &new)]);
    let run = fetch(&sandbox, &api).run().fails(
        1,
        &[
            "2 there already\n",
            "2 results are of other requests than those that have their names there, and left out: 'q0', 'q1'\n",
            "hint: fetch each batch into a file of its own",
        ],
    );
    assert!(
        !run.stderr.contains("not done") && !run.stderr.contains("--retry-failed"),
        "{run:#?}"
    );
    let now = sandbox.read("work/out.jsonl");
    assert!(now.starts_with(&there), "neither answer nor failure was replaced");
    assert_eq!(names(&sandbox).concat(), "q0q1q2q3q4");
    // A failure of the same request is replaced.
    let api = answered(&[("batch_x", lines(4).replace("\"body\":{", model))]);
    fetch(&sandbox, &api)
        .run()
        .gives(0, "", "qwen-batch: 3 there already\n");
    let kept = results_in(&sandbox.work().join("out.jsonl"));
    assert_eq!(kept["q1"]["response"]["status_code"], 200);
}

#[test]
fn batches_that_answer_the_same_request_leave_nothing_undone() {
    let both = lines(3);
    let api = answered(&[("batch_1", both.clone()), ("batch_2", both + &line("q3", "q3"))]);
    let sandbox = Sandbox::new();
    let fetch = || {
        let tool = batch(&sandbox, &api.server).args(["fetch", "-o", "out.jsonl", "batch_1", "batch_2"]);
        tool.run()
    };
    fetch().gives(0, "", "");
    assert_eq!(names(&sandbox).concat(), "q0q1q2q3");
    fetch().exits(0);
    // What neither has told of is not done, however often the rest came.
    api.set(|state| {
        state.batches.get_mut("batch_2").unwrap()["request_counts"]["total"] = 5.into();
    });
    fetch().fails(1, &["4 done, 1 not done"]);
}

#[test]
fn batches_that_share_names_are_not_mixed() {
    let (first, second) = (
        line("request-1", "x"),
        line("request-1", "y") + &line("request-2", "y"),
    );
    let api = answered(&[
        ("batch_1", first.clone()),
        ("batch_2", second),
        ("batch_3", first),
    ]);
    for output in ["out.jsonl", "-"] {
        let sandbox = Sandbox::new();
        let tool = batch(&sandbox, &api.server).args(["fetch", "-o", output]);
        let run = tool.args(["batch_1", "batch_2"]).run();
        assert_eq!(
            (run.code(), results(&run.text()).len()),
            (1, if output == "-" { 2 } else { 0 })
        );
        for words in ["1 result is of another request", "left out: 'request-1'"] {
            assert!(run.stderr.contains(words), "{run:#?}");
        }
    }
    // By themselves they are whole, and a second time too.
    let sandbox = Sandbox::new();
    let fetch = |id: &str| {
        let tool = batch(&sandbox, &api.server).args(["fetch", "-o", "out.jsonl"]);
        tool.arg(id).run()
    };
    fetch("batch_1").gives(0, "", "");
    fetch("batch_2").fails(1, &["1 result is of another request"]);
    fetch("batch_3").gives(0, "", "qwen-batch: 1 there already\n");
    assert_eq!(names(&sandbox), ["request-1", "request-2"]);
}

#[test]
fn an_input_that_cannot_be_read_binds_nothing_and_ends_nothing() {
    const INPUT: &str = "GET /v1/files/in-batch_x/content";
    let cut = || {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n";
        Reply::default().send(head).send("{\"custom_id\":\"a\"").close()
    };
    let page = || Reply::new(200, "text/html", "<html><title>Log in</title></html>");
    let gone = || Reply::json(404, r#"{"error":{"message":"No such File object"}}"#);
    let nothing = || Reply::new(200, "application/octet-stream", "");
    for (reply, words) in [
        (gone(), ""),
        (Reply::json(403, r#"{"error":{"message":"no permission"}}"#), ""),
        (nothing(), ""),
        (
            Reply::json(500, "{}"),
            "results are not compared with their requests: ",
        ),
        (page(), ""),
        (cut(), ""),
    ] {
        let sandbox = Sandbox::new();
        let api = answered(&[("batch_x", line("a", "x"))]);
        api.reply_once(INPUT, reply);
        let run = fetch(&sandbox, &api).args(["--retries", "0"]).run().exits(0);
        assert_eq!(run.stderr.is_empty(), words.is_empty(), "{run:#?}");
        assert!(run.stderr.contains(words), "{run:#?}");
        assert_eq!(sandbox.read("work/out.jsonl"), result("a", 200));
    }
    // What passes is tried again.
    let sandbox = Sandbox::new();
    let api = answered(&[("batch_x", line("a", "x"))]);
    api.reply_once(INPUT, cut());
    fetch(&sandbox, &api).run().exits(0);
    assert!(sandbox.read("work/out.jsonl").contains("batch_req_sha256_"));
}

#[test]
fn a_name_that_is_a_number_is_a_name() {
    let number = result("7", 200).replace("\"custom_id\":\"7\"", "\"custom_id\":7");
    let api = ended("completed", 2, Some(&(result("a", 200) + &number)), None);
    let sandbox = Sandbox::new();
    fetch(&sandbox, &api).run().gives(0, "", "");
    sandbox.write("work/in.jsonl", "{\"id\":7,\"prompt\":\"x\"}\n");
    let server = crate::support::Server::untouched();
    let again = batch(&sandbox, &server).args(["run", "in.jsonl", "-o", "out.jsonl"]);
    again.run().exits(0);
}

#[test]
fn an_answer_with_numbers_that_are_none_is_kept() {
    let odd = result("a", 200).replace("\"index\":0", "\"index\":0,\"logprobs\":[-Infinity,NaN]");
    assert!(odd.contains("NaN"), "{odd}");
    let half = result("c", 200).replace("\"index\":0", r#""index":0,"token":"\ud83d""#);
    assert!(half.contains("ud83d"), "{half}");
    let api = ended("completed", 3, Some(&(odd + &half + &result("b", 200))), None);
    let sandbox = Sandbox::new();
    fetch(&sandbox, &api).run().gives(0, "", "");
    let results = results_in(&sandbox.work().join("out.jsonl"));
    assert_eq!(text(&results["a"]), "a");
    assert_eq!(
        results["a"]["response"]["body"]["choices"][0]["logprobs"],
        json!([null, null])
    );
    assert_eq!(
        results["c"]["response"]["body"]["choices"][0]["token"],
        "\u{fffd}"
    );
}

#[test]
fn results_that_are_not_in_the_answer_are_not_to_be_paid_twice() {
    let link = r#"{"output_file_url":"https://store.example/signed?sig=1","result_available":true}"#;
    for (reply, words) in [
        (
            Reply::new(200, "application/octet-stream", ""),
            "the answer is empty",
        ),
        (Reply::new(204, "text/plain", ""), "the answer is empty"),
        (
            Reply::json(200, link),
            "file 'file-out' is elsewhere: 'https://store.example/signed?sig=1'",
        ),
    ] {
        let api = ended("completed", 2, Some(""), None);
        api.set(|state| {
            let batch = state.batches.get_mut("batch_x").unwrap();
            batch["request_counts"] = json!({"total": 2, "completed": 2, "failed": 0});
            let content = "GET /v1/files/file-out/content";
            state.instead = vec![(content, reply.clone()), (content, reply)];
        });
        let sandbox = Sandbox::new();
        let run = fetch(&sandbox, &api).args(["--retries", "1"]).run();
        assert!(!run.stderr.contains("--retry-failed"), "{run:#?}");
        run.fails(76, &[words]);
    }
}
