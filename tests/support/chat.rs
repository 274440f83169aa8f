//! Pieces of chat answers, and qwen-chat about to ask a scripted server.

use super::{Reply, Sandbox, Server, Tool};

/// The key that tests use. It must never be seen anywhere but in a request.
pub const KEY: &str = "sk-canary-0123456789";

/// One event that carries text.
pub fn text(text: &str) -> String {
    let text = serde_json::Value::from(text);
    data(&format!(
        r#"{{"id":"chatcmpl-1","model":"m-1","choices":[{{"index":0,"delta":{{"content":{text}}}}}]}}"#
    ))
}

/// One event of any JSON.
pub fn data(json: &str) -> String {
    format!("data: {json}\n\n")
}

/// The event that ends an answer, with this reason.
pub fn finish(reason: &str) -> String {
    data(&format!(
        r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#
    ))
}

/// The event that counts tokens.
pub fn usage() -> String {
    data(r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#)
}

pub const DONE: &str = "data: [DONE]\n\n";

/// A whole streamed answer.
pub fn answer(words: &[&str]) -> Reply {
    let mut events: Vec<String> = words.iter().map(|word| text(word)).collect();
    events.extend([finish("stop"), usage(), DONE.to_owned()]);
    Reply::stream(events)
}

/// An event stream of these bytes in one chunk, ended in good order.
pub fn stream(bytes: impl AsRef<[u8]>) -> Reply {
    Reply::stream([bytes])
}

/// qwen-chat with a key in its environment, about to ask `server`.
pub fn chat(sandbox: &Sandbox, server: &Server) -> Tool {
    sandbox
        .tool("qwen-chat")
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", server.url("/v1"))
        .env("OPENAI_MODEL", "m-1")
}

/// The server's name in messages.
pub fn name(server: &Server) -> String {
    format!("'127.0.0.1:{}'", server.port())
}
