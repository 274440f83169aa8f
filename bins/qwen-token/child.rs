//! A command that gets the token in its environment, and nobody else.

use std::ffi::OsString;
use std::process::Command;

use qwen_shared::authorize::Authorization;
use qwen_shared::config::Settings;
use qwen_shared::exec::become_command;
use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, Outcome};

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
    Err(become_command(command))
}
