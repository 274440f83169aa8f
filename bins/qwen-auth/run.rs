//! The tool itself.

use qwen_shared::failure::Outcome;
use qwen_shared::out::Talk;
use qwen_shared::secret;

use crate::cli::{Action, Cli, PrintArgs};
use crate::{list, logout, status};

/// Runs the tool.
pub(crate) fn run(cli: Cli, talk: &Talk) -> Outcome {
    secret::forbid_core_dump();
    let profile = cli.common.profile.as_deref();
    let action = cli.action;
    match action.unwrap_or_else(|| Action::Status(PrintArgs::default())) {
        Action::Status(PrintArgs { format }) => status::show(profile, format, talk),
        Action::List(PrintArgs { format }) => list::show(profile, format, talk),
        Action::Use { name } => list::make_active(&name, talk),
        Action::Logout { all: true, .. } => logout::all(talk),
        Action::Logout { name, .. } => logout::one(name.as_deref().or(profile), talk),
    }
}
