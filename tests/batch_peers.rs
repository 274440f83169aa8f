//! Against real Batch APIs: npm aimock's, and the one of LiteLLM's proxy, which passes on what a provider has.

use std::process::Command;

use crate::gateways::{Gateway, free_port};
use crate::support::batch::{batch, lines, results_in};
use crate::support::batch_api::BatchApi;
use crate::support::{Run, Sandbox, Tool, peers};
use serde_json::json;

/// aimock; `None`, said loudly, where it is not installed.
fn aimock(sandbox: &Sandbox) -> Option<Gateway> {
    let program = peers::directory().join("aimock/node_modules/@copilotkit/aimock/dist/cli.js");
    let node = peers::command("node");
    if !peers::present("aimock", program.is_file() && node.is_some()) {
        return None;
    }
    let port = free_port();
    let fixture = json!({"fixtures": [{"match": {}, "response": {"content": "x"}}]});
    let fixtures = sandbox.write("fixtures.json", fixture.to_string());
    let mut command = Command::new(node.unwrap());
    command
        .arg(program)
        .args(["-p", &port.to_string(), "-f"])
        .arg(fixtures);
    Some(Gateway::start(command, port))
}

/// qwen-batch with aimock as its endpoint, whose batches end like this.
fn with_outcome(sandbox: &Sandbox, aimock: &Gateway, outcome: &str) -> Tool {
    let mut profile = json!({
        "provider": "custom", "base_url": format!("http://127.0.0.1:{}/v1", aimock.port),
        "model": "m-1", "key": {"env": "KEY"},
    });
    if !outcome.is_empty() {
        profile["headers"] = json!({"X-AIMock-Batch-Outcome": outcome});
    }
    sandbox.config(&json!({"profiles": {"p": profile}}).to_string());
    sandbox.tool("qwen-batch").env("KEY", "sk-aimock")
}

#[test]
fn a_batch_of_aimock_is_submitted_awaited_and_fetched() {
    let sandbox = Sandbox::new();
    let Some(aimock) = aimock(&sandbox) else {
        return;
    };
    sandbox.write("work/in.jsonl", lines(3));
    let run =
        |outcome: &str, args: &[&str]| -> Run { with_outcome(&sandbox, &aimock, outcome).args(args).run() };
    let submitted = run("", &["submit", "in.jsonl"]).exits(0);
    assert_eq!(submitted.stderr, "");
    let id = submitted.text().trim().to_owned();
    let waited = run("", &["wait", &id, "--interval", "0.05"]).exits(0);
    assert!(
        waited
            .text()
            .contains("status: completed\nrequests: 3\ncompleted: 3\nfailed: 0\n"),
        "{waited:#?}"
    );
    run("", &["fetch", &id, "-o", "out.jsonl"]).gives(0, "", "");
    assert_eq!(results_in(&sandbox.work().join("out.jsonl")).len(), 3);
    let again = run("", &["submit", "in.jsonl", "--except", "out.jsonl"]).exits(0);
    assert!(again.stderr.contains("nothing to submit"), "{again:#?}");
    // It shows the input, so that each answer is known to be its request's.
    assert!(
        again.stderr.contains("3 there already in 'out.jsonl'\n"),
        "{again:#?}"
    );
    let listed = run("", &["list"]).exits(0);
    assert!(
        listed.text().starts_with(&format!("{id}\tcompleted\t3/3\t")),
        "{listed:#?}"
    );
    run("", &["status", "batch-none"]).exits(69);
}

