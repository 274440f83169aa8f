//! The file that holds a state, and its lock.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::state::{Millis, State};
use crate::exit::{Exit, io_reason};
use crate::fs::{Lock, create_private_dir, lock_path, read_private, write_private_locked};
use crate::text::hex;

/// A state with 300 starts and a thousand waiters takes about 60 KiB.
const SIZE_LIMIT: u64 = 1 << 20;

/// Why a state could not be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StateError {
    /// Another process has locked it.
    Locked,
    /// It cannot be locked or written; the reason.
    Unusable(String),
}

impl StateError {
    pub(super) fn no_home() -> Self {
        Self::Unusable(crate::paths::no_home().message)
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("another process has locked it"),
            Self::Unusable(reason) => f.write_str(reason),
        }
    }
}

/// The file of one state.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// Names the file of a credential below a state directory: by a digest, so that no name shows a secret.
    pub(super) fn new(state_dir: &Path, identity: &str) -> Self {
        let digest = Sha256::digest(identity.as_bytes());
        let name = hex(&digest[..16]);
        Self {
            path: state_dir.join("pace").join(format!("{name}.json")),
        }
    }

    /// Reads the state without the lock: the file is replaced as a whole, so that what is read is consistent. `None` when
    /// there is none that can be read.
    pub(super) fn read(&self) -> Option<State> {
        let file = read_private(&self.path, SIZE_LIMIT).ok()??;
        State::from_json(&file.bytes)
    }

    /// Updates the state under the lock, which is waited for at most `limit`. The second value is true when the file held
    /// no valid state and a new one was begun.
    pub(super) fn update<T>(
        &self,
        limit: Duration,
        update: impl FnOnce(&mut State, Millis) -> T,
    ) -> Result<(T, bool), StateError> {
        if let Some(directory) = self.path.parent() {
            create_private_dir(directory).map_err(|error| unusable(directory, &error))?;
        }
        let lock = Lock::take(&lock_path(&self.path), limit).map_err(|failure| match failure.exit {
            Exit::TryAgain => StateError::Locked,
            _ => StateError::Unusable(failure.message),
        })?;
        let read = read_private(&self.path, SIZE_LIMIT);
        let found = read.map(|file| file.map(|file| State::from_json(&file.bytes)));
        let (mut state, is_new) = match found {
            Ok(None) => (State::default(), false),
            Ok(Some(Some(state))) => (state, false),
            // A directory in its place, or no permission, will show when it is written.
            Ok(Some(None)) | Err(_) => (State::default(), true),
        };
        let outcome = update(&mut state, now());
        state
            .to_json()
            .map_err(io::Error::from)
            .and_then(|json| write_private_locked(&self.path, &json))
            .map_err(|error| unusable(&self.path, &error))?;
        drop(lock);
        Ok((outcome, is_new))
    }
}

fn unusable(path: &Path, error: &io::Error) -> StateError {
    StateError::Unusable(format!("{}: {}", path.display(), io_reason(error)))
}

/// Returns the time of day; a clock before 1970 counts as 1970.
pub(super) fn now() -> Millis {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
