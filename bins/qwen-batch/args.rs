//! The command line.

use std::ffi::OsString;
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

/// Send many requests to a model: JSONL in, JSONL out
#[derive(Debug, Parser)]
#[command(name = "qwen-batch", version, disable_help_subcommand = true)]
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

/// Returns the command line's grammar.
pub(crate) fn command() -> clap::Command {
    Args::command()
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send all requests from this machine, and continue where an earlier run stopped
    Run(RunArgs),
    /// Submit a file of requests to the provider's Batch API and print the batch's ID
    Submit(SubmitArgs),
    /// Print the status of a batch
    Status(StatusArgs),
    /// Wait until a batch has ended, then print its status
    Wait(WaitArgs),
    /// Download the results of a batch that has ended
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
    /// System prompt for prompt lines that have none of their own
    #[arg(short, long, value_name = "TEXT|@FILE", allow_hyphen_values = true, add = ArgValueCompleter::new(at_file))]
    pub(crate) system: Option<OsString>,
    /// Read lines as plain text and insert each at {}, or below the text if it has no {}
    #[arg(long, value_name = "TEXT|@FILE", allow_hyphen_values = true, add = ArgValueCompleter::new(at_file))]
    pub(crate) template: Option<OsString>,
    /// Set any member of every request, whatever the lines say; null removes it
    #[arg(long, value_name = "NAME=JSON")]
    pub(crate) param: Vec<String>,
}

/// Retries and time limits.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    #[command(flatten)]
    pub(crate) common: api::LimitArgs,
    /// Limit for each attempt as a whole [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = parse_limit)]
    pub(crate) max_time: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// File of requests, one per line; standard input if it is - or missing
    #[arg(value_name = "IN", value_hint = ValueHint::FilePath)]
    pub(crate) input: Option<PathBuf>,
    /// Append the results to this file, and skip what it already holds
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Run COUNT requests in parallel [default: 8]
    #[arg(short, long, value_name = "COUNT", default_value_t = 8, hide_default_value = true,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: u16,
    /// Write the results in the order of the requests
    #[arg(long)]
    pub(crate) ordered: bool,
    /// Retry what failed in an earlier run
    #[arg(long, requires = "output")]
    pub(crate) retry_failed: bool,
    /// Do not wait for the rate limit
    #[arg(long)]
    pub(crate) no_pace: bool,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SubmitArgs {
    /// File of requests, one per line; standard input if it is -
    #[arg(value_name = "IN", value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
    /// Time within which the provider is to finish [default: 24h]
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
    /// Give up after this time; the batch continues [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = parse_limit)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct FetchArgs {
    /// ID of the batch, as submit printed it
    #[arg(value_name = "ID", add = ArgValueCandidates::new(batches))]
    pub(crate) id: String,
    /// Append the results to this file, except those it already holds
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
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
