//! Which project files the user trusts, by path **and** content: one changed byte ends the trust.
//!
//! The store is `trust.json` in the state directory: an object whose `files` maps an absolute path to the SHA-256 of
//! the content that was trusted. It is read only when a project file was found, and the content is hashed only when
//! the store knows the path.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::search::EnvError;
use crate::exit::io_reason;
use crate::fs::{self, Lock};
use crate::text::hex;

/// The largest store that is read, in bytes.
const LIMIT: u64 = 16 * 1024 * 1024;

/// How long to wait for another process that changes the store: it needs a few milliseconds.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// How far a file is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It lies in the user's home directory or in Qwen Code's.
    Home,
    /// A project's file that the user trusts, with this content.
    TrustedProject,
    /// A project's file: it came with a clone.
    UntrustedProject,
}

impl Trust {
    /// Returns the words for it in `--explain`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::TrustedProject => "trusted project",
            Self::UntrustedProject => "untrusted project",
        }
    }
}

/// The trusted files, as the store held them when it was read.
#[derive(Debug, Default)]
pub struct TrustStore {
    files: Map<String, Value>,
}

impl TrustStore {
    /// Reads the store; an absent one trusts nothing.
    ///
    /// # Errors
    /// A store that cannot be read or is not what this module writes.
    pub fn load(store: &Path) -> Result<Self, EnvError> {
        let fault = |reason: String| EnvError::TrustStore {
            path: store.to_path_buf(),
            reason,
        };
        let Some(read) = fs::read_private(store, LIMIT).map_err(|error| fault(io_reason(&error)))? else {
            return Ok(Self::default());
        };
        let value: Value = serde_json::from_slice(&read.bytes).map_err(|error| fault(error.to_string()))?;
        match value.get("files") {
            Some(Value::Object(files)) => Ok(Self { files: files.clone() }),
            _ => Err(fault("'files' is not an object".to_owned())),
        }
    }

    /// Returns whether this file is trusted with exactly this content.
    #[must_use]
    pub fn holds(&self, path: &Path, content: &[u8]) -> bool {
        !self.files.is_empty()
            && self
                .files
                .get(&key(path))
                .and_then(Value::as_str)
                .is_some_and(|known| known == digest(content))
    }
}

/// Trusts a file with this content from now on, in place of any content trusted before. `notify` is called when it has
/// to wait for another process.
///
/// # Errors
/// The store cannot be read or written; it is then as it was.
pub fn grant(store: &Path, path: &Path, content: &[u8], notify: &dyn Fn(&str)) -> Result<(), EnvError> {
    change(store, notify, |files| {
        files.insert(key(path), Value::from(digest(content)));
        true
    })
}

/// Removes the trust in a file; returns whether it was trusted. `notify` as with [`grant`].
///
/// # Errors
/// The store cannot be read or written; it is then as it was.
pub fn revoke(store: &Path, path: &Path, notify: &dyn Fn(&str)) -> Result<bool, EnvError> {
    let mut was_trusted = false;
    change(store, notify, |files| {
        was_trusted = files.shift_remove(&key(path)).is_some();
        was_trusted
    })?;
    Ok(was_trusted)
}

/// Reads, changes and replaces the store under a kernel lock, so that none of several changes at once is lost.
fn change(
    store: &Path,
    notify: &dyn Fn(&str),
    edit: impl FnOnce(&mut Map<String, Value>) -> bool,
) -> Result<(), EnvError> {
    let fault = |error: &io::Error| EnvError::TrustStore {
        path: store.to_path_buf(),
        reason: io_reason(error),
    };
    if let Some(directory) = store.parent() {
        fs::create_private_dir(directory).map_err(|error| fault(&error))?;
    }
    let _lock =
        Lock::take_with_notice(&fs::lock_path(store), LOCK_LIMIT, notify).map_err(EnvError::Locked)?;
    let mut trusted = TrustStore::load(store)?;
    if !edit(&mut trusted.files) {
        return Ok(());
    }
    let mut text = format!("{:#}", json!({ "files": trusted.files })).into_bytes();
    text.push(b'\n');
    fs::write_private(store, &text).map_err(|error| fault(&error))
}

/// The name of a file in the store: its directory by its real path, so that a link above it changes nothing.
fn key(path: &Path) -> String {
    let real: Option<PathBuf> = path
        .parent()
        .and_then(|directory| directory.canonicalize().ok())
        .zip(path.file_name())
        .map(|(directory, name)| directory.join(name));
    real.unwrap_or_else(|| path.to_path_buf())
        .to_string_lossy()
        .into_owned()
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(content)))
}
