//! zsh.

use clap::Command;

use super::{dispatch, is_dispatcher, live};

const LIVE: &str = include_str!("live.zsh");
const DISPATCH: &str = include_str!("dispatch.zsh");

pub(super) fn finish(raw: &str, command: &Command) -> String {
    let mut script = raw.to_owned();
    for function in live::FUNCTIONS {
        script = script.replace(&format!("({function})"), function);
    }
    let mut added = LIVE.to_owned();
    if is_dispatcher(command) {
        added.push_str(&dispatch(DISPATCH, command, "|"));
        script = script.replacen("_qwen() {\n", "_qwen() {\n    _qwen_tool && return\n", 1);
    }
    // The first line says for which command the file is.
    script.replacen("\n\n", &format!("\n\n{added}\n"), 1)
}
