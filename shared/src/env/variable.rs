//! A variable of the chain, where it comes from, and what the chain says about it.

use std::path::Path;
use std::sync::Arc;

use super::names::Reach;
use crate::secret::Secret;

/// Whose word a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It lies in the user's home directory or in Qwen Code's.
    Home,
    /// A project's file that the user trusts, with this content.
    TrustedProject,
    /// A project's file: it came with a clone.
    UntrustedProject,
}

impl Standing {
    /// Returns the name that `--explain` gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::TrustedProject => "trusted project",
            Self::UntrustedProject => "untrusted project",
        }
    }
}

/// A variable of the chain, with its origin.
#[derive(Clone, Debug)]
pub struct Variable {
    /// The name, of the alphabet `A-Z a-z 0-9 _ . -`.
    pub name: String,
    /// The value: UTF-8, any character but NUL once accepted.
    pub value: Secret<String>,
    /// The file.
    pub path: Arc<Path>,
    /// The line of the name, from 1.
    pub line: u32,
    /// Whose word the file is.
    pub standing: Standing,
}

impl Variable {
    /// Returns `file:line`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.line)
    }
}

/// What the chain says about an assignment, whatever the process environment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Accepted,
    /// A later line of the same file, this one, sets the same name.
    Overwritten(u32),
    /// Qwen Code does not take this name from a project's plain `.env`.
    Excluded,
    /// A project file may not set it: what it reaches.
    Refused(Reach),
    /// It is the variable in which exports are remembered; no file may set it.
    Record,
    /// `NAME=value` is longer than the kernel takes.
    TooLong,
    /// The value holds a NUL, which no environment can.
    Nul,
}

/// An assignment and what became of it.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Name, value and origin.
    pub variable: Variable,
    /// What the chain says about it.
    pub verdict: Verdict,
}
