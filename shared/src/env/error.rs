//! What can go wrong with the chain as a whole.

use std::fmt;
use std::path::PathBuf;

use super::file::Unusable;
use crate::exit::Exit;
use crate::failure::Failure;

/// A fault that stops the chain, or a change of the trust store.
#[derive(Debug)]
pub enum EnvError {
    /// `QWEN_ENV_CHAIN` holds neither `first` nor `merge`.
    UnknownRule(String),
    /// A file that was named, or found first, cannot be used.
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: Unusable,
    },
    /// A file that was named is not there.
    Missing(PathBuf),
    /// The trust store cannot be read or written.
    TrustStore {
        /// The store.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The trust store is being changed by another process that does not end.
    Locked(Failure),
}

impl EnvError {
    /// Returns how a program ends that cannot go on.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::UnknownRule(_) => Exit::Config,
            Self::Unusable {
                reason: Unusable::Misread(_),
                ..
            } => Exit::Bug,
            Self::Unusable { .. } | Self::Missing(_) => Exit::NoInput,
            Self::TrustStore { .. } => Exit::Io,
            Self::Locked(failure) => failure.exit,
        }
    }
}

impl fmt::Display for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRule(rule) => {
                write!(f, "QWEN_ENV_CHAIN: '{rule}' is neither 'first' nor 'merge'")
            }
            Self::Unusable { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::Missing(path) => write!(f, "{}: no such file", path.display()),
            Self::TrustStore { path, reason } => {
                write!(f, "{}: cannot use the trust store: {reason}", path.display())
            }
            Self::Locked(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for EnvError {}

impl From<EnvError> for Failure {
    fn from(error: EnvError) -> Self {
        Self::new(error.exit(), error.to_string())
    }
}
