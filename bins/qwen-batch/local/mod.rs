//! `qwen-batch run`: requests sent from this machine.

mod dispatcher;
mod failure_policy;
mod reorder;
mod runner;
mod signals;
mod summary;

use std::io::IsTerminal;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::http::runtime;
use qwen_shared::output::{Reporter, Stdout};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::args::RunArgs;
use super::client::{ClientOptions, connect};
use super::input::Input;
use super::progress::Progress;
use super::request::RequestBuilder;
use super::results::{CompletedIds, Results, is_same_file};
use reorder::ReorderBuffer;
use runner::{Plan, Runner};
use summary::Summary;

/// The longest pause that the server may ask a run for: nobody sits and waits.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// With `--ordered`: how many results may wait for an earlier one, for each parallel request.
const WAITING_PER_JOB: usize = 16;
/// Open files besides the connections: input, output, the runtime's, the rate limit's, certificates.
const OTHER_FILES: u64 = 32;

/// Runs `qwen-batch run`.
///
/// # Errors
/// Those of the input, the output, the settings, and of [`Runner::run`].
pub(crate) fn run(args: &RunArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let input = Input::open(args.input.as_ref())?;
    if input.is_stdin() && std::io::stdin().is_terminal() {
        reporter.notice("reading requests from the terminal, one per line, until Ctrl-D");
    }
    if is_same_file(&input, args.output.as_ref()) {
        return Err(Failure::new(
            Exit::Usage,
            format!("'{}': input and output are the same file", input.name()),
        ));
    }
    let options = ClientOptions {
        profile,
        model: args.request.model.as_ref(),
        limits: &args.limits,
        longest_wait: LONGEST_WAIT,
        is_paced: !args.no_pace,
    };
    let client = connect(&options, reporter)?;
    let endpoint = client.endpoint();
    let settings = endpoint.settings();
    let builder = RequestBuilder::new(&args.request, &settings.model.value, &settings.body)?;
    let mut completed = CompletedIds::default();
    let results = Results::open(args.output.as_ref(), args.retry_failed, &mut completed, reporter)?;
    let jobs = raise_open_file_limit(usize::from(args.jobs), reporter);
    let plan = Plan {
        builder,
        completed,
        summary: Summary::new(progress(&input, &results, reporter)),
        results,
        order: ReorderBuffer::new(args.ordered.then_some(jobs * WAITING_PER_JOB)),
        jobs,
    };
    runtime()?.block_on(async { Runner::new(plan, client).run(input.into_channel()).await })
}

/// Shows a bar, unless requests are typed or results shown on the same terminal.
fn progress(input: &Input, results: &Results, reporter: &Reporter) -> Progress {
    let is_typed = input.is_stdin() && std::io::stdin().is_terminal();
    let is_displayed = matches!(results, Results::Stdout) && Stdout::is_terminal();
    match Progress::is_wanted(reporter) && !is_typed && !is_displayed {
        true => Progress::bar(reporter, input.count()),
        false => Progress::hidden(reporter),
    }
}

/// Raises the soft limit on open files as far as `jobs` connections need it; returns for how many it suffices.
fn raise_open_file_limit(jobs: usize, reporter: &Reporter) -> usize {
    // Twice: what the server has closed stays open here until it is noticed.
    let wanted = 2 * jobs as u64 + OTHER_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(allowed) = current.filter(|&allowed| allowed < wanted) else {
        return jobs;
    };
    let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let limit = Rlimit {
        current: Some(raised),
        maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, limit) {
        Ok(()) => raised,
        Err(_) => allowed,
    };
    let possible = usize::try_from(allowed.saturating_sub(OTHER_FILES)).unwrap_or(jobs);
    let possible = possible.clamp(1, jobs);
    if possible < jobs {
        reporter.notice(&format!(
            "running {possible} requests in parallel, not {jobs}: the limit on open files is {allowed}"
        ));
    }
    possible
}
