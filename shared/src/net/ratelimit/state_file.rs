//! The file that a book is kept in, and its lock.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::state::{Book, Millis};
use crate::exit::{Exit, io_reason};
use crate::fs::{Lock, beside, create_private_dir, read_private};
use crate::text::hex;

/// A book of 300 starts and a thousand waiters has some 60 KiB.
const SIZE_LIMIT: u64 = 1 << 20;

/// Why a book could not be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Another process has it just now.
    Busy,
    /// It cannot be read, locked or written; the reason.
    Broken(String),
}

impl Trouble {
    /// The trouble of a user without a home.
    pub(super) fn no_home() -> Self {
        Self::Broken(crate::paths::no_home().message)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("another process does not let go of it"),
            Self::Broken(reason) => f.write_str(reason),
        }
    }
}

/// Where a book is.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
}

impl Ledger {
    /// Names the book of a credential below a state directory: by a digest, so that no name shows a secret.
    pub(super) fn new(state_dir: &Path, identity: &str) -> Self {
        let digest = Sha256::digest(identity.as_bytes());
        let name = hex(&digest[..16]);
        Self {
            path: state_dir.join("pace").join(format!("{name}.json")),
        }
    }

    /// Reads the book without the lock: it is replaced whole, so that what is read is consistent. `None` when there is
    /// none, or none that can be read.
    pub(super) fn peek(&self) -> Option<Book> {
        let file = read_private(&self.path, SIZE_LIMIT).ok()??;
        Book::from_json(&file.bytes)
    }

    /// Changes the book under the lock, waiting at most `limit` for it. The second value is true when what was there
    /// was no book, and a new one has been begun.
    pub(super) fn change<T>(
        &self,
        limit: Duration,
        change: impl FnOnce(&mut Book, Millis) -> T,
    ) -> Result<(T, bool), Trouble> {
        if let Some(directory) = self.path.parent() {
            create_private_dir(directory).map_err(|error| broken(directory, &error))?;
        }
        let lock = Lock::take(&beside(&self.path), limit).map_err(|failure| match failure.exit {
            Exit::TryAgain => Trouble::Busy,
            _ => Trouble::Broken(failure.message),
        })?;
        let read = read_private(&self.path, SIZE_LIMIT);
        let found = read.map(|file| file.map(|file| Book::from_json(&file.bytes)));
        let (mut book, anew) = match found {
            Ok(None) => (Book::default(), false),
            Ok(Some(Some(book))) => (book, false),
            // A directory in its place, or no permission, will show when it is written.
            Ok(Some(None)) | Err(_) => (Book::default(), true),
        };
        let outcome = change(&mut book, now());
        self.replace(&book).map_err(|error| broken(&self.path, &error))?;
        drop(lock);
        Ok((outcome, anew))
    }

    /// Puts the book in place. It is not synced: after a power cut an older one, or none, does no harm.
    fn replace(&self, book: &Book) -> io::Result<()> {
        // One name is enough: only the holder of the lock writes. What is there was left by a killed holder, or is
        // none of ours (a FIFO would make the open wait): it goes.
        let temporary = self.path.with_extension("new");
        if let Err(error) = std::fs::remove_file(&temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&book.to_json()?)?;
        std::fs::rename(&temporary, &self.path)
    }
}

fn broken(path: &Path, error: &io::Error) -> Trouble {
    Trouble::Broken(format!("{}: {}", path.display(), io_reason(error)))
}

/// Returns the time of day; a clock before 1970 counts as 1970.
pub(super) fn now() -> Millis {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
