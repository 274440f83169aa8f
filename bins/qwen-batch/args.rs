//! The command line.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use qwen_shared::app::{CommandLine, Common};
use qwen_shared::completion::{Request, at_file};
use qwen_shared::net::api;
use qwen_shared::net::completion;
use qwen_shared::net::config::Overrides;
use qwen_shared::net::http::parse_limit;

use super::duration::parse_duration;

/// Send many requests to a model: JSONL in, JSONL out
///
/// From this machine with 'run', which continues where an earlier run stopped; or on the provider's Batch API with the
/// other commands. A line is a request of OpenAI's batch format, {"prompt": …}, or with --template any text.
#[derive(Debug, Parser)]
#[command(name = "qwen-batch", version, disable_help_subcommand = true, after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl CommandLine for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

const EXAMPLES: &str = qwen_shared::examples!(
    "qwen-batch",
    "qwen-batch run questions.jsonl -o results.jsonl -j 16",
    "qwen-batch submit questions.jsonl >ids",
    "xargs -n 1 qwen-batch wait <ids",
    "xargs qwen-batch fetch -o results.jsonl <ids",
);

const RUN_EXAMPLES: &str = qwen_shared::examples!(
    "qwen-batch",
    "qwen-batch run questions.jsonl -o results.jsonl -j 16",
    "qwen-batch run --template 'Sum up in five words: {}' titles.txt",
);

/// Returns the command line's grammar.
pub(crate) fn command() -> clap::Command {
    Args::command()
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send all requests from here, and continue where an earlier run stopped
    #[command(after_long_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Submit requests to the provider's Batch API, and print the batch's ID
    Submit(SubmitArgs),
    /// Print the status of a batch
    Status(StatusArgs),
    /// Wait until a batch has ended, then print its status
    Wait(WaitArgs),
    /// Download the results of batches that have ended
    Fetch(FetchArgs),
    /// Cancel a batch; results so far can still be fetched
    Cancel(StatusArgs),
    /// List the provider's batches, newest first
    List(ListArgs),
}

/// How requests are built from the lines of the input.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Requests")]
pub(crate) struct RequestArgs {
    /// Use this model, whatever the lines say
    #[arg(short, long, value_name = "NAME", add = ArgValueCandidates::new(models))]
    pub(crate) model: Option<String>,
    /// System prompt for lines that have none
    #[arg(short, long, value_name = "TEXT|@FILE", allow_hyphen_values = true, add = ArgValueCompleter::new(at_file))]
    pub(crate) system: Option<OsString>,
    /// Read lines as plain text, and insert each at {}
    ///
    /// Or below the text, if it has no {}.
    #[arg(long, value_name = "TEXT|@FILE", allow_hyphen_values = true, add = ArgValueCompleter::new(at_file))]
    pub(crate) template: Option<OsString>,
    /// Set any member of every request, whatever the lines say; null removes it
    #[arg(long, value_name = "NAME=JSON", hide_short_help = true)]
    pub(crate) param: Vec<String>,
}

/// Retries and time limits.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    #[command(flatten)]
    pub(crate) common: api::LimitArgs,
    /// Limit for each attempt as a whole [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = parse_limit, hide_short_help = true)]
    pub(crate) max_time: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// File of requests, one per line; standard input if it is - or missing
    #[arg(value_name = "IN", value_hint = ValueHint::FilePath)]
    pub(crate) input: Option<PathBuf>,
    /// Append results here; skip what it holds
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Run COUNT requests in parallel [default: 8]
    #[arg(short, long, value_name = "COUNT", default_value_t = 8, hide_default_value = true,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: u16,
    /// Keep the order of the requests
    #[arg(long)]
    pub(crate) ordered: bool,
    /// Retry what failed in an earlier run
    #[arg(long, requires = "output")]
    pub(crate) retry_failed: bool,
    /// Leave a result whose name a changed request has, instead of sending the request
    #[arg(long, requires = "output", hide_short_help = true)]
    pub(crate) keep_names: bool,
    /// Print the counts of the run as JSON on standard output
    #[arg(long, requires = "output", hide_short_help = true)]
    pub(crate) json: bool,
    /// Wait up to TIME for a server that fails or refuses everything [default: 10m]
    #[arg(long, value_name = "TIME", default_value = "10m", hide_default_value = true, value_parser = parse_duration, hide_short_help = true)]
    pub(crate) patience: Duration,
    /// End the run when more than this has failed
    ///
    /// A number of requests, or a part of those sent so far.
    #[arg(long, value_name = "COUNT|PERCENT%", value_parser = parse_failure_limit)]
    pub(crate) max_failed: Option<FailureLimit>,
    /// Do not wait for the rate limit
    #[arg(long, hide_short_help = true)]
    pub(crate) no_pace: bool,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// How many requests may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureLimit {
    Count(u64),
    /// Of the results so far, once there are [`FailureLimit::FEWEST`].
    Percent(u64),
}

