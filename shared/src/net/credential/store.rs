//! The store of one profile's credential, and its lock.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::document::{self, Format, Stored};
use super::error::StoreError;
use super::keyring::{KeyringItem, KeyringTimeout};
use super::lock_record::LockRecord;
use super::qwen_code_lock::QwenCodeLock;
use crate::exit::{Exit, Failure};
use crate::fs::{
    Lock, PrivateFile, Replacement, create_private_dir, lock_path, read_private, remove_temporaries,
};
use crate::paths;
use crate::secret::Secret;

/// The largest document that is read, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// The space on the disk that a document may need, in bytes.
const SPACE: usize = 32 << 10;

/// The kind of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// The system keyring: Secret Service, macOS Keychain, Windows Credential Manager.
    Keyring,
    /// The profile's own file, beside `config.json`.
    File,
    /// Qwen Code's `oauth_creds.json`, which is `file` for a login at qwen.ai.
    #[serde(rename = "file", skip_deserializing)]
    QwenCode,
}

impl StoreKind {
    /// Parses `QWEN_CREDENTIAL_STORE`; `None` if it is unset, blank or `auto`.
    ///
    /// # Errors
    /// 78 for an unknown value.
    pub fn from_environment() -> Result<Option<Self>, Failure> {
        match std::env::var("QWEN_CREDENTIAL_STORE").unwrap_or_default().trim() {
            "" | "auto" => Ok(None),
            word => word.parse().map(Some).map_err(|()| {
                Failure::new(
                    Exit::Config,
                    format!("QWEN_CREDENTIAL_STORE: '{word}' is not auto, keyring or file"),
                )
            }),
        }
    }
}

impl FromStr for StoreKind {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "keyring" => Ok(Self::Keyring),
            "file" => Ok(Self::File),
            _ => Err(()),
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keyring => "keyring",
            Self::File | Self::QwenCode => "file",
        })
    }
}

/// The store of one profile's credential.
#[derive(Debug)]
pub struct Store {
    profile: String,
    location: Location,
}

#[derive(Debug)]
enum Location {
    File { path: PathBuf, format: Format },
    Keyring { item: KeyringItem, lock: PathBuf },
}

/// The content of a store.
#[derive(Debug)]
pub struct Loaded {
    /// The credential.
    pub stored: Stored,
    /// A warning about the file's permissions.
    pub notice: Option<String>,
}

impl Store {
    /// Returns the store of a profile. Accesses neither files nor the keyring.
    ///
    /// # Errors
    /// There is no home directory, or the profile's name cannot be a file name.
    pub fn open(kind: StoreKind, profile: &str, timeout: KeyringTimeout) -> Result<Self, StoreError> {
        let is_name = !profile.is_empty()
            && !profile.starts_with(['.', '-'])
            && profile
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !is_name {
            return Err(StoreError::BadName(profile.to_owned()));
        }
        let directory = match kind {
            StoreKind::QwenCode => paths::qwen_home(),
            _ => paths::credential_dir().map(|directory| directory.join("credentials")),
        };
        let directory = directory.ok_or(StoreError::NoHome)?;
        let location = match kind {
            StoreKind::File => Location::File {
                path: directory.join(format!("{profile}.json")),
                format: Format::Own,
            },
            StoreKind::QwenCode => Location::File {
                path: directory.join("oauth_creds.json"),
                format: Format::QwenCode,
            },
            StoreKind::Keyring => Location::Keyring {
                item: KeyringItem::new(item_user(profile), timeout),
                lock: directory.join(format!("{profile}.keyring.lock")),
            },
        };
        Ok(Self {
            profile: profile.to_owned(),
            location,
        })
    }

    /// Returns the kind of store.
    #[must_use]
    pub const fn kind(&self) -> StoreKind {
        match &self.location {
            Location::Keyring { .. } => StoreKind::Keyring,
            Location::File { format, .. } => match format {
                Format::Own => StoreKind::File,
                Format::QwenCode => StoreKind::QwenCode,
            },
        }
    }

