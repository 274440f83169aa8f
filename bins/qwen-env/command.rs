//! `qwen-env -- COMMAND`: run the command in place of this process.

use std::ffi::OsString;
use std::process::Command;

use qwen_shared::dotenv::{RECORD, Record};
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
    if std::env::var_os(RECORD).is_some() {
        update_record(&mut command, plan);
    }
    become_command(&command)
}

/// Updates the record, for a shell that the command starts. Without a record no shell above evaluated statements.
fn update_record(command: &mut Command, plan: &Plan<'_>) {
    let mut record = Record::default();
    let all = plan
        .exports()
        .all(|(name, value)| record.insert(name, value, None, usize::MAX));
    if all && !record.is_empty() {
        command.env(RECORD, record.text());
    } else {
        command.env_remove(RECORD);
    }
}
