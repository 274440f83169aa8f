//! qwen-proxy with a key to lend, the command that it runs, and what such a command is seen by.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::process::Child;

use rustix::process::Pid;

use super::{Run, Sandbox, Tool};

/// A key that must turn up nowhere.
pub const KEY: &str = "sk-canary-0123456789-lent";

/// qwen-proxy with a key, and an endpoint that nobody asks.
pub fn proxy(sandbox: &Sandbox) -> Tool {
    lending(sandbox.tool("qwen-proxy"))
}

pub fn lending(tool: Tool) -> Tool {
    tool.env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        .env("OPENAI_MODEL", "tiny")
}

/// qwen-proxy with a script of `sh` as its command.
pub fn running(sandbox: &Sandbox, script: &str) -> Tool {
    proxy(sandbox).args(["--", "sh", "-c", script])
}

/// The next line that a started program prints, and no byte more.
pub fn printed(child: &mut Child) -> String {
    let stdout = child.stdout.as_mut().unwrap();
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\n") && stdout.read(&mut byte).unwrap() == 1 {
        line.extend(byte);
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

/// The environment that `env -0` printed.
pub fn environment(run: &Run) -> BTreeMap<String, String> {
    let text = run.text();
    let lines = text.split('\0').filter_map(|line| line.split_once('='));
    lines
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

pub fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

pub fn is_gone(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.map_or(true, |stat| stat.contains(") Z "))
}
