//! Runs a command with the token in its environment.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use qwen_shared::dotenv::RECORD;
use qwen_shared::exit::Outcome;
use qwen_shared::net::api::Authorization;
use qwen_shared::net::config::Settings;
use qwen_shared::output::Reporter;
use qwen_shared::process::become_command;

use super::exports::variables;
use super::record::record;

/// Replaces this process by the command. Returns only when that fails.
///
/// # Errors
/// 127 when there is no such command, 126 when it cannot be run.
pub(crate) fn run(
    program: &OsStr,
    arguments: &[OsString],
    settings: &Settings,
    authorization: &Authorization,
    reporter: &Reporter,
) -> Outcome {
    let mut command = Command::new(program);
    command.args(arguments);
    let variables = variables(settings, authorization, reporter)?;
    for (name, value) in &variables {
        command.env(name, value.expose());
    }
    if let Some(record) = record(settings, &variables, usize::MAX)? {
        command.env(RECORD, record);
    }
    Err(become_command(&command))
}
