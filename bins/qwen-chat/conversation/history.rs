//! What was typed in earlier conversations: a private file, one JSON text per line.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use qwen_shared::file::{create_private_dir, read_private, write_private};
use qwen_shared::paths;

/// How many entries are kept.
const KEPT: usize = 1000;

/// The size at which the file is cut down to the entries that are kept, in bytes.
const LARGE: usize = 1 << 20;

/// The largest file that is read, in bytes.
const LIMIT: u64 = 16 << 20;

/// The history. It is a comfort: a file that cannot be read or written is passed over in silence.
#[derive(Debug)]
pub(super) struct History {
    path: Option<PathBuf>,
    entries: Vec<String>,
}

impl History {
    /// Reads the file.
    pub(super) fn open() -> Self {
        let path = paths::state_dir().map(|directory| directory.join("history"));
        let file = path
            .as_deref()
            .and_then(|path| read_private(path, LIMIT).ok().flatten());
        let bytes = file.map(|file| file.bytes).unwrap_or_default();
        let lines = bytes.split(|byte| *byte == b'\n');
        let all: Vec<String> = lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let entries = all[all.len().saturating_sub(KEPT)..].to_vec();
        if let (Some(path), true) = (&path, bytes.len() > LARGE) {
            let kept: Vec<String> = entries.iter().map(|entry| line(entry)).collect();
            let _ = write_private(path, kept.concat().as_bytes());
        }
        Self { path, entries }
    }

    /// Returns the entries, the oldest first.
    pub(super) fn entries(&self) -> &[String] {
        &self.entries
    }

    /// Appends an entry, in one write: other conversations may be doing the same.
    pub(super) fn add(&self, entry: &str) {
        let Some(path) = &self.path else {
            return;
        };
        if let Some(directory) = path.parent() {
            let _ = create_private_dir(directory);
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(nofollow())
            .open(path);
        if let Ok(mut file) = file {
            let _ = file.write_all(line(entry).as_bytes());
        }
    }
}

/// A link in the file's place is not followed.
const fn nofollow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

fn line(entry: &str) -> String {
    format!("{}\n", serde_json::Value::from(entry))
}
