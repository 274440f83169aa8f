//! Starts the command that was given.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::api::take_over_logins;
use qwen_shared::output::Reporter;
use qwen_shared::secret::forbid_core_dump;

use super::args::{Args, Command};
use crate::{local, remote};

/// Runs the tool.
pub(crate) fn run(args: Args, reporter: &Reporter) -> Outcome {
    let Some(command) = args.command else {
        return Err(Failure::new(Exit::Usage, "no command given").hint("run 'qwen-batch --help'"));
    };
    forbid_core_dump();
    let left = take_over_logins(reporter);
    let profile = args.common.profile.as_ref();
    let outcome = match command {
        Command::Run(args) => local::run(&args, profile, reporter),
        Command::Submit(args) => remote::submit(&args, profile, reporter),
        Command::Status(args) => remote::status(&args, profile, reporter),
        Command::Wait(args) => remote::wait(&args, profile, reporter),
        Command::Fetch(args) => remote::fetch(&args, profile, reporter),
        Command::Cancel(args) => remote::cancel(&args, profile, reporter),
        Command::List(args) => remote::list(&args, profile, reporter),
    };
    outcome.map_err(|failure| left.explain(failure))
}
