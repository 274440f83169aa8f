//! What a server quotes of the request's secrets is not printed.

use crate::support::batch::line;
use crate::support::{Reply, Sandbox, Server};
use serde_json::json;

/// The secrets of the profile, and how a server may quote them.
const SECRETS: [&str; 6] = [
    "canary-header",
    "canary-bearer",
    "canary-cookie",
    "canary-query",
    "canary-body",
    "canary-deep",
];

fn configure(sandbox: &Sandbox, server: &Server) {
    let profile = json!({
        "method": "api-key", "provider": "custom", "base_url": server.url("/v1"), "model": "m",
        "headers": {"X-Api-Key": "canary-header", "Authorization": "Bearer canary-bearer", "Cookie": "sid=canary-cookie"},
        "query": {"tenant": "canary-query"}, "body": {"user_token": "canary-body", "extra": {"secret": ["canary-deep"]}},
    });
    sandbox.config(&json!({"profiles": {"work": profile}}).to_string());
}

/// Every way in which a server reports an error, with a quotation in it.
fn replies(quoted: &str) -> Vec<Reply> {
    let error = json!({"error": {"message": format!("bad value {quoted}"), "code": quoted}}).to_string();
    let mut replies: Vec<Reply> = [400, 401, 403, 404]
        .map(|status| Reply::json(status, &error))
        .into();
    replies.push(Reply::new(400, "text/plain", format!("bad value {quoted}")));
    replies.push(Reply::json(200, &error));
    replies.push(Reply::stream([format!("data: {error}\n\n")]));
    let location = format!("http://127.0.0.1:9/v1?x={quoted}");
    replies.push(Reply::with_headers(307, &[("location", &location)], ""));
    replies
}

#[test]
fn no_error_quotes_what_authenticates_or_is_called_a_secret() {
    for secret in SECRETS {
        let percent = secret.replace('-', "%2D");
        for quoted in [secret, &percent] {
            for reply in replies(quoted) {
                let server = Server::script([reply.clone(), reply.clone(), reply]);
                let sandbox = Sandbox::new();
                configure(&sandbox, &server);
                for flags in [&["-v"][..], &["--json"], &["--events"]] {
                    let chat = sandbox
                        .tool("qwen-chat")
                        .args(["--no-stdin", "--retries", "0", "hi"]);
                    let run = chat.args(flags).run();
                    assert_ne!(run.code(), 0, "{run:#?}");
                    let said = run.text() + &run.stderr;
                    assert!(!said.contains(secret) && !said.contains(&percent), "{run:#?}");
                    assert!(said.contains("***"), "{run:#?}");
                }
            }
        }
    }
}

#[test]
fn no_record_of_a_batch_quotes_them() {
    for secret in SECRETS {
        for reply in replies(secret) {
            let server = Server::script([reply]);
            let sandbox = Sandbox::new();
            configure(&sandbox, &server);
            let run = sandbox
                .tool("qwen-batch")
                .args(["run", "--retries", "0", "-"])
                .stdin(line("a", "hi"))
                .run();
            assert_ne!(run.code(), 0, "{run:#?}");
            assert!(!(run.text() + &run.stderr).contains(secret), "{run:#?}");
        }
    }
}

#[test]
fn an_answer_stays_as_it_is() {
    let server = Server::script([crate::support::chat::answer(&["say canary-header"])]);
    let sandbox = Sandbox::new();
    configure(&sandbox, &server);
    sandbox
        .tool("qwen-chat")
        .args(["--no-stdin", "hi"])
        .run()
        .gives(0, "say canary-header\n", "");
}

#[test]
fn no_notice_quotes_them_from_a_finish_reason_or_the_name_of_a_tool() {
    for secret in SECRETS {
        let reason = json!({"choices": [{"delta": {"content": "hi"}, "finish_reason": secret}]});
        let call = json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": secret}}]}, "finish_reason": "tool_calls"}]});
        let unread = json!({"choices": [], "text": format!("say {secret}")});
        let rest = json!({"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]});
        for (event, rest, code) in [(&reason, None, 0), (&call, None, 76), (&unread, Some(&rest), 0)] {
            let rest = rest.map(|rest| format!("data: {rest}\n\n")).unwrap_or_default();
            let events = format!("data: {event}\n\n{rest}data: [DONE]\n\n");
            let server = Server::script([Reply::stream([events])]);
            let sandbox = Sandbox::new();
            configure(&sandbox, &server);
            let run = sandbox.tool("qwen-chat").args(["--no-stdin", "hi"]).run();
            assert_eq!(run.code(), code, "{run:#?}");
            assert!(!run.stderr.contains(secret), "{run:#?}");
            assert!(run.stderr.contains("***"), "{run:#?}");
        }
    }
}
