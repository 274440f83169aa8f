//! An installation of its own: the real dispatcher with scripts beside it.

use std::fs;
use std::path::{Path, PathBuf};

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
        installed.place(&binary("qwen"), &installed.root().join("bin/qwen"));
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
        let path = self.root().join(path);
        let text = self.sandbox.write("program", content);
        self.place(&text, &path);
        path
    }

    /// Puts an executable in its place by a process of its own. Were it written by this one, another test's child
    /// could have it open for writing at the moment it is run, which the kernel refuses (ETXTBSY).
    fn place(&self, from: &Path, to: &Path) {
        let done = self
            .sandbox
            .command("/usr/bin/install")
            .args(["-D", "-m", "755"])
            .args([from, to])
            .run();
        done.gives(0, "", "");
    }

    /// The installed dispatcher, ready to run.
    pub fn qwen(&self) -> Tool {
        self.sandbox
            .command(self.root().join("bin/qwen"))
            .env("PATH", "/usr/bin:/bin")
    }
}
