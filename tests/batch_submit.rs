//! What a Batch API would reject is rejected before anything is sent; what it rejects itself is reported.

use crate::support::batch::{batch, line, lines};
use crate::support::batch_api::{BatchApi, Form};
use crate::support::chat::KEY;
use crate::support::{Reply, Run, Sandbox, Server, Tool};
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
fn more_requests_than_a_batch_may_have_are_not_sent() {
    for provider in ["openai", "custom"] {
        refused(provider, &lines(50_001)).gives(
            65,
            "",
            "qwen-batch: 'in.jsonl': more than the 50000 requests that a batch may have; nothing was sent\n\
             qwen-batch: hint: submit it in parts: 'split -l 50000 IN part-'\n",
        );
    }
    let (sandbox, api) = (Sandbox::new(), BatchApi::new([]));
    sandbox.write("work/in.jsonl", lines(50_000));
    let tool = batch(&sandbox, &api.server).args(["submit", "in.jsonl"]);
    tool.run().gives(0, "batch_1\n", "");
}

#[test]
fn a_file_or_a_line_that_is_too_large_is_not_sent() {
    let long = "x".repeat(10 << 20);
    let input: String = (0..21).map(|number| line(&format!("q{number}"), &long)).collect();
    refused("openai", &input).gives(
        65,
        "",
        "qwen-batch: 'in.jsonl': more than the 200 MiB that a batch may have; nothing was sent\n\
         qwen-batch: hint: submit it in parts: 'split -l 19 IN part-'\n",
    );
    refused("dashscope", &line("a", &long)).gives(
        65,
        "",
        "qwen-batch: in.jsonl:1: longer than 6 MiB as it would be sent\n\
         qwen-batch: 'in.jsonl': 1 malformed line; nothing was sent\n",
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