impl FailureLimit {
    /// Of fewer results a part says nothing.
    const FEWEST: u64 = 20;

    /// True when more than this have failed.
    pub(crate) const fn is_exceeded(self, failed: u64, done: u64) -> bool {
        match self {
            Self::Count(limit) => failed > limit,
            Self::Percent(limit) => done >= Self::FEWEST && failed * 100 > limit * done,
        }
    }
}

impl fmt::Display for FailureLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

fn parse_failure_limit(text: &str) -> Result<FailureLimit, String> {
    let (digits, limit): (_, fn(u64) -> FailureLimit) = match text.strip_suffix('%') {
        Some(digits) => (digits, FailureLimit::Percent),
        None => (text, FailureLimit::Count),
    };
    match digits.parse() {
        Ok(percent @ 101..) if text.ends_with('%') => Err(format!("{percent}% is more than all")),
        Ok(number) => Ok(limit(number)),
        Err(_) => Err("not a number, nor a part such as 5%".to_owned()),
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct SubmitArgs {
    /// File of requests, one per line; standard input if it is -
    #[arg(value_name = "IN", value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
    /// Leave out what has a good answer in these results
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) except: Option<PathBuf>,
    /// Time for the provider to finish [default: 24h]
    #[arg(long, value_name = "TIME", default_value = "24h", hide_default_value = true)]
    pub(crate) window: String,
    /// Store metadata with the batch; may be repeated
    #[arg(long, value_name = "NAME=TEXT")]
    pub(crate) metadata: Vec<String>,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// How a batch is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people and awk
    #[default]
    Text,
    /// The provider's object on one line
    Json,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// Output format: text or json
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// ID of the batch, as submit printed it
    #[arg(value_name = "ID", add = ArgValueCandidates::new(batches))]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    pub(crate) status: StatusArgs,
    /// Poll every SECONDS [default: 5 at first, up to 60]
    #[arg(long, value_name = "SECONDS", value_parser = parse_limit)]
    pub(crate) interval: Option<Duration>,
    /// Give up after this time [default: never]
    ///
    /// The batch continues.
    #[arg(long, value_name = "SECONDS", value_parser = parse_limit)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct FetchArgs {
    /// IDs of the batches, as submit printed them
    #[arg(value_name = "ID", required = true, add = ArgValueCandidates::new(batches))]
    pub(crate) ids: Vec<String>,
    /// Append results here, except those it holds
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Save the files of results as they are
    ///
    /// Into a new or empty file.
    #[arg(long)]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Print at most COUNT batches [default: 20]
    #[arg(long, value_name = "COUNT", default_value_t = 20, hide_default_value = true,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// Returns the models of the endpoint in use, for completion.
fn models() -> Vec<CompletionCandidate> {
    completion::models(overrides)
}

/// Returns the provider's newest batches with their states, for completion.
fn batches() -> Vec<CompletionCandidate> {
    completion::batches(overrides)
}

/// Returns what is typed before the cursor.
fn overrides() -> Option<Overrides> {
    // A command's operand may still be missing, so only the common options are read.
    let common: Common = Request::of_process()?.args(command())?;
    Some(Overrides {
        profile: common.profile,
        ..Overrides::default()
    })
}