    /// Returns the name of the profile.
    #[must_use]
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// Returns the place for messages: a path, or `the system keyring`.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.location {
            Location::File { path, .. } => path.display().to_string(),
            Location::Keyring { .. } => "the system keyring".to_owned(),
        }
    }

    /// Reads the credential; `None` if there is none. Needs no lock, as a file is replaced in one step.
    ///
    /// # Errors
    /// The store cannot be read, or holds something else.
    pub fn load(&self) -> Result<Option<Loaded>, StoreError> {
        match &self.location {
            Location::File { path, format } => load_file(path, *format),
            Location::Keyring { item, .. } => load_item(item),
        }
    }

    /// Takes the lock, which every change needs. `notify` is told about a long wait.
    ///
    /// # Errors
    /// 75 when it is not free within `limit`, 74 when the lock file cannot be created.
    pub fn lock(&self, limit: Duration, notify: &dyn Fn(&str)) -> Result<LockedStore<'_>, Failure> {
        self.lock_own(limit, notify)?.lock_qwen_code(limit, notify)
    }

    /// Takes the first part of the lock, which excludes the toolkit's other processes.
    ///
    /// # Errors
    /// As [`Store::lock`].
    pub(super) fn lock_own(&self, limit: Duration, notify: &dyn Fn(&str)) -> Result<StoreLock<'_>, Failure> {
        let path = match &self.location {
            Location::Keyring { lock, .. } => lock.clone(),
            Location::File { path, format } => match format {
                Format::Own => lock_path(path),
                // Beside the file, so that processes with other configuration directories use it too.
                Format::QwenCode => path.with_file_name("oauth_creds.qwen-toolkit.lock"),
            },
        };
        if let Some(directory) = path.parent() {
            create_private_dir(directory).map_err(|error| StoreError::io(directory, "create", error))?;
        }
        let lock = Lock::take_with_notice(&path, limit, notify)?;
        Ok(StoreLock { store: self, lock })
    }

    /// Checks that the store is usable: writes, reads and removes something else.
    ///
    /// # Errors
    /// It is not usable.
    pub fn probe(&self) -> Result<(), StoreError> {
        match &self.location {
            Location::File { path, .. } => probe_file(path),
            Location::Keyring { item, .. } => item.probe(),
        }
    }
}

fn load_file(path: &Path, format: Format) -> Result<Option<Loaded>, StoreError> {
    let Some(file) = read_private(path, MAX_SIZE).map_err(|error| StoreError::io(path, "read", error))?
    else {
        return Ok(None);
    };
    let shown = path.display();
    let notice = permission_warning(path, &file);
    let bytes = Secret::new(file.bytes);
    let stored = document::read(bytes.expose(), format).map_err(|reason| StoreError::Malformed {
        place: shown.to_string(),
        reason,
    })?;
    Ok(Some(Loaded { stored, notice }))
}

fn permission_warning(path: &Path, file: &PrivateFile) -> Option<String> {
    file.is_loose().then(|| {
        format!(
            "'{}' is readable by others (mode {:04o})",
            path.display(),
            file.mode
        )
    })
}

fn load_item(item: &KeyringItem) -> Result<Option<Loaded>, StoreError> {
    let Some(bytes) = item.read()? else {
        // A locked keyring may answer that there is no such item.
        item.probe()?;
        return Ok(None);
    };
    let stored = document::read(bytes.expose(), Format::Own).map_err(|reason| StoreError::Malformed {
        place: "the item in the system keyring".to_owned(),
        reason,
    })?;
    Ok(Some(Loaded { stored, notice: None }))
}

fn probe_file(path: &Path) -> Result<(), StoreError> {
    const CONTENT: &[u8] = b"test";
    let probe = path.with_file_name(format!(".probe-{}", std::process::id()));
    let failed = |action| move |error| StoreError::io(path, action, error);
    drop(Replacement::begin(path, SPACE).map_err(failed("write"))?);
    crate::fs::write_private(&probe, CONTENT).map_err(failed("write"))?;
    let read = read_private(&probe, MAX_SIZE);
    std::fs::remove_file(&probe).map_err(failed("write"))?;
    match read.map_err(failed("read"))? {
        Some(file) if file.bytes == CONTENT => Ok(()),
        _ => Err(failed("read")(std::io::Error::other(
            "the file system did not return what was written",
        ))),
    }
}

/// Returns the item's user name: the profile, and the directory that `QWEN_CONFIG` sets, so that two configurations do not
/// share a credential.
fn item_user(profile: &str) -> String {
    let directory = paths::credential_dir().filter(|dir| Some(dir) != paths::config_dir().as_ref());
    directory.map_or_else(
        || profile.to_owned(),
        |dir| format!("{profile} in {}", dir.display()),
    )
}

/// A lock that excludes the toolkit's other processes, but not Qwen Code.
#[derive(Debug)]
pub(super) struct StoreLock<'a> {
    store: &'a Store,
    lock: Lock,
}

impl<'a> StoreLock<'a> {
    /// Returns the failure of another process's refresh, if there was one in this time.
    pub(super) fn failure_between(&self, from: SystemTime, to: SystemTime) -> Option<Failure> {
        LockRecord::read(self.lock.file()).failure_between(from, to)
    }

