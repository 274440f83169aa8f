//! The store of one profile's credential, and its lock.

use std::fmt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::document::{self, Credential, Format, Stored};
use super::error::StoreError;
use super::journal::{self, Journal};
use super::keyring::{KeyringItem, KeyringTimeout};
use super::lock_record::LockRecord;
use super::pending_write::{PendingWrite, Unsaved};
use super::qwen_code_lock::QwenCodeLock;
use crate::exit::{Exit, Failure};
use crate::fs::{
    Links, Lock, PreparedWrite, PrivateFile, create_private_dir, lock_path, own_target, read_private_by,
    remove_temporaries,
};
use crate::net::oauth::{HttpResponse, TokenResponse};
use crate::paths;
use crate::secret::Secret;

/// How long to wait for a lock: longer than its holder may wait for a server that does not answer.
pub const LOCK_LIMIT: Duration = Duration::from_secs(60);

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

    /// True where a trace says that something may be stored: the file or its journal; of the keyring, the lock that every write
    /// to it has left. Does not ask the keyring.
    #[must_use]
    pub fn has_trace(&self) -> bool {
        let path = match &self.location {
            Location::File { path, .. } => path,
            Location::Keyring { lock, .. } => lock,
        };
        path.symlink_metadata().is_ok() || self.has_journal()
    }

    /// Returns the profiles that have left a trace in the directory of credentials, sorted.
    #[must_use]
    pub fn traced_profiles() -> Vec<String> {
        let directory = paths::credential_dir().map(|directory| directory.join("credentials"));
        let entries = directory.and_then(|directory| std::fs::read_dir(directory).ok());
        let names = entries.into_iter().flatten().flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let profile = [".keyring.lock", ".json.journal", ".json"]
                .into_iter()
                .find_map(|end| name.strip_suffix(end))?;
            (!profile.is_empty() && !profile.starts_with(['.', '-'])).then(|| profile.to_owned())
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.dedup();
        names
    }

    /// Reads the credential; `None` if there is none. Needs no lock, as a file is replaced in one step.
    ///
    /// # Errors
    /// The store cannot be read, or holds something else.
    pub fn load(&self) -> Result<Option<Loaded>, StoreError> {
        match &self.location {
            Location::File { path, format } => load_file(path, *format, &self.profile),
            Location::Keyring { item, .. } => load_item(item, &self.profile),
        }
    }

    /// As [`Store::load`], after what the journal of a refresh that was cut short has kept was taken over. Where the lock is
    /// not free, a refresh is going on: then the credential is what it was before.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn load_recovered(&self, notify: &dyn Fn(&str)) -> Result<Option<Loaded>, StoreError> {
        if self.has_journal()
            && let Ok(locked) = self.lock(Duration::ZERO, notify)
        {
            return locked.load();
        }
        self.load()
    }

    /// Adds the members that others have put into the file that is shared with Qwen Code, as far as a new login has none of
    /// that name.
    pub fn keep_unknown_members(&self, credential: &mut Credential) {
        if self.kind() == StoreKind::QwenCode
            && let Ok(Some(loaded)) = self.load()
            && let Stored::Oauth(old) = loaded.stored
        {
            let new = std::mem::replace(&mut credential.extra, old.extra);
            credential.extra.extend(new);
        }
    }

    /// Returns when what is stored came, by this machine's clock; `None` where that is not known.
    pub fn stored_at(&self, stored: &Stored) -> Option<SystemTime> {
        let issued_at = match stored {
            Stored::Oauth(credential) => credential.issued_at,
            Stored::ApiKey(_) => None,
        };
        issued_at.or_else(|| self.target()?.metadata().ok()?.modified().ok())
    }

    /// Takes the lock, which every change needs, and takes over what the journal of a refresh that was cut short has kept.
    /// `notify` is told about a long wait.
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

    /// Checks that the store is usable: tries every step of a write. `notify` is told about a long wait for the lock.
    ///
    /// # Errors
    /// It is not usable.
    pub fn probe(&self, notify: &dyn Fn(&str)) -> Result<(), StoreError> {
        match &self.location {
            Location::File { path, .. } => {
                let locked = self.lock(LOCK_LIMIT, notify);
                let _locked = locked.map_err(|failure| StoreError::Failed(Box::new(failure)))?;
                let tried = PreparedWrite::begin(path, SPACE);
                tried
                    .map(drop)
                    .map_err(|error| StoreError::io(path, "write", error))
            }
            Location::Keyring { item, .. } => item.probe(),
        }
    }

    /// Tries every step of a write of something like `stored`.
    fn pending_write(&self, stored: &Stored, journal: Journal) -> Result<PendingWrite<'_>, StoreError> {
        match &self.location {
            Location::Keyring { item, .. } => Ok(PendingWrite::to_keyring(item, journal)),
            Location::File { path, format } => {
                let space = document::write(stored, *format).expose().len() * 2 + (16 << 10);
                PendingWrite::to_file(path, *format, space, journal)
            }
        }
    }

    /// Returns the file that a write changes; `None` for the keyring.
    fn target(&self) -> Option<PathBuf> {
        match &self.location {
            Location::Keyring { .. } => None,
            Location::File { path, .. } => Some(own_target(path).unwrap_or_else(|_| path.clone())),
        }
    }

    const fn format(&self) -> Format {
        match &self.location {
            Location::Keyring { .. } => Format::Own,
            Location::File { format, .. } => *format,
        }
    }

    /// True when a refresh was cut short, and what it kept is still to be taken over.
    pub(super) fn has_journal(&self) -> bool {
        self.journal_path().symlink_metadata().is_ok()
    }

    /// Returns the journal's place: beside the lock, and so in a directory that is written to in any case.
    fn journal_path(&self) -> PathBuf {
        match &self.location {
            Location::Keyring { lock, .. } => lock.with_extension("journal"),
            Location::File { path, format } => match format {
                Format::Own => {
                    let mut name = path.file_name().unwrap_or_default().to_os_string();
                    name.push(".journal");
                    path.with_file_name(name)
                }
                Format::QwenCode => path.with_file_name("oauth_creds.qwen-toolkit.journal"),
            },
        }
    }
}

