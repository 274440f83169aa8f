//! The tool itself.

use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, Outcome};
use qwen_shared::out::Talk;
use qwen_shared::secret::forbid_core_dump;

use crate::cli::{Cli, Job};
use crate::{local, remote};

/// Runs the tool.
pub(crate) fn run(cli: Cli, talk: &Talk) -> Outcome {
    let Some(job) = cli.job else {
        return Err(Failure::new(Exit::Usage, "nothing to do").hint("run 'qwen-batch --help'"));
    };
    forbid_core_dump();
    let profile = cli.common.profile.as_ref();
    match job {
        Job::Run(args) => local::run(&args, profile, talk),
        Job::Submit(args) => remote::submit(&args, profile, talk),
        Job::Status(args) => remote::status(&args, profile, talk),
        Job::Wait(args) => remote::wait(&args, profile, talk),
        Job::Fetch(args) => remote::fetch(&args, profile, talk),
        Job::Cancel(args) => remote::cancel(&args, profile, talk),
        Job::List(args) => remote::list(&args, profile, talk),
    }
}
