//! `qwen-env -- COMMAND`: becomes the command.

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
        carry(&mut command, plan);
    }
    become_command(command)
}

/// Where the environment has a record already, an evaluating shell is above: the record stays true below it.
fn carry(command: &mut Command, plan: &Plan<'_>) {
    let mut record = Record::default();
    let all = plan
        .exports()
        .all(|(name, value)| record.insert(name, value, usize::MAX));
    if all && !record.is_empty() {
        command.env(RECORD, record.text());
    } else {
        command.env_remove(RECORD);
    }
}
