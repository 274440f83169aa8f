//! zsh.

use clap::{Arg, Command};

use super::{dispatch, is_dispatcher, live, takes_command};

const LIVE: &str = include_str!("live.zsh");
const COMMAND: &str = include_str!("command.zsh");
const DISPATCH: &str = include_str!("dispatch.zsh");

pub(super) fn finish(raw: &str, command: &Command) -> String {
    let mut script = raw.to_owned();
    for function in live::FUNCTIONS {
        script = script.replace(&format!("({function})"), function);
    }
    for operand in command.get_positionals() {
        script = with_operand(&script, operand);
    }
    let mut added = LIVE.to_owned();
    if takes_command(command) {
        added.push_str(COMMAND);
    }
    if is_dispatcher(command) {
        added.push_str(&dispatch(DISPATCH, command, "|"));
        script = script.replacen("_qwen() {\n", "_qwen() {\n    _qwen_tool && return\n", 1);
    }
    // The first line says for which command the file is.
    script.replacen("\n\n", &format!("\n\n{added}\n"), 1)
}

/// Mends the line of an operand that may be given several times: clap_complete makes one that ends all options, which is
/// true of a command alone; and how a command is completed it does not know.
fn with_operand(script: &str, operand: &Arg) -> String {
    let several = format!("'*::{}", operand.get_id());
    let mend = |line: &str| match line.rsplit_once(':') {
        Some((head, _)) if operand.is_last_set() => format!("{head}:__qwen_command' \\"),
        _ => line.replacen("'*::", "'*:", 1),
    };
    let lines = script.split('\n').map(|line| {
        if line.starts_with(&several) {
            mend(line)
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}
