//! Where credentials are kept.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::document::{self, Form};
use super::error::StoreError;
use super::held::{Held, Turn};
use super::keyring::{Keyring, Patience};
use super::model::Stored;
use crate::failure::Failure;
use crate::file::{PrivateFile, Replacement, create_private_dir, read_private};
use crate::lock::{Lock, beside};
use crate::paths;

/// The largest credential document that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The room that a trial of a file takes, in bytes: no less than a login will need there.
const ROOM: usize = 32 << 10;

/// The kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// The system keyring: Secret Service, macOS Keychain, Windows Credential Manager.
    Keyring,
    /// A file of the profile's own, beside `config.json`.
    File,
    /// Qwen Code's `oauth_creds.json`: what `file` means for the login at qwen.ai.
    #[serde(rename = "file", skip_deserializing)]
    QwenCode,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keyring => "keyring",
            Self::File | Self::QwenCode => "file",
        })
    }
}

/// The credential of one profile, in its place.
#[derive(Debug)]
pub struct Store {
    profile: String,
    seat: Seat,
}

#[derive(Debug)]
pub(super) enum Seat {
    File(PathBuf),
    QwenCode(PathBuf),
    Keyring { item: Keyring, lock: PathBuf },
}

/// What a store held, with what the user should know about it.
#[derive(Debug)]
pub struct Loaded {
    /// The credential.
    pub stored: Stored,
    /// A remark on the place: others may read it, or own it.
    pub notice: Option<String>,
}

impl Store {
    /// Names the place of a profile's credential. Touches neither files nor the keyring.
    ///
    /// # Errors
    /// No home directory, or a profile name that could leave the directory of credentials.
    pub fn open(kind: StoreKind, profile: &str, patience: Patience) -> Result<Self, StoreError> {
        let is_name = !profile.is_empty()
            && !profile.starts_with(['.', '-'])
            && profile
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !is_name {
            return Err(StoreError::BadName(profile.to_owned()));
        }
        let directory = || paths::credential_dir().map(|dir| dir.join("credentials"));
        let seat = match kind {
            StoreKind::File => Seat::File(
                directory()
                    .ok_or(StoreError::NoHome)?
                    .join(format!("{profile}.json")),
            ),
            StoreKind::QwenCode => Seat::QwenCode(
                paths::qwen_home()
                    .ok_or(StoreError::NoHome)?
                    .join("oauth_creds.json"),
            ),
            StoreKind::Keyring => Seat::Keyring {
                item: Keyring::new(item_user(profile), patience),
                lock: directory()
                    .ok_or(StoreError::NoHome)?
                    .join(format!("{profile}.keyring.lock")),
            },
        };
        Ok(Self {
            profile: profile.to_owned(),
            seat,
        })
    }

    /// Returns the kind.
    #[must_use]
    pub const fn kind(&self) -> StoreKind {
        match self.seat {
            Seat::File(_) => StoreKind::File,
            Seat::QwenCode(_) => StoreKind::QwenCode,
            Seat::Keyring { .. } => StoreKind::Keyring,
        }
    }

