//! `qwen-env -- COMMAND`: becomes the command.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use qwen_shared::env::{RECORD, Record};
use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, io_reason};
use qwen_shared::secret;

use crate::plan::Plan;

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
    secret::restore_core_limit();
    not_run(program, &command.exec())
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

fn not_run(program: &OsStr, error: &io::Error) -> Failure {
    let shown = program.to_string_lossy();
    // ENOENT of a file that is there means that its interpreter is not.
    let there = Path::new(program).is_file() && shown.contains('/');
    let exit = match error.kind() {
        io::ErrorKind::NotFound if !there => Exit::NotFound,
        _ => Exit::NotRunnable,
    };
    let message = match exit {
        Exit::NotFound => format!("'{shown}': command not found"),
        _ if there && error.kind() == io::ErrorKind::NotFound => {
            format!("cannot run '{shown}': its interpreter is not there")
        }
        _ => format!("cannot run '{shown}': {}", io_reason(error)),
    };
    Failure::new(exit, message)
}
