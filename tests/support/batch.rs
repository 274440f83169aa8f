//! Questions and results in bulk.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{Reply, Request, Sandbox, Server, Tool};

/// A batch line that asks this.
pub fn line(custom_id: &str, prompt: &str) -> String {
    let messages = json!([{"role": "user", "content": prompt}]);
    format!(
        "{}\n",
        json!({"custom_id": custom_id, "body": {"messages": messages}})
    )
}

/// So many batch lines, `q0` and on, each with its own name for a prompt.
pub fn lines(count: usize) -> String {
    (0..count)
        .map(|number| line(&format!("q{number}"), &format!("q{number}")))
        .collect()
}

/// A whole answer.
pub fn whole(text: &str) -> Reply {
    Reply::json(200, &whole_body(text).to_string())
}

/// The body of a whole answer.
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

/// A server that says back what it is asked.
pub fn echo() -> Server {
    Server::answering(|_, request| whole(&prompt(request)))
}

/// qwen-batch with a key in its environment, about to ask `server`.
pub fn batch(sandbox: &Sandbox, server: &Server) -> Tool {
    sandbox
        .tool("qwen-batch")
        .env("OPENAI_API_KEY", super::chat::KEY)
        .env("OPENAI_BASE_URL", server.url("/v1"))
        .env("OPENAI_MODEL", "m-1")
}

/// Results by their name. Fails on a line that is none, and on a name that comes twice.
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