fn load_file(path: &Path, format: Format, profile: &str) -> Result<Option<Loaded>, StoreError> {
    let read = read_private_by(path, MAX_SIZE, Links::Follow);
    let Some(file) = read.map_err(|error| StoreError::io(path, "read", error))? else {
        return Ok(None);
    };
    let shown = path.display();
    let notice = permission_warning(path, &file);
    let bytes = Secret::new(file.bytes);
    let stored = document::read(bytes.expose(), format).map_err(|reason| StoreError::Malformed {
        place: shown.to_string(),
        reason,
        profile: profile.to_owned(),
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

fn load_item(item: &KeyringItem, profile: &str) -> Result<Option<Loaded>, StoreError> {
    let Some(bytes) = item.read()? else {
        // A locked keyring may answer that there is no such item.
        item.probe()?;
        return Ok(None);
    };
    let stored = document::read(bytes.expose(), Format::Own).map_err(|reason| StoreError::Malformed {
        place: "the item in the system keyring".to_owned(),
        reason,
        profile: profile.to_owned(),
    })?;
    Ok(Some(Loaded { stored, notice: None }))
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
        if let Location::File {
            path,
            format: Format::QwenCode,
        } = &store.location
        {
            let path = path.with_extension("lock");
            qwen_code_lock = Some(QwenCodeLock::acquire(path, lock.file(), limit, notify)?);
        }
        if let Some(target) = store.target() {
            remove_temporaries(&target);
        }
        let mut locked = LockedStore {
            store,
            qwen_code_lock,
            lock,
            unsaved: None,
            has_taken_over: false,
        };
        locked.take_over();
        Ok(locked)
    }
}

/// The failure of [`LockedStore::save_with`].
#[derive(Debug)]
pub struct HalfSaved {
    /// What failed.
    pub failure: Failure,
    /// True where the store holds what it held.
    pub is_as_before: bool,
}

/// A locked store. Dropping it releases the lock.
#[derive(Debug)]
pub struct LockedStore<'a> {
    store: &'a Store,
    // Declared, and so released, before the own lock.
    qwen_code_lock: Option<QwenCodeLock>,
    lock: Lock,
    /// What the journal has kept and the store does not take.
    unsaved: Option<(Stored, Unsaved)>,
    has_taken_over: bool,
}

impl<'a> LockedStore<'a> {
    /// True if the store may have changed since it was read with the first part of the lock alone: Qwen Code is excluded
    /// only now, and what a refresh that was cut short has kept is taken over.
    pub(super) const fn may_have_changed(&self) -> bool {
        self.qwen_code_lock.is_some() || self.has_taken_over
    }

    /// As [`Store::load`]; what the store does not take is there too.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn load(&self) -> Result<Option<Loaded>, StoreError> {
        match &self.unsaved {
            None => self.store.load(),
            Some((stored, unsaved)) => Ok(Some(Loaded {
                stored: stored.clone(),
                notice: Some(unsaved.notice(&self.store.profile)),
            })),
        }
    }

    /// Stores the credential that the journal has kept, if the one in the store is the one that was refreshed then.
    fn take_over(&mut self) {
        let path = self.store.journal_path();
        let Some(found) = journal::read(&path) else {
            return journal::remove(&path);
        };
        let kept = match self.store.load() {
            Ok(Some(Loaded { stored, .. })) if found.is_of(&stored) => {
                refreshed_by(&stored, &found).or_else(|| self.document_in(&found))
            }
            // Only a part of the document was written.
            Err(StoreError::Malformed { .. }) => self.document_in(&found),
            // It cannot be read now.
            Err(_) => return,
            Ok(_) => None,
        };
        let Some(kept) = kept else {
            return journal::remove(&path);
        };
        self.has_taken_over = true;
        let pending = Journal::open(&path, &found)
            .map_err(|error| StoreError::io(&path, "write", error))
            .and_then(|journal| self.store.pending_write(&kept, journal));
        let saved = match pending {
            Ok(pending) => pending.commit(&kept),
            Err(error) => Err(Unsaved {
                error,
                journal: Some(path),
            }),
        };
        self.unsaved = saved.err().map(|unsaved| (kept, unsaved));
    }

    fn document_in(&self, found: &journal::Found) -> Option<Stored> {
        document::read(found.document.as_ref()?.expose(), self.store.format()).ok()
    }

    /// Checks that a new credential can be stored, by every step that will be needed: what the server answers has a journal
    /// from now on, the file's replacement is tried, or the current credential written to the keyring.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(super) fn prepare(&mut self, current: &Stored) -> Result<PendingWrite<'a>, StoreError> {
        // The journal is all that there is of it.
        if let Some((_, unsaved)) = self.unsaved.take() {
            return Err(unsaved.error);
        }
        let path = self.store.journal_path();
        let place = match &self.store.location {
            Location::File { path, .. } => path,
            Location::Keyring { .. } => &path,
        };
        let journal =
            Journal::begin(&path, current).map_err(|error| StoreError::io(place, "write", error))?;
        let pending = self.store.pending_write(current, journal)?;
        if let Location::Keyring { item, .. } = &self.store.location {
            item.write(document::write(current, Format::Own))?;
        }
        Ok(pending)
    }

    /// Replaces the credential. It is on the disk when this returns.
    ///
    /// # Errors
    /// The store cannot be written; the old credential is still there.
    pub fn save(&self, stored: &Stored) -> Result<(), StoreError> {
        let path = self.store.journal_path();
        let journal = Journal::begin(&path, stored).map_err(|error| StoreError::io(&path, "write", error))?;
        let pending = self.store.pending_write(stored, journal)?;
        pending.commit_or_forget(stored)
    }

    /// Replaces the credential, and does what has to be done with it. Where that fails the old credential is put back: the two
    /// change together.
    ///
    /// # Errors
    /// The store cannot be written, or that of `then`.
    pub fn save_with<T>(
        &self,
        stored: &Stored,
        then: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, HalfSaved> {
        let kept = |failure: Failure| HalfSaved {
            failure,
            is_as_before: true,
        };
        // What cannot be read cannot be put back.
        let old = self.load().ok();
        let old = old.map(|loaded| loaded.map(|loaded| loaded.stored));
        self.save(stored).map_err(|error| kept(error.into()))?;
        then().map_err(|failure| HalfSaved {
            is_as_before: match &old {
                Some(Some(old)) => self.save(old).is_ok(),
                Some(None) => self.delete().is_ok(),
                None => false,
            },
            failure,
        })
    }

    /// True if the credential's file is a symbolic link. One that is not followed can be removed all the same.
    #[must_use]
    pub fn is_link(&self) -> bool {
        match &self.store.location {
            Location::Keyring { .. } => false,
            Location::File { path, .. } => path.is_symlink(),
        }
    }

    /// Removes the credential, with what a symbolic link leads to where it is followed, and the link; false if there was
    /// none.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn delete(&self) -> Result<bool, StoreError> {
        journal::remove(&self.store.journal_path());
        let path = match &self.store.location {
            Location::Keyring { item, .. } => return item.delete(),
            Location::File { path, .. } => path,
        };
        if path.is_symlink()
            && let Ok(target) = own_target(path)
        {
            remove_file(&target)?;
        }
        remove_file(path)
    }

    /// Gives another store of the same directory this one's symbolic link, where its file is one, in the place of what it holds;
    /// false where it is none.
    ///
    /// # Errors
    /// The link cannot be made.
    pub fn link_to(&self, other: &LockedStore<'_>) -> Result<bool, StoreError> {
        let (Location::File { path, .. }, Location::File { path: new, .. }) =
            (&self.store.location, &other.store.location)
        else {
            return Ok(false);
        };
        let is_beside = path.parent() == new.parent();
        let Some(target) = path.read_link().ok().filter(|_| is_beside) else {
            return Ok(false);
        };
        remove_file(new)?;
        symlink(target, new).map_err(|error| StoreError::io(new, "write", error))?;
        Ok(true)
    }

    /// Removes the symbolic link in the credential's place, not what it leads to; false if there was none.
    ///
    /// # Errors
    /// The link cannot be removed.
    pub fn unlink(&self) -> Result<bool, StoreError> {
        match &self.store.location {
            Location::File { path, .. } if path.is_symlink() => remove_file(path),
            _ => Ok(false),
        }
    }

    /// Records a failed refresh for the processes that wait for the lock.
    pub(super) fn record_failure(&self, failure: &Failure, now: SystemTime) {
        let mut record = LockRecord::read(self.lock.file());
        record.set_failure(failure, now);
        // If it cannot be written, the others ask the server.
        let _ = record.write(self.lock.file());
    }

    /// Returns a function that releases Qwen Code's lock from another thread, and removes what [`LockedStore::prepare`] has
    /// created. The kernel releases the own lock.
    pub(super) fn releaser(&self) -> impl Fn() + Send + Sync + 'static {
        let releaser = self.qwen_code_lock.as_ref().map(QwenCodeLock::releaser);
        let prepared = self
            .unsaved
            .is_none()
            .then(|| (self.store.journal_path(), self.store.target()));
        move || {
            if let Some((journal, target)) = &prepared {
                journal::remove(journal);
                target.as_deref().inspect(|path| remove_temporaries(path));
            }
            if let Some(release) = &releaser {
                release();
            }
        }
    }
}

fn remove_file(path: &Path) -> Result<bool, StoreError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io(path, "remove", error)),
    }
}

/// Returns the credential that the server's answer in a journal makes of the one that was refreshed.
fn refreshed_by(stored: &Stored, found: &journal::Found) -> Option<Stored> {
    let Stored::Oauth(credential) = stored else {
        return None;
    };
    let (body, at) = found.answer.as_ref()?;
    let response = HttpResponse {
        status: 200,
        retry_after: None,
        date: None,
        body: body.expose().clone(),
    };
    let response = TokenResponse::parse(&response).ok()?;
    Some(Stored::Oauth(credential.refreshed(response, *at)))
}
