//! A command that gets the token in its environment, and nobody else.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use qwen_shared::authorize::Authorization;
use qwen_shared::config::Settings;
use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, Outcome, io_reason};
use qwen_shared::secret::restore_core_limit;

use crate::format::variables;

/// Runs the command in this process's place. Returns only when that fails.
///
/// # Errors
/// 127 when there is no such command, 126 when it cannot be run.
pub(crate) fn run(words: &[OsString], settings: &Settings, authorization: &Authorization) -> Outcome {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::new(Exit::Usage, "no command after '--'"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, value) in variables(settings, authorization)? {
        command.env(name, value.expose());
    }
    restore_core_limit();
    let error = command.exec();
    let shown = program.to_string_lossy();
    Err(match error.kind() {
        io::ErrorKind::NotFound => Failure::new(Exit::NotFound, format!("'{shown}': command not found")),
        _ => Failure::new(
            Exit::NotRunnable,
            format!("'{shown}': cannot run: {}", io_reason(&error)),
        ),
    })
}
