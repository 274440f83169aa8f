//! PowerShell. clap_complete's script knows no values; they are added before it looks for flags.

use clap::Command;

use super::values::{self, Values};
use super::{dispatch, is_dispatcher};

const VALUES: &str = include_str!("values.ps1");
const LIVE: &str = include_str!("live.ps1");
const DISPATCH: &str = include_str!("dispatch.ps1");
const ELEMENTS: &str = "    $commandElements = $commandAst.CommandElements\n";

pub(super) fn finish(raw: &str, command: &Command) -> String {
    let mut cases = String::new();
    for (flag, values) in values::of_options(command) {
        cases.push_str(&format!("        '{flag}' {{ {} }}\n", shown(&values)));
    }
    for (subcommand, values) in values::of_operands(command) {
        if let Some(subcommand) = subcommand {
            cases.push_str(&format!("        '{subcommand}' {{ {} }}\n", shown(&values)));
        }
    }
    let mut added = format!("{LIVE}{ELEMENTS}");
    if is_dispatcher(command) {
        added.push_str(&dispatch(DISPATCH, command, "', '"));
    }
    added.push_str(&VALUES.replace("@CASES@\n", &cases));
    raw.trim_start().replacen(ELEMENTS, &added, 1)
}

fn shown(values: &Values) -> String {
    match values {
        Values::Live(function) => (*function).to_owned(),
        Values::Words(words) => format!("'{}'", words.join("', '")),
    }
}
