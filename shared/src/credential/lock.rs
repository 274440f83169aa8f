//! The kernel lock: it dies with its holder, however the holder dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::error::StoreError;
use crate::file::create_private_dir;

/// How long to wait for a lock: longer than a holder may take for its refresh (30 s), so that waiting outlives a
/// server that does not answer.
pub const LOCK_LIMIT: Duration = Duration::from_secs(60);

/// An exclusive lock on a file of its own. Dropping it, or dying, releases it; the file stays.
#[derive(Debug)]
pub(super) struct KernelLock {
    file: File,
}

impl KernelLock {
    /// Waits at most `limit` for the lock on `path`, creating file (0600) and directory (0700) where missing.
    pub(super) fn acquire(path: &Path, limit: Duration) -> Result<Self, StoreError> {
        let failed = |error| StoreError::io(path, "lock", error);
        let deadline = Instant::now() + limit;
        loop {
            let file = open(path).map_err(failed)?;
            let file = match file.try_lock() {
                Ok(()) => file,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) => wait(file, deadline).map_err(|error| match error {
                    Some(error) => failed(error),
                    None => StoreError::Busy {
                        place: path.display().to_string(),
                        limit,
                    },
                })?,
            };
            // Someone may have removed the file while we waited: a lock on what has no name guards nothing.
            if is_at(&file, path) {
                return Ok(Self { file });
            }
        }
    }

    /// The locked file, in which a holder may leave a note to the next one.
    pub(super) const fn file(&self) -> &File {
        &self.file
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        create_private_dir(directory)?;
    }
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// Lets a thread wait in the kernel, which wakes exactly one of many; the thread is left behind when time is up.
fn wait(file: File, deadline: Instant) -> Result<File, Option<io::Error>> {
    let (done, locked) = mpsc::channel();
    thread::Builder::new()
        .name("lock".to_owned())
        .spawn(move || {
            super::signals::mask_thread();
            let result = loop {
                match file.lock() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other.map(|()| file),
                }
            };
            let _ = done.send(result);
        })
        .map_err(Some)?;
    let rest = deadline.saturating_duration_since(Instant::now());
    match locked.recv_timeout(rest) {
        Ok(result) => result.map_err(Some),
        Err(_) => Err(None),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(ours), Ok(there)) => ours.dev() == there.dev() && ours.ino() == there.ino(),
        _ => false,
    }
}

/// Returns the lock file that goes with a credential file: the same name with `.lock` for its last extension.
pub(super) fn beside(path: &Path) -> PathBuf {
    path.with_extension("lock")
}
