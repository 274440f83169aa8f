//! An installation of its own: the real dispatcher with scripts beside it.

use std::fs;
use std::path::PathBuf;

use super::run::Tool;
use super::sandbox::{Sandbox, binary};

/// A sandbox whose `bin` holds a copy of the real `qwen`, and nothing of the toolkit on PATH.
#[derive(Debug)]
pub struct Installed {
    pub sandbox: Sandbox,
}

impl Installed {
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.root().join("bin")).unwrap();
        let installed = Self { sandbox };
        let qwen = installed.root().join("bin/qwen");
        installed.sandbox.install(&binary("qwen"), &qwen);
        installed
    }

    pub fn root(&self) -> PathBuf {
        self.sandbox.root()
    }

    /// Writes an executable shell script; a relative path is below the sandbox's top.
    pub fn script(&self, path: &str, body: &str) -> PathBuf {
        self.program(path, &format!("#!/bin/sh\n{body}\n"))
    }

    /// Writes an executable file as it is.
    pub fn program(&self, path: &str, content: &str) -> PathBuf {
        self.sandbox.program(path, content)
    }

    /// The installed dispatcher, ready to run.
    pub fn qwen(&self) -> Tool {
        self.sandbox
            .command(self.root().join("bin/qwen"))
            .env("PATH", "/usr/bin:/bin")
    }
}
