//! Finding the other programs of the toolkit.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Finds a program of the toolkit: beside this program's own file, else in the absolute entries of PATH.
///
/// Empty and relative entries of PATH are passed over, so that a file planted in the working directory is never run.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    directories()
        .map(|directory| directory.join(name))
        .find(|path| is_program(path))
}

/// Finds, where [`find`] finds nothing, the file of that name that nobody may execute: a shell's exit 126.
#[must_use]
pub fn find_not_runnable(name: &str) -> Option<PathBuf> {
    directories()
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

/// Returns the directory of this program's own file, links resolved.
#[must_use]
pub fn own_directory() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    Some(own.canonicalize().unwrap_or(own).parent()?.to_path_buf())
}

/// Returns the directories that are searched, in order: this program's own, then the absolute entries of PATH.
pub fn directories() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let absolute: Vec<PathBuf> = env::split_paths(&path)
        .filter(|entry| entry.is_absolute())
        .collect();
    own_directory().into_iter().chain(absolute)
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
