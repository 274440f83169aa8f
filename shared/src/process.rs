//! Other programs: finding them and becoming them.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

use super::exit::{Exit, Failure, io_reason};
use super::secret::restore_core_limit;

/// Becomes the command; returns only when that fails.
///
/// The command starts with the core limit that this process was started with, and with SIGPIPE as ever.
///
/// The failure is exit 127 for a command that is not found and 126 for one that cannot be run, a script whose
/// interpreter is missing among them.
#[must_use]
pub fn become_command(mut command: Command) -> Failure {
    restore_core_limit();
    let error = command.exec();
    let program = command.get_program();
    let shown = program.to_string_lossy();
    if error.kind() != io::ErrorKind::NotFound {
        let message = format!("cannot run '{shown}': {}", io_reason(&error));
        return Failure::new(Exit::NotRunnable, message);
    }
    // ENOENT of a file that is there is about its interpreter.
    if shown.contains('/') && Path::new(program).is_file() {
        let message = format!("cannot run '{shown}': its interpreter is not there");
        return Failure::new(Exit::NotRunnable, message);
    }
    Failure::new(Exit::NotFound, format!("'{shown}': command not found"))
}

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
