//! The real llama.cpp server of tests/peers/model.py.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Stdio};

use super::{Sandbox, Tool};
use super::{peers, run};

/// The key that the server asks for.
pub const KEY: &str = "sk-model-canary";

/// A running llama.cpp server with a tiny model. It ends when this is dropped.
pub struct Model {
    child: Child,
    _stdin: ChildStdin,
    url: String,
}

impl Model {
    /// Starts the server; `None`, said loudly, where it is not installed.
    pub fn start() -> Option<Self> {
        let python = peers::directory().join("venv/bin/python");
        if !peers::present("model", python.is_file()) {
            return None;
        }
        let mut child = run::command(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/model.py"))
            .env("QWEN_PEERS_DIR", peers::directory())
            .env("API_KEY", KEY)
            .env("MAX_TOKENS", "48")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("the model server ended").unwrap();
            if let Some(url) = line.strip_prefix("listening ") {
                break url.to_owned();
            }
        };
        Some(Self {
            child,
            _stdin: stdin,
            url,
        })
    }

    /// The base URL of its API.
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.url)
    }

    /// A program with the server's key and endpoint in its environment.
    pub fn known_to(&self, tool: Tool) -> Tool {
        tool.env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", self.base_url())
            .env("OPENAI_MODEL", "tiny")
    }

    /// qwen-chat about to ask it.
    pub fn chat(&self, sandbox: &Sandbox) -> Tool {
        self.known_to(sandbox.tool("qwen-chat"))
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
