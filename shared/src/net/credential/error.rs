//! Errors of credential stores.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use crate::exit::{Exit, Failure, io_exit};
use crate::fs::{NotOwn, cannot};

/// Why a store could not be read, written or locked. It never quotes the content.
#[derive(Debug)]
pub enum StoreError {
    /// An error of the file system.
    Io {
        /// The file.
        path: PathBuf,
        /// `read`, `write`, `lock`, `create` or `remove`.
        action: &'static str,
        /// The cause.
        error: io::Error,
    },
    /// The stored document cannot be parsed.
    Malformed {
        /// The file or keyring item.
        place: String,
        /// To be appended to `place`.
        reason: String,
        /// Whose it is.
        profile: String,
    },
    /// There is no keyring service.
    NoKeyring(String),
    /// The system keyring is locked.
    KeyringLocked(String),
    /// The system keyring did not answer in time.
    KeyringTimeout(Duration),
    /// Another error of the system keyring.
    Keyring(String),
    /// Another process holds the lock.
    Busy {
        /// The lock file.
        place: String,
        /// The time waited.
        limit: Duration,
    },
    /// The lock was not obtained, or a limit of this process was reached.
    Failed(Box<Failure>),
    /// The profile's name cannot be a file name.
    BadName(String),
    /// There is no home directory.
    NoHome,
}

impl StoreError {
    pub(super) fn io(path: &Path, action: &'static str, error: io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            action,
            error,
        }
    }

    /// Returns the exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Io { error, .. } if NotOwn::of(error).is_some() => Exit::Config,
            Self::Io { error, .. } => io_exit(error, Exit::Io),
            Self::Failed(failure) => failure.exit,
            Self::Malformed { .. } => Exit::NoAuth,
            Self::NoKeyring(_)
            | Self::KeyringLocked(_)
            | Self::KeyringTimeout(_)
            | Self::Keyring(_)
            | Self::Busy { .. } => Exit::TryAgain,
            Self::BadName(_) | Self::NoHome => Exit::Config,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, action, error } => f.write_str(&cannot(action, path, error)),
            Self::Malformed { place, reason, .. } => write!(f, "{place}{reason}"),
            Self::NoKeyring(_) => f.write_str("there is no system keyring"),
            Self::KeyringLocked(_) => f.write_str("the system keyring is locked"),
            Self::KeyringTimeout(limit) => {
                write!(
                    f,
                    "the system keyring did not answer within {} s",
                    limit.as_secs()
                )
            }
            Self::Keyring(reason) => write!(f, "the system keyring failed: {reason}"),
            Self::Busy { place, limit } => {
                write!(
                    f,
                    "{place}: still locked by another program after {} s",
                    limit.as_secs()
                )
            }
            Self::Failed(failure) => write!(f, "{failure}"),
            Self::BadName(name) => write!(f, "'{name}' cannot be the name of a profile"),
            Self::NoHome => f.write_str("cannot tell where the home directory is"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let error = match error {
            StoreError::Failed(failure) => return *failure,
            error => error,
        };
        if let StoreError::Io { error, .. } = &error
            && let Some(not_own) = NotOwn::of(error)
        {
            return not_own.failure();
        }
        let failure = Self::new(error.exit(), error.to_string());
        let failure = match &error {
            StoreError::NoKeyring(reason) | StoreError::KeyringLocked(reason) => {
                failure.caused_by(reason.as_str())
            }
            _ => failure,
        };
        match &error {
            StoreError::NoHome => crate::paths::no_home(),
            StoreError::Malformed { profile, .. } => {
                failure.hint(format!("run 'qwen-login --profile {profile}' to replace it"))
            }
            // A symbolic link or a directory.
            StoreError::Io {
                action: "read" | "write",
                error,
                ..
            } if error.kind() == io::ErrorKind::Other => {
                failure.hint("remove it, then run 'qwen-login'")
            }
            StoreError::KeyringLocked(_) | StoreError::KeyringTimeout(_) => {
                failure.hint("unlock the keyring and try again, or store the credential in a file: 'qwen-login --store file'")
            }
            StoreError::NoKeyring(_) | StoreError::Keyring(_) => {
                failure.hint("store the credential in a file: 'qwen-login --store file'")
            }
            _ => failure,
        }
    }
}
