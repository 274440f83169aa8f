//! A login that waits for a person.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr};

use super::run::Run;
use super::sandbox::Sandbox;

/// qwen-login, once it has shown address and code.
pub struct PendingLogin {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
    /// The address with the code in it; empty where the server sent none.
    pub address: String,
    pub code: String,
}

impl PendingLogin {
    /// Begins a login of the only profile, and reads until the code is shown.
    pub fn begin(sandbox: &Sandbox) -> Self {
        let mut child = sandbox
            .detached("qwen-login")
            .args(["--oauth", "--store", "file", "--no-verify"])
            .start();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut login = Self {
            child,
            stderr,
            said: String::new(),
            address: String::new(),
            code: String::new(),
        };
        // The code stands on a line of its own, after one with an address.
        let mut is_after_address = false;
        while login.code.is_empty() {
            let mut line = String::new();
            let length = login.stderr.read_line(&mut line).unwrap();
            assert_ne!(length, 0, "{}", login.said);
            login.said.push_str(&line);
            let text = line.trim_end();
            let is_address = text.starts_with("http");
            if is_address && text.contains("user_code=") {
                text.clone_into(&mut login.address);
            } else if is_after_address && !is_address && !text.starts_with("qwen-login: ") {
                text.clone_into(&mut login.code);
            }
            is_after_address = is_address;
        }
        login
    }

    /// Waits for the end, and returns the exit code and all that was said.
    pub fn ends(mut self) -> (i32, String) {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        let run = Run::wait(self.child, "qwen-login");
        (run.code(), self.said + &rest)
    }
}