#[test]
fn a_batch_of_aimock_may_end_in_every_way() {
    let sandbox = Sandbox::new();
    let Some(aimock) = aimock(&sandbox) else {
        return;
    };
    sandbox.write("work/in.jsonl", lines(3));
    for (outcome, code) in [("failed", 65), ("expired", 1), ("cancelled", 1)] {
        let run = |args: &[&str]| with_outcome(&sandbox, &aimock, outcome).args(args).run();
        let id = run(&["submit", "in.jsonl"]).exits(0).text().trim().to_owned();
        let waited = run(&["wait", &id, "--interval", "0.05"]).exits(code);
        assert!(
            waited.text().contains(&format!("status: {outcome}\n")),
            "{waited:#?}"
        );
        let fetched = run(&["fetch", &id]);
        assert!([1, 65, 76].contains(&fetched.code()), "{fetched:#?}");
    }
    let run = |args: &[&str]| with_outcome(&sandbox, &aimock, "").args(args).run();
    let id = run(&["submit", "in.jsonl"]).exits(0).text().trim().to_owned();
    let cancelled = run(&["cancel", &id]).exits(0);
    assert!(
        cancelled.text().contains("status: cancelling\n"),
        "{cancelled:#?}"
    );
    run(&["wait", &id, "--interval", "0.05"]).exits(1);
}

/// LiteLLM's proxy is heavy: it is installed by `tests/all --long` alone.
#[test]
fn a_batch_behind_litellm_is_submitted_awaited_and_fetched() {
    let program = peers::directory().join("litellm/bin/litellm");
    if !program.is_file() {
        eprintln!("SKIPPED: the peer 'litellm' is missing; run tests/peers/install litellm");
        return;
    }
    const KEY: &str = "sk-master-0123456789";
    let sandbox = Sandbox::new();
    let api = BatchApi::new([
        json!({"status": "in_progress"}),
        json!({
            "status": "completed", "output_file_id": "file-out", "request_counts": {"total": 1, "completed": 1, "failed": 0},
        }),
    ]);
    let body = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]});
    let response = json!({"status_code": 200, "request_id": "", "body": body});
    let answer = json!({"id": "batch_req_1", "custom_id": "q0", "response": response, "error": null});
    api.add_file("file-out", format!("{answer}\n"));
    let upstream = json!({"api_base": api.server.url("/v1"), "api_key": "sk-upstream"});
    let mut files = upstream.clone();
    files["custom_llm_provider"] = "openai".into();
    let mut model = upstream;
    model["model"] = "openai/m-1".into();
    let config = json!({
        "model_list": [{"model_name": "m-1", "litellm_params": model}],
        "files_settings": [files],
        "general_settings": {"master_key": KEY},
    });
    let config = sandbox.write("litellm.yaml", config.to_string());
    let port = free_port();
    let mut command = Command::new(program);
    command
        .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--config"])
        .arg(config)
        .env("HOME", sandbox.home())
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env("OPENAI_API_KEY", "sk-upstream")
        .env("OPENAI_BASE_URL", api.server.url("/v1"));
    let _litellm = Gateway::start(command, port);
    sandbox.write("work/in.jsonl", lines(1));
    let run = |args: &[&str]| {
        let tool = batch(&sandbox, &api.server).args(args);
        tool.env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", format!("http://127.0.0.1:{port}/v1"))
            .run()
    };
    let submitted = run(&["submit", "in.jsonl", "--metadata", "team=docs"]).exits(0);
    let id = submitted.text().trim().to_owned();
    let waited = run(&["wait", &id, "--interval", "0.1"]).exits(0);
    assert!(waited.text().contains("status: completed\n"), "{waited:#?}");
    run(&["fetch", &id, "-o", "out.jsonl"]).gives(0, "", "");
    assert_eq!(results_in(&sandbox.work().join("out.jsonl")).len(), 1);
    let again = run(&["submit", "in.jsonl", "--except", "out.jsonl"]).exits(0);
    assert!(
        again.stderr.contains("1 there already in 'out.jsonl'\n"),
        "{again:#?}"
    );
    let listed = run(&["list"]).exits(0);
    assert!(listed.text().contains(&id), "{listed:#?}");
    // Its own key is not the provider's.
    let refused = batch(&sandbox, &api.server)
        .env("OPENAI_API_KEY", "sk-nobodys-0123456789")
        .env("OPENAI_BASE_URL", format!("http://127.0.0.1:{port}/v1"));
    refused.args(["status", &id]).run().exits(77);
}
