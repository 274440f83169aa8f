//! A person in a conversation with qwen-chat, and servers that answer them.

use serde_json::Value;

use super::chat::answer;
use super::{Reply, Server, Terminal, Tool};

/// Answers with what was asked last and the credential that came along.
pub fn echo() -> Server {
    Server::answering(|_, request| {
        if request.method == "GET" {
            return Reply::json(200, r#"{"data":[{"id":"m-1"},{"id":"m-2"}]}"#);
        }
        let body = request.json();
        let said = body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
        let (said, model) = (said.as_str().unwrap(), body["model"].as_str().unwrap());
        let credential = request.header("authorization").unwrap_or("none");
        answer(&[&format!("{model} heard {said} by {credential}")])
    })
}

/// qwen-chat in a conversation, on a terminal.
pub fn converse(tool: Tool) -> Terminal {
    let terminal = Terminal::start(tool.env("TERM", "xterm-256color").env("NO_COLOR", "1"));
    terminal.shows("/help lists the commands");
    terminal
}

/// The contents of the messages of the last question.
pub fn contents(server: &Server) -> Vec<Value> {
    let requests = server.requests();
    let last = requests
        .iter()
        .rev()
        .find(|request| request.method == "POST")
        .unwrap();
    let body = last.json();
    let messages = body["messages"].as_array().unwrap().iter();
    messages.map(|message| message["content"].clone()).collect()
}

/// Numbers its answers, each with a code block.
pub fn echo_count() -> Server {
    Server::answering(|number, _| answer(&[&format!("answer {}\n```sh\nls {0}\n```\n", number + 1)]))
}
