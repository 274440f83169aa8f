//! Where `.env` files are looked for, and how one is opened.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;

use crate::exit::{Exit, Failure, io_reason};
use crate::fs::{Links, is_link_error, options};
use crate::paths;

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

    /// Returns the notice that no project's file can be looked for.
    #[must_use]
    pub fn missing_start(&self) -> Option<&'static str> {
        let is_missing = self.start.is_none() && self.file.is_none();
        is_missing
            .then_some("the current directory is gone; only the files in the home directory are searched")
    }

    /// Returns the files to try, in order, none of them twice. It looks at no file.
    pub(super) fn paths(&self) -> Vec<SearchPath> {
        let mut found: Vec<SearchPath> = Vec::new();
        if let Some(file) = &self.file {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            let home = is_one_of(&self.home_dirs(), file.parent());
            let plain = !in_dot_qwen(&file);
            return vec![SearchPath::new(file, home, plain)];
        }
        let home_dirs = self.home_dirs();
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

    /// Returns whether a file lies in a home directory that has another name there, by way of a symbolic link.
    pub(super) fn is_home_by_link(&self, file: &Path) -> bool {
        let identity = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
        let here = file.parent().and_then(identity);
        here.is_some() && self.home_dirs().iter().any(|home| identity(home) == here)
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
    /// Returns the exit code for it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::UnknownRule(_) => Exit::Config,
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
            Self::Unusable {
                path,
                reason: Unusable::Unreadable(reason),
            } => write!(f, "cannot read '{}': {reason}", path.display()),
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

/// The largest file that is read, in bytes; also the largest text that its bytes may decode to.
pub const FILE_LIMIT: usize = 1024 * 1024;

/// Why a file that is there is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is a directory, a FIFO, a socket or a device.
    NotAFile(&'static str),
    /// Its symbolic links go in a circle.
    LinkLoop,
    /// It, or the symbolic link in its place, belongs to the user with this number.
    Foreign(u32),
    /// Any user may write to it.
    WritableByAll,
    /// It is larger than [`FILE_LIMIT`].
    TooLarge,
    /// It cannot be opened or read, and why.
    Unreadable(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile(kind) => write!(f, "is a {kind}, not a file"),
            Self::LinkLoop => f.write_str("is a symbolic link that leads to itself"),
            Self::Foreign(uid) => write!(f, "belongs to another user (uid {uid})"),
            Self::WritableByAll => f.write_str("is writable by all"),
            Self::TooLarge => f.write_str("is larger than 1 MiB"),
            Self::Unreadable(reason) => write!(f, "cannot be read: {reason}"),
        }
    }
}

/// The content of a file that may be used.
#[derive(Debug)]
pub struct Content {
    /// The bytes, at most [`FILE_LIMIT`].
    pub bytes: Vec<u8>,
    /// The permission bits.
    pub mode: u32,
    /// The owner, when it is another user than the one who runs this process.
    pub foreign: Option<u32>,
}

/// Opens and reads a `.env` file; `None` when there is none.
///
/// A name that cannot be looked up (a dangling link, a directory above that may not be searched) counts as none, as
/// it does for Qwen Code. The open never waits: a FIFO in the file's place is refused, not read.
///
/// # Errors
/// Why the file cannot be used. A foreign owner is not an error here: trust may lift that.
pub fn read(path: &Path) -> Result<Option<Content>, Unusable> {
    let Some((file, link_owner)) = open(path)? else {
        return Ok(None);
    };
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err(Unusable::NotAFile(kind(metadata.file_type())));
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(Unusable::WritableByAll);
    }
    let bytes = read_all(file, metadata.len()).map_err(|error| unreadable(&error))?;
    if bytes.len() > FILE_LIMIT {
        return Err(Unusable::TooLarge);
    }
    let me = rustix::process::geteuid().as_raw();
    let foreign = [metadata.uid(), link_owner.unwrap_or(me)]
        .into_iter()
        .find(|&uid| uid != me);
    Ok(Some(Content {
        bytes,
        mode: metadata.mode() & 0o7777,
        foreign,
    }))
}

/// Opens the file without following a symbolic link first, so that a link's owner is known; returns that owner.
fn open(path: &Path) -> Result<Option<(File, Option<u32>)>, Unusable> {
    let link = match options(Links::Refuse).read(true).open(path) {
        Ok(file) => return Ok(Some((file, None))),
        Err(error) if is_link_error(&error) => path.symlink_metadata().map_err(|error| unreadable(&error))?,
        Err(error) => return absent_or(path, &error),
    };
    match options(Links::Follow).read(true).open(path) {
        Ok(file) => Ok(Some((file, Some(link.uid())))),
        Err(error) if is_link_error(&error) => Err(Unusable::LinkLoop),
        Err(error) => absent_or(path, &error),
    }
}

/// Tells a file that is not there, or not visible, from one that is there and refuses to open.
fn absent_or(path: &Path, error: &io::Error) -> Result<Option<(File, Option<u32>)>, Unusable> {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => Ok(None),
        _ => match path.metadata() {
            Ok(metadata) if metadata.is_dir() || metadata.is_file() => Err(unreadable(error)),
            Ok(metadata) => Err(Unusable::NotAFile(kind(metadata.file_type()))),
            Err(other) if is_link_error(&other) => Err(Unusable::LinkLoop),
            Err(_) => Ok(None),
        },
    }
}

fn unreadable(error: &io::Error) -> Unusable {
    Unusable::Unreadable(io_reason(error))
}

fn kind(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() {
        "directory"
    } else if kind.is_fifo() {
        "fifo"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}

/// Reads to the end, or to one byte past the limit. One call is enough for a file that keeps its size.
fn read_all(mut file: File, size: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(FILE_LIMIT + 1);
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
