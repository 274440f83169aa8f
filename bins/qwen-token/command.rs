//! Runs a command with the token in its environment.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use qwen_shared::exit::Outcome;
use qwen_shared::net::api::Authorization;
use qwen_shared::net::config::Settings;
use qwen_shared::process::become_command;

use super::format::variables;

/// Replaces this process by the command. Returns only when that fails.
///
/// # Errors
/// 127 when there is no such command, 126 when it cannot be run.
pub(crate) fn run(
    program: &OsStr,
    arguments: &[OsString],
    settings: &Settings,
    authorization: &Authorization,
) -> Outcome {
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, value) in variables(settings, authorization)? {
        command.env(name, value.expose());
    }
    Err(become_command(&command))
}
