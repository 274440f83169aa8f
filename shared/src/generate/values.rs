//! The values that arguments take, for shells whose script by clap_complete leaves them out.

use std::collections::BTreeMap;

use clap::{Arg, Command};

use super::live;

/// What may stand somewhere.
pub(super) enum Values {
    /// What a function of the added shell code prints.
    Live(&'static str),
    /// These words.
    Words(Vec<String>),
}

/// Returns the values of every option that has a list of them, by the flag as typed, subcommands included.
pub(super) fn of_options(command: &Command) -> BTreeMap<String, Values> {
    let mut found = BTreeMap::new();
    for command in std::iter::once(command).chain(command.get_subcommands()) {
        for arg in command.get_opts() {
            for flag in flags(arg) {
                if let Some(values) = of(arg) {
                    found.insert(flag, values);
                }
            }
        }
    }
    found
}

/// Returns the values of operands, by the subcommand that takes them; `None` for the command's own.
pub(super) fn of_operands(command: &Command) -> Vec<(Option<String>, Values)> {
    let own = command.get_positionals().map(|arg| (None, arg));
    let below = command.get_subcommands().flat_map(|subcommand| {
        let name = subcommand.get_name().to_owned();
        subcommand
            .get_positionals()
            .map(move |arg| (Some(name.clone()), arg))
    });
    own.chain(below)
        .filter_map(|(name, arg)| Some((name, of(arg)?)))
        .collect()
}

/// Returns the flags, as typed, after which a value follows.
pub(super) fn taking_flags(command: &Command) -> Vec<String> {
    command.get_opts().flat_map(flags).collect()
}

fn flags(arg: &Arg) -> Vec<String> {
    let long = arg.get_long().map(|long| format!("--{long}"));
    long.into_iter()
        .chain(arg.get_short().map(|short| format!("-{short}")))
        .collect()
}

fn of(arg: &Arg) -> Option<Values> {
    let possible: Vec<String> = arg
        .get_possible_values()
        .into_iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| value.get_name().to_owned())
        .collect();
    let live = live::FUNCTIONS
        .into_iter()
        .find(|function| possible.iter().any(|value| value == function));
    match live {
        Some(function) => Some(Values::Live(function)),
        None if possible.is_empty() => None,
        None => Some(Values::Words(possible)),
    }
}
