//! Kernel locks on files.

use std::fs::{self, File, Metadata, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, io};

use rustix::io::Errno;

use super::{Links, cannot, check_own_directory, options};
use crate::exit::{Exit, Failure, io_exit};

/// Where locks are that a file system does not have.
const RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";

/// How long to wait before `notify` is called.
const NOTICE_AFTER: Duration = Duration::from_secs(2);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// An exclusive lock, held until dropped. The lock file stays, but for one [that is removed](Lock::take_removed).
#[derive(Debug)]
pub struct Lock {
    file: File,
    _stand_in: StandIn,
    /// What is removed at the end, while the lock is still held.
    removed: Option<PathBuf>,
}

/// What is locked in the place of a file whose file system has no locks; nothing where it has. Held as long as the lock.
#[derive(Debug)]
pub(crate) struct StandIn(Option<File>);

/// Locks a file exclusively, as long as it is open and what is returned is there; `None` where another process has the lock.
///
/// Network file systems may have no locks, and homes lie on them. There a file of `$XDG_RUNTIME_DIR` is locked instead, which
/// is this machine's: other machines are not excluded.
///
/// # Errors
/// The file cannot be locked.
pub(crate) fn try_lock(file: &File) -> io::Result<Option<StandIn>> {
    match lock_once(file) {
        Err(error) if has_no_locks(&error) => {
            let stand_in = open_stand_in(file)?.ok_or(error)?;
            Ok(lock_once(&stand_in)?.then_some(StandIn(Some(stand_in))))
        }
        other => Ok(other?.then_some(StandIn(None))),
    }
}

/// False where another process has the lock.
fn lock_once(file: &File) -> io::Result<bool> {
    loop {
        return match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(TryLockError::Error(error)) => Err(error),
        };
    }
}

/// True for what a file system says that has no locks: some network and user-space ones.
fn has_no_locks(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL)
    )
}

/// Opens the file that stands for another one; `None` where there is no directory for it.
fn open_stand_in(file: &File) -> io::Result<Option<File>> {
    let directory = env::var_os(RUNTIME_DIR).map(PathBuf::from);
    let Some(directory) = directory.filter(|directory| directory.is_absolute()) else {
        return Ok(None);
    };
    let found = file.metadata()?;
    let path = directory.join(format!("qwen-{:x}-{:x}.lock", found.dev(), found.ino()));
    check_own_directory(&path)?;
    open(&path).map(Some)
}

/// A wait for something that another process holds.
pub(crate) struct Wait<'a> {
    started: Instant,
    limit: Duration,
    notify: Option<&'a dyn Fn(&str)>,
}

impl<'a> Wait<'a> {
    /// Begins. `notify` is called once with what is waited for, if that takes long.
    pub(crate) fn new(limit: Duration, notify: &'a dyn Fn(&str)) -> Self {
        Self {
            started: Instant::now(),
            limit,
            notify: Some(notify),
        }
    }

    /// True when the lock file `path` has been waited for long enough.
    pub(crate) fn is_over(&mut self, path: &Path) -> bool {
        let waited = self.started.elapsed();
        if (NOTICE_AFTER..self.limit).contains(&waited)
            && let Some(notify) = self.notify.take()
        {
            let (path, limit) = (path.display(), self.limit.as_secs());
            notify(&format!(
                "{path}: locked by another process; waiting up to {limit} s"
            ));
        }
        waited >= self.limit
    }
}

impl Lock {
    /// Takes a lock that others hold for milliseconds, as [`Lock::take_with_notice`], without a notice.
    ///
    /// # Errors
    /// As [`Lock::take_with_notice`].
    pub fn take(path: &Path, limit: Duration) -> Result<Self, Failure> {
        Self::take_with_notice(path, limit, &|_| {})
    }

    /// As [`Lock::take`], for a directory in which no file of ours is to stay: its holder removes the lock file. Whoever has
    /// opened it meanwhile gets the lock of a file without a name, sees that, and begins anew.
    ///
    /// # Errors
    /// As [`Lock::take_with_notice`].
    pub fn take_removed(path: &Path, limit: Duration) -> Result<Self, Failure> {
        let mut lock = Self::take(path, limit)?;
        lock.removed = Some(path.to_path_buf());
        Ok(lock)
    }

