//! Where credentials are kept.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::document::{self, Form};
use super::error::StoreError;
use super::keyring::{Keyring, Patience};
use super::lock::{self, KernelLock};
use super::model::Stored;
use super::qwen_code::SharedLock;
use crate::file::{Replacement, read_private, sweep_temporaries};
use crate::paths;

/// The largest credential document that is read, in bytes.
const LARGEST: u64 = 1 << 20;

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
enum Seat {
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

    /// Takes the lock that every change needs.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when it is not free within `limit`.
    pub fn lock(&self, limit: Duration) -> Result<Held<'_>, StoreError> {
        let path = match &self.seat {
            Seat::File(path) => lock::beside(path),
            // Not in the directory of a profile: whoever shares the file must share the lock.
            Seat::QwenCode(path) => path.with_file_name("oauth_creds.qwen-toolkit.lock"),
            Seat::Keyring { lock, .. } => lock.clone(),
        };
        let kernel = KernelLock::acquire(&path, limit)?;
        let shared = match &self.seat {
            Seat::QwenCode(path) => Some(SharedLock::acquire(lock::beside(path), kernel.file(), limit)?),
            _ => None,
        };
        if let Seat::File(path) | Seat::QwenCode(path) = &self.seat {
            sweep_temporaries(path);
        }
        Ok(Held {
            store: self,
            shared,
            _kernel: kernel,
        })
    }

    /// Writes and removes something that is no credential, to see that the place can be used.
    pub(super) fn probe(&self) -> Result<(), StoreError> {
        match &self.seat {
            Seat::File(path) | Seat::QwenCode(path) => probe_file(path),
            Seat::Keyring { item, .. } => item.probe(),
        }
    }
}

/// A store with its lock. Dropping it gives the lock back.
#[derive(Debug)]
pub struct Held<'a> {
    store: &'a Store,
    // Qwen Code's lock goes before ours: fields are dropped in order.
    shared: Option<SharedLock>,
    _kernel: KernelLock,
}

impl<'a> Held<'a> {
    /// As [`Store::load`].
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn load(&self) -> Result<Option<Loaded>, StoreError> {
        self.store.load()
    }

    /// Makes sure that a credential can be stored before it is fetched: takes room on the disk, or writes to the
    /// keyring what is there already.
    ///
    /// # Errors
    /// A full disk, a read-only place, a locked keyring.
    pub fn prepare(&self, present: &Stored) -> Result<Pending<'a>, StoreError> {
        let (path, form) = match &self.store.seat {
            Seat::File(path) => (path, Form::Ours),
            Seat::QwenCode(path) => (path, Form::QwenCode),
            Seat::Keyring { item, .. } => {
                item.write(document::write(present, Form::Ours))?;
                return Ok(Pending(Way::Keyring(item)));
            }
        };
        let room = document::write(present, form).expose().len() * 2 + (16 << 10);
        let file = Replacement::begin(path, room).map_err(|error| StoreError::io(path, "write", error))?;
        Ok(Pending(Way::File { file, path, form }))
    }

    /// Replaces the credential, durably: it survives a power cut once this returns.
    ///
    /// # Errors
    /// The store refused; what it held is still there.
    pub fn save(&self, stored: &Stored) -> Result<(), StoreError> {
        match &self.store.seat {
            Seat::Keyring { item, .. } => item.write(document::write(stored, Form::Ours)),
            _ => self.prepare(stored)?.commit(stored),
        }
    }

    /// Removes the credential; false when there was none.
    ///
    /// # Errors
    /// The store refused.
    pub fn delete(&self) -> Result<bool, StoreError> {
        match &self.store.seat {
            Seat::Keyring { item, .. } => item.delete(),
            Seat::File(path) | Seat::QwenCode(path) => match std::fs::remove_file(path) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(StoreError::io(path, "remove", error)),
            },
        }
    }

    /// Returns what gives Qwen Code's lock back from another thread, when the program is about to die.
    pub(super) fn release(&self) -> impl FnOnce() + Send + 'static {
        let shared = self.shared.as_ref().map(SharedLock::release);
        move || {
            if let Some(release) = shared {
                release();
            }
        }
    }
}

/// A place that is ready for the next credential.
#[derive(Debug)]
pub struct Pending<'a>(Way<'a>);

#[derive(Debug)]
enum Way<'a> {
    Keyring(&'a Keyring),
    File {
        file: Replacement,
        path: &'a Path,
        form: Form,
    },
}

impl Pending<'_> {
    /// As [`Held::save`].
    ///
    /// # Errors
    /// As [`Held::save`].
    pub fn commit(self, stored: &Stored) -> Result<(), StoreError> {
        match self.0 {
            Way::Keyring(item) => item.write(document::write(stored, Form::Ours)),
            Way::File { file, path, form } => file
                .commit(document::write(stored, form).expose())
                .map_err(|error| StoreError::io(path, "write", error)),
        }
    }
}

fn load_file(path: &Path, form: Form) -> Result<Option<Loaded>, StoreError> {
    let Some(file) = read_private(path, LARGEST).map_err(|error| StoreError::io(path, "read", error))? else {
        return Ok(None);
    };
    let shown = path.display();
    let notice = if file.is_loose() {
        Some(format!(
            "'{shown}' is readable by others (mode {:04o})",
            file.mode
        ))
    } else if file.owner != rustix::process::geteuid().as_raw() {
        Some(format!("'{shown}' belongs to another user"))
    } else {
        None
    };
    let bytes = crate::secret::Secret::new(file.bytes);
    let stored = document::read(bytes.expose(), form).map_err(|reason| StoreError::Malformed {
        place: shown.to_string(),
        reason,
    })?;
    Ok(Some(Loaded { stored, notice }))
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
