//! fish.

use clap::Command;

use super::values::{self, Values};
use super::{dispatch, is_dispatcher, live, takes_command};

const LIVE: &str = include_str!("live.fish");
const COMMAND: &str = include_str!("command.fish");
const DISPATCH: &str = include_str!("dispatch.fish");

pub(super) fn finish(raw: &str, command: &Command) -> String {
    let mut script = format!("{LIVE}\n{raw}");
    for function in live::FUNCTIONS {
        script = script.replace(&format!("\"{function}\\t''\""), &format!("\"({function})\""));
    }
    let name = command.get_name();
    for (subcommand, values) in values::of_operands(command) {
        let condition = subcommand.map_or_else(String::new, |subcommand| {
            let function = name.replace('-', "_");
            format!(" -n \"__fish_{function}_using_subcommand {subcommand}\"")
        });
        let words = match values {
            Values::Live(function) => format!("({function})"),
            Values::Words(words) => words.join(" "),
        };
        script.push_str(&format!("complete -c {name}{condition} -f -a \"{words}\"\n"));
    }
    if takes_command(command) {
        script.push_str(COMMAND);
        script.push_str(&format!(
            "complete -c {name} -n 'contains -- -- (commandline -opc)' -x -a '(__qwen_command)'\n"
        ));
    }
    if is_dispatcher(command) {
        // clap_complete's own condition fails where the value of a flag is still to be typed.
        script = script.replace("__fish_qwen_needs_command\"", "not __qwen_tool >/dev/null\"");
        script.push_str(&dispatch(DISPATCH, command, " "));
    }
    script
}
