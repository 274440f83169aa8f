//! A home of its own for every test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::run::Tool;

/// A temporary home with configuration, state, cache and a working directory, removed when dropped.
#[derive(Debug)]
pub struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("qwen-test-").tempdir().unwrap();
        let sandbox = Self { root };
        for directory in [
            "home",
            "home/.config",
            "home/.local/state",
            "home/.cache",
            "work",
            "run",
        ] {
            fs::create_dir_all(sandbox.root().join(directory)).unwrap();
        }
        fs::set_permissions(sandbox.root().join("run"), fs::Permissions::from_mode(0o700)).unwrap();
        sandbox
    }

    /// The real path of the sandbox's top.
    pub fn root(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap()
    }

    pub fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// The directory that tools start in; not below home.
    pub fn work(&self) -> PathBuf {
        self.root().join("work")
    }

    pub fn config_file(&self) -> PathBuf {
        self.home().join(".config/qwen/config.json")
    }

    /// Writes a file with mode 0600, its directories included. A relative path is below the sandbox's top.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Writes an executable file, its directories included. A relative path is below the sandbox's top.
    pub fn program(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(path);
        self.install(&self.write("program", content), &path);
        path
    }

    /// Copies a file to an executable one by a process of its own. Were that written by this one, another test's child
    /// could have it open for writing at the moment it is run, which the kernel refuses (ETXTBSY).
    pub fn install(&self, from: &Path, to: &Path) {
        let install = self.command("/usr/bin/install").args(["-D", "-m", "755"]);
        install.args([from, to]).run().gives(0, "", "");
    }

    /// Writes `config.json`.
    pub fn config(&self, json: &str) -> PathBuf {
        self.write("home/.config/qwen/config.json", json)
    }

    pub fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.root().join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The files below the sandbox's top that hold one of these texts, in order.
    pub fn files_with(&self, texts: &[&str]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.root()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap().flatten() {
                let path = entry.path();
                if entry.file_type().unwrap().is_dir() {
                    directories.push(path);
                } else if let Ok(bytes) = fs::read(&path) {
                    let content = String::from_utf8_lossy(&bytes);
                    if texts.iter().any(|text| content.contains(text)) {
                        found.push(path);
                    }
                }
            }
        }
        found.sort();
        found
    }

    /// The permission bits of a file.
    pub fn mode(&self, path: impl AsRef<Path>) -> u32 {
        fs::symlink_metadata(self.root().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    }

    /// A tool of the toolkit, ready to run in this sandbox.
    pub fn tool(&self, name: &str) -> Tool {
        self.command(binary(name))
    }

    /// A tool in a session of its own, which has no terminal: whoever runs the tests may sit at one.
    pub fn detached(&self, name: &str) -> Tool {
        self.command("/usr/bin/setsid").arg("--wait").arg(binary(name))
    }

    /// Any program, ready to run in this sandbox with the same cleared environment.
    pub fn command(&self, program: impl AsRef<Path>) -> Tool {
        let home = self.home();
        let tools = binary("qwen");
        let tools = tools.parent().unwrap();
        Tool::new(program.as_ref(), &self.work())
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_STATE_HOME", home.join(".local/state"))
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .env("XDG_RUNTIME_DIR", self.root().join("run"))
            .env("PATH", format!("{}:/usr/bin:/bin", tools.display()))
            .env("LC_ALL", "C.UTF-8")
    }
}

/// The path of a built tool.
pub fn binary(name: &str) -> PathBuf {
    PathBuf::from(match name {
        "qwen" => env!("CARGO_BIN_EXE_qwen"),
        "qwen-auth" => env!("CARGO_BIN_EXE_qwen-auth"),
        "qwen-batch" => env!("CARGO_BIN_EXE_qwen-batch"),
        "qwen-chat" => env!("CARGO_BIN_EXE_qwen-chat"),
        "qwen-env" => env!("CARGO_BIN_EXE_qwen-env"),
        "qwen-login" => env!("CARGO_BIN_EXE_qwen-login"),
        "qwen-proxy" => env!("CARGO_BIN_EXE_qwen-proxy"),
        "qwen-token" => env!("CARGO_BIN_EXE_qwen-token"),
        other => panic!("no such tool: {other}"),
    })
}
