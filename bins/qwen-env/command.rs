//! `qwen-env -- COMMAND`: run the command in place of this process.

use std::ffi::OsString;
use std::process::Command;

use qwen_shared::dotenv::RECORD;
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::process::become_command;

use super::plan::Plan;

/// Replaces this process by the command with the planned variables in its environment; returns only when that fails.
pub(crate) fn run(words: &[OsString], plan: &Plan<'_>) -> Failure {
    let Some((program, arguments)) = words.split_first() else {
        return Failure::new(Exit::Usage, "no command");
    };
    let mut command = Command::new(program);
    command.args(arguments);
    for name in &plan.unset {
        command.env_remove(name);
    }
    command.envs(plan.exports());
    // The record tells the tools that COMMAND runs which values came with a project.
    if plan.record.is_empty() {
        command.env_remove(RECORD);
    } else {
        command.env(RECORD, plan.record.text());
    }
    become_command(&command)
}
