//! A store with its lock: the only way to change what is stored.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::document::{self, Form};
use super::error::StoreError;
use super::keyring::Keyring;
use super::model::Stored;
use super::note::Note;
use super::qwen_code::SharedLock;
use super::store::{Loaded, Seat, Store};
use crate::failure::Failure;
use crate::file::{Replacement, sweep_temporaries};
use crate::lock::Lock;

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
