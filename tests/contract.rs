//! Lists are proven, not kept: the tools, their help, their pages and their completions say the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use support::Sandbox;

/// The shells with completions: what `--generate` calls them, and how a tool's script is called there.
const SHELLS: [(&str, &str, &str); 6] = [
    ("bash", "", ".bash"),
    ("zsh", "_", ""),
    ("fish", "", ".fish"),
    ("elvish", "", ".elv"),
    ("powershell", "", ".ps1"),
    ("nushell", "", ".nu"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The programs that Cargo builds.
fn built() -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let names: BTreeSet<String> = manifest
        .split("[[bin]]")
        .skip(1)
        .filter_map(|section| section.split("name = \"").nth(1)?.split('"').next())
        .map(str::to_owned)
        .collect();
    assert!(names.contains("qwen"), "{names:?}");
    names
}

fn names_in(directory: &str) -> BTreeSet<String> {
    fs::read_dir(root().join(directory))
        .unwrap_or_else(|error| panic!("{directory}: {error}"))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn blessed() -> bool {
    std::env::var_os("QWEN_BLESS").is_some_and(|value| !value.is_empty())
}

#[test]
fn completions_are_what_the_programs_write_now() {
    let sandbox = Sandbox::new();
    for (shell, prefix, suffix) in SHELLS {
        let directory = root().join("completions").join(shell);
        let mut wanted = BTreeSet::new();
        for name in built() {
            let script = sandbox
                .tool(&name)
                .env_remove("HOME")
                .args(["--generate", shell])
                .run()
                .exits(0)
                .text();
            let file = format!("{prefix}{name}{suffix}");
            let path = directory.join(&file);
            wanted.insert(file);
            if blessed() {
                fs::create_dir_all(&directory).unwrap();
                fs::write(&path, &script).unwrap();
            }
            assert!(
                fs::read_to_string(&path).unwrap_or_default() == script,
                "'{}' is not what '{name} --generate {shell}' writes; run QWEN_BLESS=1 cargo test --test contract",
                path.display()
            );
        }
        assert_eq!(names_in(&format!("completions/{shell}")), wanted, "{shell}");
    }
}
