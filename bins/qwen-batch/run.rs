//! The tool itself.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::output::Reporter;
use qwen_shared::secret::forbid_core_dump;

use super::args::{Args, Job};
use crate::{local, remote};

/// Runs the tool.
pub(crate) fn run(args: Args, reporter: &Reporter) -> Outcome {
    let Some(job) = args.job else {
        return Err(Failure::new(Exit::Usage, "nothing to do").hint("run 'qwen-batch --help'"));
    };
    forbid_core_dump();
    let profile = args.common.profile.as_ref();
    match job {
        Job::Run(args) => local::run(&args, profile, reporter),
        Job::Submit(args) => remote::submit(&args, profile, reporter),
        Job::Status(args) => remote::status(&args, profile, reporter),
        Job::Wait(args) => remote::wait(&args, profile, reporter),
        Job::Fetch(args) => remote::fetch(&args, profile, reporter),
        Job::Cancel(args) => remote::cancel(&args, profile, reporter),
        Job::List(args) => remote::list(&args, profile, reporter),
    }
}
