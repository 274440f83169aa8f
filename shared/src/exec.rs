//! Running a command in this process's place, and saying why that failed as a shell would.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::exit::Exit;
use crate::failure::{Failure, io_reason};
use crate::secret::restore_core_limit;

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
