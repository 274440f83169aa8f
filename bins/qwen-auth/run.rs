//! The tool itself.

use qwen_shared::exit::Outcome;
use qwen_shared::net::api::take_over_logins;
use qwen_shared::net::config::schema;
use qwen_shared::output::Reporter;
use qwen_shared::secret;

use crate::args::{Action, Args, PrintArgs};
use crate::{check, edit, logout, profiles, removal, set, show, status};

/// Runs the tool.
pub(crate) fn run(args: Args, reporter: &Reporter) -> Outcome {
    secret::forbid_core_dump();
    let left = take_over_logins(reporter);
    act(args, reporter).map_err(|failure| left.explain(failure))
}

fn act(args: Args, reporter: &Reporter) -> Outcome {
    let profile = args.common.profile.as_deref();
    match args
        .action
        .unwrap_or_else(|| Action::Status(PrintArgs::default()))
    {
        Action::Status(PrintArgs { format }) => status::show(profile, format, reporter),
        Action::List(PrintArgs { format }) => profiles::list(profile, format, reporter),
        Action::Use { name } => profiles::make_default(&name, reporter),
        Action::Show { name, show_secrets } => {
            show::profile(name.as_deref().or(profile), show_secrets, reporter)
        }
        Action::Set { new, words } => set::run(new, &words, profile, reporter),
        Action::Edit => edit::run(reporter),
        Action::Check(PrintArgs { format }) => check::run(format, reporter),
        Action::Rename { from, to } => removal::rename(&from, &to, reporter),
        Action::Remove { name } => removal::remove(&name, reporter),
        Action::Schema => profiles::print_json(&schema()).map(|()| qwen_shared::exit::Exit::Ok),
        Action::Logout { all: true, .. } => logout::all(reporter),
        Action::Logout { name, .. } => logout::one(name.as_deref().or(profile), reporter),
    }
}
