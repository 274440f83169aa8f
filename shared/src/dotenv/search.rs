//! Where `.env` files are looked for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::Unusable;
use crate::exit::{Exit, Failure};
use crate::paths;

/// How the files of a chain are combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChainRule {
    /// The first file found is the only one (documented; Qwen Code up to 0.7).
    #[default]
    First,
    /// The first project file, then each home file, every one filling what is still unset (Qwen Code from 0.24).
    Merge,
}

impl ChainRule {
    /// Returns the rule of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "first" => Some(Self::First),
            "merge" => Some(Self::Merge),
            _ => None,
        }
    }

    /// Returns the name by which `--chain` and `QWEN_ENV_CHAIN` know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Merge => "merge",
        }
    }
}

/// Where to look: everything that decides which files make the chain.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The directory to start from; `None` when the current directory is gone.
    pub start: Option<PathBuf>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// Qwen Code's directory: `QWEN_HOME`, else `~/.qwen`.
    pub qwen_home: Option<PathBuf>,
    /// How files are combined.
    pub rule: ChainRule,
    /// The one file to use in place of the chain (`--file`).
    pub file: Option<PathBuf>,
    /// The store of trusted files.
    pub trust_store: Option<PathBuf>,
}

impl Search {
    /// Makes the search of this process: its current directory, its home, and `QWEN_ENV_CHAIN` unless a rule is given.
    ///
    /// # Errors
    /// `QWEN_ENV_CHAIN` names no rule.
    pub fn from_process(rule: Option<ChainRule>, file: Option<PathBuf>) -> Result<Self, EnvError> {
        let rule = match rule {
            Some(rule) => rule,
            None => rule_of_environment()?,
        };
        Ok(Self {
            start: std::env::current_dir().ok().filter(|start| start.is_absolute()),
            home: paths::home(),
            qwen_home: paths::qwen_home(),
            rule,
            file,
            trust_store: paths::state_dir().map(|state| state.join("trust.json")),
        })
    }

    /// Returns what to say when no project's file is looked for, since nobody can tell where.
    #[must_use]
    pub fn lost(&self) -> Option<&'static str> {
        let is_lost = self.start.is_none() && self.file.is_none();
        is_lost.then_some("the current directory is gone; only the files in the home directory are searched")
    }

    /// Returns the files to try, in order, none of them twice; only what is decided by the names.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        if let Some(file) = &self.file {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            let home = self.is_home_dir(file.parent());
            let plain = !in_dot_qwen(&file);
            return vec![Place::new(file, home, plain)];
        }
        let merge = self.rule == ChainRule::Merge;
        let end = self
            .home
            .as_ref()
            .filter(|_| merge)
            .and_then(|home| home.canonicalize().ok());
        for directory in self.start.iter().flat_map(|start| start.ancestors()) {
            if merge
                && [&self.home, &end]
                    .into_iter()
                    .any(|home| home.as_deref() == Some(directory))
            {
                break;
            }
            for (name, plain) in [(".qwen/.env", false), (".env", true)] {
                let path = directory.join(name);
                let home = self.is_home_dir(path.parent());
                // Under 'merge' the user's own files come after the project's, wherever they lie.
                if !(merge && home) {
                    places.push(Place::new(path, home, plain));
                }
            }
        }
        for path in self.home_files() {
            let plain = !in_dot_qwen(&path);
            if !places.iter().any(|place| *place.path == *path) {
                places.push(Place::new(path, true, plain));
            }
        }
        places
    }

    /// The user's own files, in order.
    fn home_files(&self) -> Vec<PathBuf> {
        let legacy = self.home.as_ref().map(|home| home.join(".qwen"));
        let mut directories: Vec<&PathBuf> = self.qwen_home.iter().collect();
        if self.rule == ChainRule::Merge {
            directories.extend(legacy.iter());
        }
        directories.extend(self.home.iter());
        directories
            .into_iter()
            .map(|directory| directory.join(".env"))
            .collect()
    }

    /// The directories whose files are the user's own.
    fn home_dirs(&self) -> impl Iterator<Item = PathBuf> {
        let home = self.home.clone();
        let legacy = home.as_ref().map(|home| home.join(".qwen"));
        let other = self
            .qwen_home
            .clone()
            .filter(|other| Some(other) != legacy.as_ref());
        [home, legacy, other].into_iter().flatten()
    }

    fn is_home_dir(&self, directory: Option<&Path>) -> bool {
        directory.is_some_and(|directory| self.home_dirs().any(|home| home == directory))
    }

    /// Returns whether a file lies in a home directory that has another name there, by way of a symbolic link.
    pub(super) fn is_home_by_link(&self, file: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let identity = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
        let here = file.parent().and_then(identity);
        here.is_some() && self.home_dirs().any(|home| identity(&home) == here)
    }

    /// Returns Qwen Code's settings that may name excluded variables: the user's, then the directory's.
    pub(super) fn settings_files(&self) -> Vec<PathBuf> {
        let user = self.qwen_home.as_ref().map(|home| home.join("settings.json"));
        let here = self.start.as_ref().map(|start| start.join(".qwen/settings.json"));
        user.into_iter().chain(here).collect()
    }
}

/// One file of the search.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: Arc<Path>,
    /// In the user's home directory or Qwen Code's.
    pub(super) home: bool,
    /// A plain `.env`, not one in a directory `.qwen`.
    pub(super) plain: bool,
}

impl Place {
    fn new(path: PathBuf, home: bool, plain: bool) -> Self {
        Self {
            path: path.into(),
            home,
            plain,
        }
    }
}

fn in_dot_qwen(file: &Path) -> bool {
    file.parent()
        .is_some_and(|directory| directory.ends_with(".qwen"))
}

fn rule_of_environment() -> Result<ChainRule, EnvError> {
    let value = std::env::var_os("QWEN_ENV_CHAIN").unwrap_or_default();
    let name = value.to_string_lossy();
    if name.trim().is_empty() {
        return Ok(ChainRule::default());
    }
    ChainRule::named(name.trim()).ok_or_else(|| EnvError::UnknownRule(name.into_owned()))
}

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
