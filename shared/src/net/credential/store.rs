//! Where a credential is kept, and how it is changed under a lock.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::document::{self, Form, Stored};
use super::error::StoreError;
use super::keyring::{Keyring, Patience};
use super::kind::StoreKind;
use super::note::Note;
use super::qwen_code::SharedLock;
use crate::exit::Failure;
use crate::fs::{
    Lock, PrivateFile, Replacement, beside, create_private_dir, read_private, sweep_temporaries,
};
use crate::paths;

/// The largest credential document that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The room that a trial of a file takes, in bytes: no less than a login will need there.
const ROOM: usize = 32 << 10;

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
    crate::fs::write_private(&trial, CANARY).map_err(failed("write"))?;
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

/// A store while no other program of ours changes it. Qwen Code may.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    store: &'a Store,
    lock: Lock,
}

impl<'a> Turn<'a> {
    pub(super) const fn new(store: &'a Store, lock: Lock) -> Self {
        Self { store, lock }
    }

    /// Returns how another process's refresh failed between two points in time.
    pub(super) fn failure_between(&self, from: SystemTime, to: SystemTime) -> Option<Failure> {
        Note::read(self.lock.file()).failure_between(from, to)
    }

    /// Keeps Qwen Code away too, where the file is its own.
    ///
    /// # Errors
    /// As [`Store::lock`].
    pub(super) fn hold(self, limit: Duration, tell: &dyn Fn(&str)) -> Result<Held<'a>, Failure> {
        let Self { store, lock } = self;
        let shared = match store.seat() {
            Seat::QwenCode(path) => {
                let path = path.with_extension("lock");
                Some(SharedLock::acquire(path, lock.file(), limit, tell)?)
            }
            _ => None,
        };
        if let Seat::File(path) | Seat::QwenCode(path) = store.seat() {
            sweep_temporaries(path);
        }
        Ok(Held { store, shared, lock })
    }
}

/// A store with its lock. Dropping it gives the lock back.
#[derive(Debug)]
pub struct Held<'a> {
    store: &'a Store,
    // Qwen Code's lock goes before ours: fields are dropped in order.
    shared: Option<SharedLock>,
    lock: Lock,
}

impl<'a> Held<'a> {
    /// True when Qwen Code's lock is held too: what is stored may have changed while it was waited for.
    pub(super) const fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

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
        let (path, form) = match self.store.seat() {
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
        match self.store.seat() {
            Seat::Keyring { item, .. } => item.write(document::write(stored, Form::Ours)),
            _ => self.prepare(stored)?.commit(stored),
        }
    }

    /// True when a symbolic link is in the place of the credential's file: it is not read, but can be removed.
    #[must_use]
    pub fn is_link(&self) -> bool {
        match self.store.seat() {
            Seat::Keyring { .. } => false,
            Seat::File(path) | Seat::QwenCode(path) => path.is_symlink(),
        }
    }

    /// Removes the credential, of a symbolic link the link alone; false when there was none.
    ///
    /// # Errors
    /// The store refused.
    pub fn delete(&self) -> Result<bool, StoreError> {
        match self.store.seat() {
            Seat::Keyring { item, .. } => item.delete(),
            Seat::File(path) | Seat::QwenCode(path) => match std::fs::remove_file(path) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(StoreError::io(path, "remove", error)),
            },
        }
    }

    /// Tells those who wait for the lock that a refresh failed, and how.
    pub(super) fn leave_failure(&self, failure: &Failure, now: SystemTime) {
        let mut note = Note::read(self.lock.file());
        note.set_failed(failure, now);
        // Best effort: who does not learn of it asks the server itself.
        let _ = note.write(self.lock.file());
    }

    /// Returns what gives Qwen Code's lock back from another thread, when the program is about to die.
    pub(super) fn release(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = self.shared.as_ref().map(SharedLock::release);
        move || {
            if let Some(release) = &shared {
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

/// Finds the store for a login and proves, by writing, reading and deleting, that it will take a credential.
///
/// Without a `choice` that is the keyring where one answers, a file where none exists.
///
/// Call it before a browser opens: a login whose token cannot be kept is a login lost. Returns the store and a notice
/// when it is not what the user may expect. `is_qwen_oauth` says that the credential is a login at qwen.ai, whose
/// file is Qwen Code's.
///
/// # Errors
/// A keyring that is locked or silent (75) is never replaced by a file, which would leave a secret where the user did
/// not want it; a place that cannot be written (74).
pub fn choose(
    choice: Option<StoreKind>,
    profile: &str,
    is_qwen_oauth: bool,
    patience: Patience,
) -> Result<(Store, Option<String>), Failure> {
    let file = if is_qwen_oauth {
        StoreKind::QwenCode
    } else {
        StoreKind::File
    };
    if matches!(choice, Some(StoreKind::File | StoreKind::QwenCode)) {
        return tried(Store::open(file, profile, patience)?, None);
    }
    let keyring = Store::open(StoreKind::Keyring, profile, patience.clone())?;
    match keyring.probe() {
        Ok(()) => Ok((keyring, None)),
        Err(StoreError::NoKeyring(_)) if choice.is_none() => {
            let store = Store::open(file, profile, patience)?;
            let notice = format!(
                "no system keyring is here; the credential goes to '{}', readable by you alone",
                store.place()
            );
            tried(store, Some(notice))
        }
        Err(error) => Err(error.into()),
    }
}

fn tried(store: Store, notice: Option<String>) -> Result<(Store, Option<String>), Failure> {
    store.probe()?;
    Ok((store, notice))
}
