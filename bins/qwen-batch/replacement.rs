//! A file that takes the place of another once it is whole.

use std::fs::{DirEntry, File, OpenOptions, TryLockError};
use std::io::{self, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use qwen_shared::fs::{link, open_unnamed};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::geteuid;
use tempfile::NamedTempFile;

/// How the names of temporary files begin; random letters and digits follow.
const PREFIX: &str = ".qwen-batch.";
const RANDOM_LENGTH: usize = 6;

/// Of so many files in a directory it is looked whether one was left behind.
const MOST_ENTRIES: usize = 10_000;

/// A locked file that is being written. Where the file system can, it has no name until it is whole, so that a process that
/// is killed leaves nothing behind.
#[derive(Debug)]
pub(crate) enum Replacement {
    Unnamed { file: File, directory: PathBuf },
    Named(NamedTempFile),
}

impl Replacement {
    /// Creates it in the directory of `path`, with the permissions of `model`.
    ///
    /// # Errors
    /// That of the system.
    pub(crate) fn beside(path: &Path, model: &File) -> io::Result<Self> {
        let directory = directory_of(path);
        let mut replacement = match open_unnamed(directory) {
            Some(file) => Self::Unnamed {
                file,
                directory: directory.to_owned(),
            },
            None => Self::Named(names().tempfile_in(directory)?),
        };
        prepare(replacement.file(), model)?;
        Ok(replacement)
    }

    pub(crate) fn file(&mut self) -> &mut File {
        match self {
            Self::Unnamed { file, .. } => file,
            Self::Named(file) => file.as_file_mut(),
        }
    }

    /// Puts it in the place of what is at `target`.
    ///
    /// # Errors
    /// That of the system; `target` is as it was then.
    pub(crate) fn replace(self, target: &Path) -> io::Result<File> {
        match self {
            Self::Unnamed { file, directory } => {
                match names().make_in(&directory, |name| link(&file, name)) {
                    Ok(named) => {
                        named.persist(target).map_err(|error| error.error)?;
                        Ok(file)
                    }
                    Err(_) => Self::Named(named_copy(&file, &directory)?).replace(target),
                }
            }
            Self::Named(file) => file.persist(target).map_err(|error| error.error),
        }
    }

    /// Gives it a path where nothing is.
    ///
    /// # Errors
    /// `AlreadyExists` where something is; else that of the system.
    pub(crate) fn add(self, path: &Path) -> io::Result<File> {
        match self {
            Self::Unnamed { file, directory } => match link(&file, path) {
                Ok(()) => Ok(file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
                Err(_) => Self::Named(named_copy(&file, &directory)?).add(path),
            },
            Self::Named(file) => file.persist_noclobber(path).map_err(|error| error.error),
        }
    }
}

/// Copies a file without a name, where the system gives it none later, to one that has one.
fn named_copy(mut file: &File, directory: &Path) -> io::Result<NamedTempFile> {
    let mut copy = names().tempfile_in(directory)?;
    prepare(copy.as_file(), file)?;
    file.rewind()?;
    io::copy(&mut file, copy.as_file_mut())?;
    copy.as_file().sync_data()?;
    Ok(copy)
}

/// Locks a new file, before it has its name, so that no other run gets in between, and gives it the permissions of `model`.
fn prepare(file: &File, model: &File) -> io::Result<()> {
    lock(file)?;
    file.set_permissions(model.metadata()?.permissions())
}

fn names() -> tempfile::Builder<'static, 'static> {
    let mut names = tempfile::Builder::new();
    names.prefix(PREFIX).rand_bytes(RANDOM_LENGTH);
    names
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Locks a file where its file system can.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => lock(file),
        Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(()),
    }
}

/// True for what a file system says that has no locks: some network and user-space ones.
pub(crate) fn has_no_locks(error: &io::Error) -> bool {
    let error = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        error,
        Some(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL)
    )
}

/// Removes the temporary files beside `path` that runs left behind which were killed: one's own that nobody has locked.
pub(crate) fn remove_abandoned(path: &Path) {
    let target = path.canonicalize();
    let directory = directory_of(target.as_deref().unwrap_or(path));
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    for entry in entries.take(MOST_ENTRIES).flatten() {
        if entry.file_name().to_str().is_some_and(is_temporary) && is_abandoned(&entry) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn is_temporary(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX);
    random.is_some_and(|random| {
        random.len() == RANDOM_LENGTH && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn is_abandoned(entry: &DirEntry) -> bool {
    let nothing_else = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nothing_else.bits().cast_signed())
        .open(entry.path());
    let Ok(file) = file else {
        return false;
    };
    let is_own = file
        .metadata()
        .is_ok_and(|there| there.is_file() && there.nlink() == 1 && there.uid() == geteuid().as_raw());
    is_own && file.try_lock().is_ok()
}