    /// Takes the lock, waiting at most `limit` for other holders; after two seconds `notify` is called with a message. The file is created
    /// with mode 0600; a symbolic link in its place is refused.
    ///
    /// # Errors
    /// 75 when the time is over, 74 when the file cannot be opened or locked at all.
    pub fn take_with_notice(path: &Path, limit: Duration, notify: &dyn Fn(&str)) -> Result<Self, Failure> {
        let mut wait = Wait::new(limit, notify);
        let mut pause = Duration::from_millis(1);
        let mut file = open(path).map_err(|error| refused(path, &error))?;
        loop {
            let fault = match try_lock(&file).map_err(|error| refused(path, &error))? {
                Some(stand_in) if is_at(&file, path, Links::Refuse) => {
                    if stand_in.0.is_some() {
                        notify(&format!(
                            "{}: its file system has no locks, so that only programs on this machine wait for each other",
                            path.display()
                        ));
                    }
                    return Ok(Self {
                        file,
                        _stand_in: stand_in,
                        removed: None,
                    });
                }
                // Someone removed the file while we waited: a lock on what has no name guards nothing.
                Some(_) => {
                    file = open(path).map_err(|error| refused(path, &error))?;
                    "another file has its name again and again"
                }
                None => "still locked by another process",
            };
            if wait.is_over(path) {
                let (path, waited) = (path.display(), limit.as_secs());
                let message = format!("{path}: {fault} after {waited} s");
                return Err(Failure::new(Exit::TryAgain, message));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Returns the lock file, for state that is kept in it.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The file is closed, and unlocked by that, after this.
        if let Some(path) = &self.removed
            && is_at(&self.file, path, Links::Refuse)
        {
            let _ = fs::remove_file(path);
        }
    }
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(io_exit(error, Exit::Io), cannot("lock", path, error));
    let failure = super::own::explain_roots(failure, path, error);
    match has_no_locks(error) {
        true => failure.hint(format!(
            "set {RUNTIME_DIR} to a directory of your own on this machine, where locks work"
        )),
        false => failure,
    }
}

fn open(path: &Path) -> io::Result<File> {
    options(Links::Refuse)
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Returns whether it is this file that has the path, as far as the machine can tell.
#[must_use]
pub fn is_at(file: &File, path: &Path, links: Links) -> bool {
    stands_at(file, path, links).unwrap_or(false)
}

/// Returns whether it is this file that has the path.
///
/// # Errors
/// What keeps the machine from telling.
pub(crate) fn stands_at(file: &File, path: &Path, links: Links) -> io::Result<bool> {
    let ours = file.metadata()?;
    let is_same = |there: &Metadata| ours.dev() == there.dev() && ours.ino() == there.ino();
    let there = match links {
        Links::Follow => path.metadata(),
        Links::Refuse => path.symlink_metadata(),
    };
    match there {
        Ok(there) if is_same(&there) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // A file system may number what is open otherwise than what has a name (overlayfs before Linux 4.19), or not know
        // the name for a moment (NFS).
        found => match options(links).read(true).open(path) {
            Ok(again) => Ok(is_same(&again.metadata()?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => found.map(|_| false).map_err(|_| error),
        },
    }
}

/// Returns the name of the lock that writers of `path` take: the same with `.lock` at its end.
#[must_use]
pub fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".lock");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::{Lock, lock_path};
    use crate::exit::Exit;

    #[test]
    fn a_second_holder_waits_and_a_link_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = lock_path(&directory.path().join("state"));
        let held = Lock::take(&path, Duration::ZERO).unwrap();
        let refused = Lock::take(&path, Duration::from_millis(5)).unwrap_err();
        assert_eq!(refused.exit, Exit::TryAgain);
        drop(held);
        // A process that another test starts has the descriptor until it runs its own program.
        Lock::take(&path, Duration::from_secs(10)).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(Lock::take(&link, Duration::ZERO).unwrap_err().exit, Exit::Io);
    }

    #[test]
    fn a_lock_file_that_is_removed_lets_one_in_at_a_time_and_none_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = lock_path(&directory.path().join("linked"));
        let (inside, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let lock = Lock::take_removed(&path, Duration::from_secs(60)).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        taken.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 400);
        assert!(!path.exists());
    }
}
