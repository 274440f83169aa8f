//! Values that only a running tool knows: the user's profiles, the endpoint's models.

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};

use crate::provider;

/// The functions of the added shell code that print such values, one a line. In a script of clap_complete each
/// stands as if it were the one possible value, and is then made a call.
pub(super) const FUNCTIONS: [&str; 2] = [PROFILES, MODELS];

const PROFILES: &str = "__qwen_profiles";
const MODELS: &str = "__qwen_models";

/// Gives arguments whose values can be known a list of possible values; for completion only.
///
/// An argument is recognised by its name, which has one meaning everywhere; one without a flag means a profile in
/// `qwen-auth` alone.
pub(super) fn mark(command: Command) -> Command {
    let is_auth = command.get_name() == "qwen-auth";
    mark_all(command, is_auth)
}

fn mark_all(command: Command, is_auth: bool) -> Command {
    command
        .mut_args(|arg| match values(&arg, is_auth) {
            Some(values) if takes_words(&arg) => arg.value_parser(PossibleValuesParser::new(values)),
            _ => arg,
        })
        .mut_subcommands(|subcommand| mark_all(subcommand, is_auth))
}

fn takes_words(arg: &Arg) -> bool {
    arg.get_action().takes_values() && arg.get_possible_values().is_empty()
}

fn values(arg: &Arg, is_auth: bool) -> Option<Vec<&'static str>> {
    match arg.get_id().as_str() {
        "profile" => Some(vec![PROFILES]),
        "model" => Some(vec![MODELS]),
        "provider" => Some(
            provider::all()
                .iter()
                .map(|provider| provider.name.as_str())
                .collect(),
        ),
        _ if is_auth && arg.is_positional() => Some(vec![PROFILES]),
        _ => None,
    }
}
