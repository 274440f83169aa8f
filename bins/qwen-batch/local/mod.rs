//! `qwen-batch run`: requests sent from this machine.

mod aside;
mod dispatcher;
mod failure_policy;
mod reorder;
mod runner;
mod scheduler;
mod signals;
mod summary;
mod throttle;

use std::io::IsTerminal;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::api::Client;
use qwen_shared::net::config::TimeoutSettings;
use qwen_shared::net::http::runtime;
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::process::raise_open_files;

use super::args::RunArgs;
use super::client::{ClientOptions, connect};
use super::completed::CompletedRequests;
use super::input::{Input, InputLine, LineCounter, Lines};
use super::progress::Progress;
use super::request::RequestBuilder;
use super::results::{Results, is_named, is_same_file};
use dispatcher::DispatchOptions;
use reorder::ReorderBuffer;
use runner::{Plan, RunOptions, Runner};
use summary::Summary;
use tokio::sync::mpsc;

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
    let (plan, client, lines) = prepare(args, profile, reporter).inspect_err(|failure| {
        // A program that reads the counts reads them of every end.
        if args.json && is_named(args.output.as_ref()) {
            let summary = Summary::new(Progress::hidden(reporter));
            let json = summary.to_json(Some(failure.exit));
            let _ = Stdout::write(format!("{json}\n").as_bytes());
        }
    })?;
    runtime()?.block_on(async { Runner::new(plan, client).run(lines).await })
}

/// A run that can begin.
type Prepared = (Plan, Client, mpsc::Receiver<Result<InputLine, Failure>>);

/// Opens input and output, and prepares the run.
fn prepare(args: &RunArgs, profile: Option<&String>, reporter: &Reporter) -> Result<Prepared, Failure> {
    let source = Source::open(args, reporter)?;
    let options = ClientOptions {
        profile,
        model: args.request.model.as_ref(),
        limits: &args.limits,
        longest_wait: LONGEST_WAIT,
        is_paced: !args.no_pace,
        retries: false,
    };
    let client = connect(&options, reporter)?;
    let (plan, lines) = plan(args, source, &client, reporter)?;
    Ok((plan, client, lines.into_channel()?))
}

/// Where requests come from.
struct Source {
    lines: Lines,
    counter: Option<LineCounter>,
    is_typed: bool,
}

impl Source {
    /// Opens the input, and looks at its beginning where that takes no waiting.
    fn open(args: &RunArgs, reporter: &Reporter) -> Result<Self, Failure> {
        let input = Input::open(args.input.as_ref())?;
        let is_typed = input.is_stdin() && std::io::stdin().is_terminal();
        if is_typed {
            reporter.notice("reading requests from the terminal, one per line, until Ctrl-D");
        }
        if is_same_file(&input, args.output.as_ref()) {
            let message = format!("'{}': input and output are the same file", input.name());
            return Err(Failure::new(Exit::Usage, message));
        }
        if args.json && !is_named(args.output.as_ref()) {
            let message = "--json: standard output has the results; name a file for them with --output";
            return Err(Failure::new(Exit::Usage, message));
        }
        let counter = input.counter();
        let mut lines = input.lines(args.request.template.is_some());
        lines.start_file()?;
        Ok(Self {
            lines,
            counter,
            is_typed,
        })
    }
}

/// Opens the output and prepares the run.
fn plan(
    args: &RunArgs,
    source: Source,
    client: &Client,
    reporter: &Reporter,
) -> Result<(Plan, Lines), Failure> {
    let endpoint = client.endpoint();
    let settings = endpoint.settings();
    let builder = RequestBuilder::new(&args.request, &settings.model.value, &settings.body, reporter)?;
    let mut completed = match args.ordered && is_named(args.output.as_ref()) {
        true => CompletedRequests::ordered(),
        false => CompletedRequests::default(),
    };
    let results = Results::open(args.output.as_ref(), &mut completed, reporter)?;
    let jobs = raise_open_file_limit(usize::from(args.jobs), reporter);
    let waiting = (args.ordered && !matches!(results, Results::File(_))).then_some(jobs * WAITING_PER_JOB);
    let (progress, counter) = progress(source.counter, source.is_typed, &results, reporter);
    let plan = Plan {
        builder,
        completed,
        results,
        summary: Summary::new(progress),
        order: ReorderBuffer::new(waiting),
        counter,
        options: RunOptions {
            retries_failed: args.retry_failed,
            keeps_names: args.keep_names,
            prints_json: args.json,
            max_failed: args.max_failed,
            output: args.output.clone(),
        },
        dispatch: DispatchOptions {
            jobs,
            retries: args.limits.common.options(TimeoutSettings::default()).retries,
            patience: args.patience,
        },
    };
    Ok((plan, source.lines))
}

/// Shows a bar, unless requests are typed or results shown on the same terminal. Gives the counter back where there is no
/// bar.
fn progress(
    counter: Option<LineCounter>,
    is_typed: bool,
    results: &Results,
    reporter: &Reporter,
) -> (Progress, Option<LineCounter>) {
    let is_displayed = matches!(results, Results::Stdout) && Stdout::is_terminal();
    match Progress::is_wanted(reporter) && !is_typed && !is_displayed {
        true => (
            Progress::bar(reporter, counter.and_then(LineCounter::count)),
            None,
        ),
        false => (Progress::hidden(reporter), counter),
    }
}

/// Raises the soft limit on open files as far as `jobs` connections need it; returns for how many it suffices.
fn raise_open_file_limit(jobs: usize, reporter: &Reporter) -> usize {
    // Twice: what the server has closed stays open here until it is noticed.
    let wanted = 2 * jobs as u64 + OTHER_FILES;
    let Some(allowed) = raise_open_files(wanted).filter(|&allowed| allowed < wanted) else {
        return jobs;
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
