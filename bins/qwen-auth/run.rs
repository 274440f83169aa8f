//! The tool itself.

use qwen_shared::exit::Outcome;
use qwen_shared::output::Reporter;
use qwen_shared::secret;

use crate::args::{Action, Args, PrintArgs};
use crate::{logout, profiles, status};

/// Runs the tool.
pub(crate) fn run(args: Args, reporter: &Reporter) -> Outcome {
    secret::forbid_core_dump();
    let profile = args.common.profile.as_deref();
    match args
        .action
        .unwrap_or_else(|| Action::Status(PrintArgs::default()))
    {
        Action::Status(PrintArgs { format }) => status::show(profile, format, reporter),
        Action::List(PrintArgs { format }) => profiles::list(profile, format, reporter),
        Action::Use { name } => profiles::make_default(&name, reporter),
        Action::Logout { all: true, .. } => logout::all(reporter),
        Action::Logout { name, .. } => logout::one(name.as_deref().or(profile), reporter),
    }
}
