//! elvish. clap_complete's script knows no values and gives up after an operand; both are added around it.

use clap::Command;

use super::values::{self, Values};
use super::{dispatch, is_dispatcher};

const LIVE: &str = include_str!("live.elv");
const VALUES: &str = include_str!("values.elv");
const DISPATCH: &str = include_str!("dispatch.elv");

pub(super) fn finish(raw: &str, command: &Command) -> String {
    let options: Vec<String> = values::of_options(command)
        .into_iter()
        .map(|(flag, values)| format!("&{flag}={}", shown(&values)))
        .collect();
    let operands: Vec<String> = values::of_operands(command)
        .into_iter()
        .map(|(subcommand, values)| format!("&{}={}", subcommand.unwrap_or("''".to_owned()), shown(&values)))
        .collect();
    let subcommands: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
    let mut script = raw.trim_start().to_owned();
    script.push_str(
        &VALUES
            .replace("@LIVE@", LIVE.trim_end())
            .replace("@OPTIONS@", &map(&options))
            .replace("@OPERANDS@", &map(&operands))
            .replace("@SUBCOMMANDS@", &subcommands.join(" "))
            .replace("@NAME@", command.get_name()),
    );
    if is_dispatcher(command) {
        script.push_str(&dispatch(DISPATCH, command, " "));
    }
    script
}

fn map(entries: &[String]) -> String {
    if entries.is_empty() {
        "&".to_owned()
    } else {
        entries.join(" ")
    }
}

fn shown(values: &Values) -> String {
    match values {
        Values::Live(function) => format!("${function}~"),
        Values::Words(words) => format!("{{ put {} }}", words.join(" ")),
    }
}
