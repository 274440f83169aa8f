//! A peer of tests/peers that says where it listens, and ends when its standard input does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::peers;

/// A running peer. It ends when this is dropped, or when the tests do.
pub struct PeerProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    url: String,
}

impl PeerProcess {
    /// Starts a peer and waits until it listens.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .env("QWEN_PEERS_DIR", peers::directory())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .trim()
            .strip_prefix("listening ")
            .unwrap_or_else(|| panic!("{command:?} said {line:?}"))
            .to_owned();
        Self { child, stdin, url }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends JSON, and returns the JSON that a 200 brings.
    pub fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.exchange(method, path, "application/json", &body.to_string());
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// Posts a form, and returns the JSON of the answer, whatever its status.
    pub fn form(&self, path: &str, body: &str) -> (u16, Value) {
        self.exchange("POST", path, "application/x-www-form-urlencoded", body)
    }

    fn exchange(&self, method: &str, path: &str, content_type: &str, body: &str) -> (u16, Value) {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        // A chunked body here is one object: everything between its braces.
        let object = body.find('{').zip(body.rfind('}'));
        let (from, to) = object.unwrap_or_else(|| panic!("{method} {path}: {head}\n{body}"));
        let json =
            serde_json::from_str(&body[from..=to]).unwrap_or_else(|error| panic!("{error} in {answer}"));
        (status, json)
    }
}

impl Drop for PeerProcess {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
