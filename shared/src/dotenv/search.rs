//! Where `.env` files are looked for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use clap::ValueEnum;

use super::consent::Consent;
use super::content::{STDIN, Unusable};
use super::place::Place;
use super::trust::TrustFile;
use crate::exit::{Exit, Failure};
use crate::paths;
use crate::settings_files::SettingsFiles;

/// How the files of a chain are combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ChainRule {
    /// The first file found is the only one (documented; Qwen Code up to 0.7).
    #[default]
    First,
    /// The first project file, then each home file, every one filling what is still unset (Qwen Code from 0.24).
    Merge,
}

impl ChainRule {
    /// Returns its name in `--chain` and `QWEN_ENV_CHAIN`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Merge => "merge",
        }
    }
}

/// The files that several readers ask about in one start, each of which is read once.
#[derive(Clone, Debug, Default)]
pub struct SharedFiles {
    /// Qwen Code's settings, which name what no project sets.
    pub settings: Rc<SettingsFiles>,
    /// The user's answers about files.
    pub trust: Rc<TrustFile>,
}

impl SharedFiles {
    /// Names the files of this process, which started in `start`, by the home directory and Qwen Code's. It looks at none of
    /// them.
    #[must_use]
    pub fn from_process(start: Option<&Path>, home: Option<&Path>, qwen_home: Option<&Path>) -> Self {
        let store = paths::state_dir().map(|state| state.join("trust.json"));
        Self {
            settings: Rc::new(SettingsFiles::from_process(start, home, qwen_home)),
            trust: Rc::new(TrustFile::new(store)),
        }
    }
}

/// Where to look for `.env` files.
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
    /// The one file to use in place of the chain (`--file`); `-` is standard input.
    pub file: Option<PathBuf>,
    /// What lets names of an unconsented project file through.
    pub consent: Consent,
    /// Qwen Code's settings and the user's answers.
    pub shared: SharedFiles,
    /// A prompt waits for the answer: a file that gives its content when it likes is waited for less long.
    pub at_prompt: bool,
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
        let start = std::env::current_dir().ok().filter(|start| start.is_absolute());
        let (home, qwen_home) = (paths::home(), paths::qwen_home());
        let shared = SharedFiles::from_process(start.as_deref(), home.as_deref(), qwen_home.as_deref());
        Ok(Self {
            start,
            home,
            qwen_home,
            rule,
            file,
            consent: Consent {
                all: false,
                config: paths::config_file(),
                allow: None,
            },
            shared,
            at_prompt: false,
        })
    }

    /// Returns the notice that no project's file can be looked for.
    #[must_use]
    pub fn missing_start(&self) -> Option<&'static str> {
        let is_missing = self.start.is_none() && self.file.is_none();
        is_missing
            .then_some("the current directory is gone; only the files in the home directory are searched")
    }

    /// True when standard input takes the place of the chain.
    pub(super) fn is_stdin(&self) -> bool {
        self.file.as_deref() == Some(Path::new("-"))
    }

    /// Returns the files to try, in order, none of them twice. It looks at no file.
    pub(super) fn paths(&self) -> Vec<SearchPath> {
        let mut found: Vec<SearchPath> = Vec::new();
        let home_dirs = self.home_dirs();
        if let Some(file) = &self.file {
            let file = named_path(file);
            let home = is_one_of(&home_dirs, file.parent()) && file.ends_with(".env");
            let plain = !in_dot_qwen(&file);
            return vec![SearchPath::new(file, home, plain)];
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
                let home = is_one_of(&home_dirs, path.parent());
                // Under 'merge' the user's own files come after the project's, wherever they lie.
                if !(merge && home) {
                    found.push(SearchPath::new(path, home, plain));
                }
            }
        }
        for path in self.home_files() {
            let plain = !in_dot_qwen(&path);
            if !found.iter().any(|known| *known.path == *path) {
                found.push(SearchPath::new(path, true, plain));
            }
        }
        found
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
    fn home_dirs(&self) -> Vec<PathBuf> {
        let home = self.home.clone();
        let legacy = home.as_ref().map(|home| home.join(".qwen"));
        let other = self
            .qwen_home
            .clone()
            .filter(|other| Some(other) != legacy.as_ref());
        [home, legacy, other].into_iter().flatten().collect()
    }

    /// Returns whether a file that was found is one of the home files, in a directory that has another name there, by way of
    /// a symbolic link.
    pub(super) fn is_home(&self, file: &Path, place: &Place) -> bool {
        file.ends_with(".env") && place.is_in(self.home_dirs().iter().map(PathBuf::as_path))
    }
}

/// The path of a file that was named: absolute, whatever directory messages are read in.
fn named_path(file: &Path) -> PathBuf {
    if file.as_os_str() == "-" {
        return PathBuf::from(STDIN);
    }
    std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf())
}

/// One file of the search.
#[derive(Clone, Debug)]
pub(super) struct SearchPath {
    pub(super) path: Arc<Path>,
    /// In the user's home directory or Qwen Code's.
    pub(super) home: bool,
    /// A plain `.env`, not one in a directory `.qwen`.
    pub(super) plain: bool,
}

impl SearchPath {
    fn new(path: PathBuf, home: bool, plain: bool) -> Self {
        Self {
            path: path.into(),
            home,
            plain,
        }
    }
}

fn is_one_of(directories: &[PathBuf], directory: Option<&Path>) -> bool {
    directory.is_some_and(|directory| directories.iter().any(|one| one == directory))
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
    ChainRule::from_str(name.trim(), false).map_err(|_| EnvError::UnknownRule(name.into_owned()))
}

/// Why a chain cannot be used, or the trust store not be changed.
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
    /// The trust store, or the path that it is asked about, cannot be read or written, or is not the user's own.
    TrustStore(Failure),
    /// The trust store is being changed by another process that does not end.
    Locked(Failure),
}

impl EnvError {
    /// Returns the exit code for it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::UnknownRule(_) => Exit::Config,
            Self::Unusable {
                reason: Unusable::Exhausted(_),
                ..
            } => Exit::TryAgain,
            Self::Unusable {
                reason: Unusable::Failing(_),
                ..
            } => Exit::Io,
            Self::Unusable { .. } | Self::Missing(_) => Exit::NoInput,
            Self::TrustStore(failure) | Self::Locked(failure) => failure.exit,
        }
    }

    /// Returns the failure that it is, with what mends it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let failure = Failure::new(self.exit(), self.to_string());
        match self {
            Self::TrustStore(known) | Self::Locked(known) => Failure {
                hints: known.hints.clone(),
                ..failure
            },
            _ => failure,
        }
    }
}

impl fmt::Display for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRule(rule) => {
                write!(f, "QWEN_ENV_CHAIN: '{rule}' is neither 'first' nor 'merge'")
            }
            Self::Unusable {
                path,
                reason: Unusable::Unreadable(reason) | Unusable::Failing(reason) | Unusable::Exhausted(reason),
            } => write!(f, "cannot read '{}': {reason}", path.display()),
            Self::Unusable { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::Missing(path) => write!(f, "{}: no such file", path.display()),
            Self::TrustStore(failure) | Self::Locked(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for EnvError {}

impl From<EnvError> for Failure {
    fn from(error: EnvError) -> Self {
        match error {
            EnvError::TrustStore(failure) | EnvError::Locked(failure) => failure,
            error => Self::new(error.exit(), error.to_string()),
        }
    }
}
