//! Real peers: present, or skipped loudly; required where `QWEN_PEERS=required`.

use std::path::PathBuf;

/// Where tests/peers/install puts what is not a package of the system.
pub fn directory() -> PathBuf {
    std::env::var_os("QWEN_PEERS_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers")),
        PathBuf::from,
    )
}

/// The path of a command: of the system's, or of the one that is installed where the system's is too old.
pub fn command(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::iter::once(directory().join("node-bin"))
        .chain(std::env::split_paths(&path))
        .map(|entry| entry.join(name))
        .find(|path| path.is_file())
}

/// aichat, which is heavy to build: it is never required.
pub fn aichat() -> Option<PathBuf> {
    let path = directory().join("aichat/bin/aichat");
    let is_there = path.is_file();
    if !is_there {
        eprintln!("SKIPPED: the peer 'aichat' is missing; run tests/peers/install aichat");
    }
    is_there.then_some(path)
}

/// The library that gives a program another clock, where Debian puts it.
pub fn faketime() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let found = libraries
        .map(|directory| directory.path().join("faketime/libfaketime.so.1"))
        .find(|path| path.exists());
    present("faketime", found.is_some());
    found
}

/// Passes `there` on. A peer that is missing is said on stderr, and a failure where peers are required.
pub fn present(peer: &str, there: bool) -> bool {
    if !there {
        let required = std::env::var_os("QWEN_PEERS").is_some_and(|wanted| wanted == "required");
        assert!(!required, "the peer '{peer}' is missing; run tests/peers/install");
        eprintln!("SKIPPED: the peer '{peer}' is missing; run tests/peers/install");
    }
    there
}
