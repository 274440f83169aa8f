//! Where a value came from.

use std::fmt;
use std::path::PathBuf;

use crate::env::Standing;

/// The place that gave a value, from the strongest to the weakest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag on the command line.
    Flag(&'static str),
    /// A variable of the process environment.
    Environment(String),
    /// A line of a `.env` file.
    EnvFile {
        /// The variable.
        name: String,
        /// The file.
        path: PathBuf,
        /// The line of the assignment, from 1.
        line: u32,
        /// Whether the file is the user's own or came with a project.
        standing: Standing,
    },
    /// A profile of `config.json`.
    Profile(String),
    /// Qwen Code's `settings.json`.
    QwenCode(PathBuf),
    /// The provider catalogue.
    Provider(String),
    /// Built in.
    Default,
}

impl Source {
    /// True when a person said it for this run or this directory: by flag, environment or chain.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        matches!(self, Self::Flag(_) | Self::Environment(_) | Self::EnvFile { .. })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::EnvFile { path, line, .. } => write!(f, "{}:{line}", path.display()),
            Self::Profile(name) => write!(f, "profile '{name}'"),
            Self::QwenCode(path) => f.write_str(&path.to_string_lossy()),
            Self::Provider(name) => write!(f, "provider '{name}'"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub source: Source,
}

impl<T> Sourced<T> {
    /// Pairs a value with its place.
    pub const fn new(value: T, source: Source) -> Self {
        Self { value, source }
    }

    /// Changes the value, keeps the place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced {
            value: change(self.value),
            source: self.source,
        }
    }
}
