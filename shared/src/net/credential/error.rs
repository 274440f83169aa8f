//! What can go wrong with a store.

use std::error::Error;
use std::time::Duration;
use std::{fmt, io};

use crate::exit::{Exit, Failure, io_reason};

/// A store that could not be read, written or locked. It never quotes what a store holds.
#[derive(Debug)]
pub enum StoreError {
    /// The file system refused.
    Io {
        /// The file, as a message shows it.
        place: String,
        /// What was tried: `read`, `write`, `lock`, `remove`.
        doing: &'static str,
        /// The reason.
        error: io::Error,
    },
    /// The stored document cannot be used.
    Malformed {
        /// The file or keyring item.
        place: String,
        /// Where it is broken or what it lacks.
        reason: String,
    },
    /// No system keyring is there: no bus, or nothing on it that provides the service.
    NoKeyring(String),
    /// The system keyring is locked, and nobody unlocked it.
    Locked(String),
    /// The system keyring did not answer in time.
    Silent(Duration),
    /// The system keyring answered with an error of its own.
    Keyring(String),
    /// Another process holds the lock.
    Busy {
        /// The lock file.
        place: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The name of a profile that no file can have.
    BadName(String),
    /// There is no home directory to keep anything in.
    NoHome,
}

impl StoreError {
    pub(super) fn io(place: &std::path::Path, doing: &'static str, error: io::Error) -> Self {
        Self::Io {
            place: place.display().to_string(),
            doing,
            error,
        }
    }

    /// Returns how a program ends because of it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } => Exit::Io,
            Self::Malformed { .. } => Exit::NoAuth,
            Self::NoKeyring(_) | Self::Locked(_) | Self::Silent(_) | Self::Keyring(_) | Self::Busy { .. } => {
                Exit::TryAgain
            }
            Self::BadName(_) | Self::NoHome => Exit::Config,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { place, doing, error } => write!(f, "{place}: cannot {doing}: {}", io_reason(error)),
            Self::Malformed { place, reason } => write!(f, "{place}{reason}"),
            Self::NoKeyring(_) => f.write_str("no system keyring is here"),
            Self::Locked(_) => f.write_str("the system keyring is locked"),
            Self::Silent(limit) => {
                write!(
                    f,
                    "the system keyring did not answer within {} s",
                    limit.as_secs()
                )
            }
            Self::Keyring(reason) => write!(f, "the system keyring refused: {reason}"),
            Self::Busy { place, limit } => {
                write!(
                    f,
                    "{place}: still locked by another program after {} s",
                    limit.as_secs()
                )
            }
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
        let failure = Self::new(error.exit(), error.to_string());
        let failure = match &error {
            // In the words of D-Bus: for those who look into it.
            StoreError::NoKeyring(reason) | StoreError::Locked(reason) => failure.caused_by(reason.as_str()),
            _ => failure,
        };
        match &error {
            StoreError::NoHome => crate::paths::no_home(),
            StoreError::Malformed { .. } => failure.hint("run 'qwen-login' to replace it"),
            // It is there and can be opened, but is a link or no file at all.
            StoreError::Io {
                doing: "read", error, ..
            } if error.kind() == io::ErrorKind::Other => {
                failure.hint("remove it, then run 'qwen-login'")
            }
            StoreError::Locked(_) | StoreError::Silent(_) => {
                failure.hint("unlock the keyring and try again, or keep the credential in a file: 'qwen-login --store file'")
            }
            StoreError::NoKeyring(_) | StoreError::Keyring(_) => {
                failure.hint("keep the credential in a file: 'qwen-login --store file'")
            }
            _ => failure,
        }
    }
}
