//! Requests and results of qwen-batch.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{Reply, Request, Sandbox, Server, Tool};

/// A line with this prompt.
pub fn line(custom_id: &str, prompt: &str) -> String {
    let messages = json!([{"role": "user", "content": prompt}]);
    format!(
        "{}\n",
        json!({"custom_id": custom_id, "body": {"messages": messages}})
    )
}

/// `count` lines, `q0` and on, each with its ID as its prompt.
pub fn lines(count: usize) -> String {
    (0..count)
        .map(|number| line(&format!("q{number}"), &format!("q{number}")))
        .collect()
}

/// An answer that is not streamed.
pub fn whole(text: &str) -> Reply {
    Reply::json(200, &whole_body(text).to_string())
}

/// The body of an answer that is not streamed.
pub fn whole_body(text: &str) -> Value {
    let choice =
        json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
    json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "m-1", "choices": [choice]})
}

/// The prompt of a request: its last message.
pub fn prompt(request: &Request) -> String {
    let json = request.json();
    let messages = json["messages"].as_array().unwrap();
    messages.last().unwrap()["content"].as_str().unwrap().to_owned()
}

/// A server that answers with the prompt.
pub fn echo() -> Server {
    Server::answering(|_, request| whole(&prompt(request)))
}

/// qwen-batch with a key in its environment and `server` as its endpoint.
pub fn batch(sandbox: &Sandbox, server: &Server) -> Tool {
    sandbox
        .tool("qwen-batch")
        .env("OPENAI_API_KEY", super::chat::KEY)
        .env("OPENAI_BASE_URL", server.url("/v1"))
        .env("OPENAI_MODEL", "m-1")
}

/// Results by ID. Fails on a line that is not a result, and on a duplicate ID.
#[track_caller]
pub fn results(text: &str) -> BTreeMap<String, Value> {
    let mut results = BTreeMap::new();
    for line in text.lines() {
        let result: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let custom_id = result["custom_id"].as_str().unwrap().to_owned();
        let twice = results.insert(custom_id, result);
        assert!(twice.is_none(), "twice: {twice:?}");
    }
    results
}

/// The results in a file.
#[track_caller]
pub fn results_in(path: &Path) -> BTreeMap<String, Value> {
    results(&std::fs::read_to_string(path).unwrap())
}

/// The text of an answer.
pub fn text(result: &Value) -> &str {
    result["response"]["body"]["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_else(|| panic!("no answer: {result}"))
}