    /// Excludes Qwen Code too, if the file is shared with it.
    ///
    /// # Errors
    /// As [`Store::lock`].
    pub(super) fn lock_qwen_code(
        self,
        limit: Duration,
        notify: &dyn Fn(&str),
    ) -> Result<LockedStore<'a>, Failure> {
        let Self { store, lock } = self;
        let mut qwen_code_lock = None;
        if let Location::File { path, format } = &store.location {
            if *format == Format::QwenCode {
                let path = path.with_extension("lock");
                qwen_code_lock = Some(QwenCodeLock::acquire(path, lock.file(), limit, notify)?);
            }
            remove_temporaries(path);
        }
        Ok(LockedStore {
            store,
            qwen_code_lock,
            lock,
        })
    }
}

/// A locked store. Dropping it releases the lock.
#[derive(Debug)]
pub struct LockedStore<'a> {
    store: &'a Store,
    // Declared, and so released, before the own lock.
    qwen_code_lock: Option<QwenCodeLock>,
    lock: Lock,
}

impl<'a> LockedStore<'a> {
    /// True if Qwen Code, which may have changed the store before, is excluded now.
    pub(super) const fn excludes_qwen_code(&self) -> bool {
        self.qwen_code_lock.is_some()
    }

    /// As [`Store::load`].
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn load(&self) -> Result<Option<Loaded>, StoreError> {
        self.store.load()
    }

    /// Checks that a new credential can be stored: allocates space on the disk, or writes the current one to the keyring.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(super) fn prepare(&self, current: &Stored) -> Result<PendingWrite<'a>, StoreError> {
        match &self.store.location {
            Location::File { path, format } => {
                let space = document::write(current, *format).expose().len() * 2 + (16 << 10);
                let file =
                    Replacement::begin(path, space).map_err(|error| StoreError::io(path, "write", error))?;
                Ok(PendingWrite::File {
                    file,
                    path,
                    format: *format,
                })
            }
            Location::Keyring { item, .. } => {
                item.write(document::write(current, Format::Own))?;
                Ok(PendingWrite::Keyring(item))
            }
        }
    }

    /// Replaces the credential. It is on the disk when this returns.
    ///
    /// # Errors
    /// The store cannot be written; the old credential is still there.
    pub fn save(&self, stored: &Stored) -> Result<(), StoreError> {
        match &self.store.location {
            Location::Keyring { item, .. } => item.write(document::write(stored, Format::Own)),
            _ => self.prepare(stored)?.commit(stored),
        }
    }

    /// True if the credential's file is a symbolic link, which is not read but can be removed.
    #[must_use]
    pub fn is_link(&self) -> bool {
        match &self.store.location {
            Location::Keyring { .. } => false,
            Location::File { path, .. } => path.is_symlink(),
        }
    }

    /// Removes the credential, or the symbolic link; false if there was none.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn delete(&self) -> Result<bool, StoreError> {
        match &self.store.location {
            Location::Keyring { item, .. } => item.delete(),
            Location::File { path, .. } => match std::fs::remove_file(path) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(StoreError::io(path, "remove", error)),
            },
        }
    }

    /// Records a failed refresh for the processes that wait for the lock.
    pub(super) fn record_failure(&self, failure: &Failure, now: SystemTime) {
        let mut record = LockRecord::read(self.lock.file());
        record.set_failure(failure, now);
        // If it cannot be written, the others ask the server.
        let _ = record.write(self.lock.file());
    }

    /// Returns a function that releases Qwen Code's lock from another thread. The kernel releases the own one.
    pub(super) fn releaser(&self) -> impl Fn() + Send + Sync + 'static {
        let releaser = self.qwen_code_lock.as_ref().map(QwenCodeLock::releaser);
        move || {
            if let Some(release) = &releaser {
                release();
            }
        }
    }
}

/// A write that is prepared.
#[derive(Debug)]
pub(super) enum PendingWrite<'a> {
    Keyring(&'a KeyringItem),
    File {
        file: Replacement,
        path: &'a Path,
        format: Format,
    },
}

impl PendingWrite<'_> {
    /// As [`LockedStore::save`].
    ///
    /// # Errors
    /// As [`LockedStore::save`].
    pub(super) fn commit(self, stored: &Stored) -> Result<(), StoreError> {
        match self {
            Self::Keyring(item) => item.write(document::write(stored, Format::Own)),
            Self::File { file, path, format } => file
                .commit(document::write(stored, format).expose())
                .map_err(|error| StoreError::io(path, "write", error)),
        }
    }
}