    /// Returns the profile whose credential it is.
    #[must_use]
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// Returns the place as a message shows it: a path, or `the system keyring`.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.seat {
            Seat::File(path) | Seat::QwenCode(path) => path.display().to_string(),
            Seat::Keyring { .. } => "the system keyring".to_owned(),
        }
    }

    /// Reads the credential; `None` when there is none. One read of a file, no lock: writers replace it whole.
    ///
    /// # Errors
    /// A place that cannot be read, or holds something else; a keyring that is locked or does not answer.
    pub fn load(&self) -> Result<Option<Loaded>, StoreError> {
        match &self.seat {
            Seat::File(path) => load_file(path, Form::Ours),
            Seat::QwenCode(path) => load_file(path, Form::QwenCode),
            Seat::Keyring { item, .. } => load_item(item),
        }
    }

    /// Takes the lock that every change needs. `tell` is told what is waited for, when that takes long.
    ///
    /// # Errors
    /// 75 when it is not free within `limit`, 74 when the place cannot hold a lock file.
    pub fn lock(&self, limit: Duration, tell: &dyn Fn(&str)) -> Result<Held<'_>, Failure> {
        self.turn(limit, tell)?.hold(limit, tell)
    }

    /// Takes the part of the lock that keeps our own programs apart.
    ///
    /// # Errors
    /// As [`Store::lock`].
    pub(super) fn turn(&self, limit: Duration, tell: &dyn Fn(&str)) -> Result<Turn<'_>, Failure> {
        let path = match &self.seat {
            Seat::File(path) => beside(path),
            // Not in the directory of a profile: whoever shares the file must share the lock.
            Seat::QwenCode(path) => path.with_file_name("oauth_creds.qwen-toolkit.lock"),
            Seat::Keyring { lock, .. } => lock.clone(),
        };
        if let Some(directory) = path.parent() {
            create_private_dir(directory).map_err(|error| StoreError::io(directory, "create", error))?;
        }
        Ok(Turn::new(self, Lock::take_telling(&path, limit, tell)?))
    }

    pub(super) const fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Writes and removes something that is no credential, to see that the place can be used.
    pub(super) fn probe(&self) -> Result<(), StoreError> {
        match &self.seat {
            Seat::File(path) | Seat::QwenCode(path) => probe_file(path),
            Seat::Keyring { item, .. } => item.probe(),
        }
    }
}

fn load_file(path: &Path, form: Form) -> Result<Option<Loaded>, StoreError> {
    let Some(file) = read_private(path, LARGEST).map_err(|error| StoreError::io(path, "read", error))? else {
        return Ok(None);
    };
    let shown = path.display();
    let notice = remark(path, &file);
    let bytes = crate::secret::Secret::new(file.bytes);
    let stored = document::read(bytes.expose(), form).map_err(|reason| StoreError::Malformed {
        place: shown.to_string(),
        reason,
    })?;
    Ok(Some(Loaded { stored, notice }))
}

/// Says who else can read or replace the file; `None` when nobody can.
fn remark(path: &Path, file: &PrivateFile) -> Option<String> {
    const STICKY: u32 = 0o1000;
    let shown = path.display();
    if file.is_loose() {
        return Some(format!(
            "'{shown}' is readable by others (mode {:04o})",
            file.mode
        ));
    }
    if file.owner != rustix::process::geteuid().as_raw() {
        return Some(format!("'{shown}' belongs to another user"));
    }
    let mode = path.parent()?.metadata().ok()?.mode();
    (mode & 0o022 != 0 && mode & STICKY == 0).then(|| {
        format!(
            "'{shown}' can be replaced by others: its directory has mode {:04o}",
            mode & 0o7777
        )
    })
}

fn load_item(item: &Keyring) -> Result<Option<Loaded>, StoreError> {
    let Some(bytes) = item.read()? else {
        // A locked keyring may answer that it knows no such item; a trial write brings out the truth.
        item.probe()?;
        return Ok(None);
    };
    let stored = document::read(bytes.expose(), Form::Ours).map_err(|reason| StoreError::Malformed {
        place: "the item in the system keyring".to_owned(),
        reason,
    })?;
    Ok(Some(Loaded { stored, notice: None }))
}

fn probe_file(path: &Path) -> Result<(), StoreError> {
    const CANARY: &[u8] = b"may this be written?";
    let trial = path.with_file_name(format!(".trial-{}", std::process::id()));
    let failed = |doing| move |error| StoreError::io(path, doing, error);
    drop(Replacement::begin(path, ROOM).map_err(failed("write"))?);
    crate::file::write_private(&trial, CANARY).map_err(failed("write"))?;
    let read = read_private(&trial, LARGEST);
    std::fs::remove_file(&trial).map_err(failed("write"))?;
    match read.map_err(failed("read"))? {
        Some(file) if file.bytes == CANARY => Ok(()),
        _ => Err(failed("read")(std::io::Error::other(
            "what was written did not come back",
        ))),
    }
}

/// Returns the keyring item's user name: the profile, and where `QWEN_CONFIG` moves the configuration, that too, or
/// two configurations would share one credential.
fn item_user(profile: &str) -> String {
    let moved = paths::credential_dir().filter(|dir| Some(dir) != paths::config_dir().as_ref());
    moved.map_or_else(
        || profile.to_owned(),
        |dir| format!("{profile} in {}", dir.display()),
    )
}
