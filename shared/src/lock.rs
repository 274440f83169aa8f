//! A kernel lock on a file: it dies with its holder, so no crash leaves it behind.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::exit::Exit;
use crate::failure::{Failure, io_reason};

/// How long a wait may be silent.
const SILENCE: Duration = Duration::from_secs(2);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// An exclusive lock, held until dropped. The lock file itself stays: removing it would let two holders in.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// A wait for something that another process holds.
pub(crate) struct Wait<'a> {
    started: Instant,
    limit: Duration,
    tell: Option<&'a dyn Fn(&str)>,
}

impl<'a> Wait<'a> {
    /// Begins. `tell` is told once what is waited for, when that takes long.
    pub(crate) fn new(limit: Duration, tell: &'a dyn Fn(&str)) -> Self {
        Self {
            started: Instant::now(),
            limit,
            tell: Some(tell),
        }
    }

    /// True when the lock file `path` has been waited for long enough.
    pub(crate) fn is_over(&mut self, path: &Path) -> bool {
        let waited = self.started.elapsed();
        if (SILENCE..self.limit).contains(&waited)
            && let Some(tell) = self.tell.take()
        {
            let (path, limit) = (path.display(), self.limit.as_secs());
            tell(&format!(
                "{path}: locked by another process; waiting up to {limit} s"
            ));
        }
        waited >= self.limit
    }
}

impl Lock {
    /// Takes a lock that others hold for milliseconds, as [`Lock::take_telling`], and without a word.
    ///
    /// # Errors
    /// As [`Lock::take_telling`].
    pub fn take(path: &Path, limit: Duration) -> Result<Self, Failure> {
        Self::take_telling(path, limit, &|_| {})
    }

    /// Takes the lock, waiting at most `limit` for other holders; after two seconds `tell` is told so. The file is created
    /// with mode 0600; a symbolic link in its place is refused.
    ///
    /// # Errors
    /// 75 when the limit is reached, 74 when the file cannot be opened or locked at all.
    pub fn take_telling(path: &Path, limit: Duration, tell: &dyn Fn(&str)) -> Result<Self, Failure> {
        let refused = |error: io::Error| {
            Failure::new(
                Exit::Io,
                format!("{}: cannot lock: {}", path.display(), io_reason(&error)),
            )
        };
        let mut wait = Wait::new(limit, tell);
        let mut pause = Duration::from_millis(1);
        let mut file = open(path).map_err(refused)?;
        loop {
            match file.try_lock() {
                Ok(()) if is_at(&file, path) => return Ok(Self { file }),
                // Someone removed the file while we waited: a lock on what has no name guards nothing.
                Ok(()) => file = open(path).map_err(refused)?,
                Err(TryLockError::Error(error)) => return Err(refused(error)),
                Err(TryLockError::WouldBlock) if wait.is_over(path) => {
                    let waited = limit.as_secs();
                    return Err(Failure::new(
                        Exit::TryAgain,
                        format!(
                            "{}: still locked by another process after {waited} s",
                            path.display()
                        ),
                    ));
                }
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Returns the lock file, for state that is kept in it.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }
}

fn open(path: &Path) -> io::Result<File> {
    // O_NONBLOCK: a FIFO planted in the file's place must not make the open wait.
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

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(ours), Ok(there)) => ours.dev() == there.dev() && ours.ino() == there.ino(),
        _ => false,
    }
}

/// Returns the name of the lock that writers of `path` take: the same with `.lock` at its end.
#[must_use]
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".lock");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::{Lock, beside};
    use crate::exit::Exit;
    use std::time::Duration;

    #[test]
    fn a_second_holder_waits_and_a_link_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = beside(&directory.path().join("state"));
        let held = Lock::take(&path, Duration::ZERO).unwrap();
        let refused = Lock::take(&path, Duration::from_millis(5)).unwrap_err();
        assert_eq!(refused.exit, Exit::TryAgain);
        drop(held);
        Lock::take(&path, Duration::ZERO).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(Lock::take(&link, Duration::ZERO).unwrap_err().exit, Exit::Io);
    }
}
