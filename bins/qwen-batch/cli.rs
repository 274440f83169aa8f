//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, CommandFactory, Parser, Subcommand, ValueHint};
use qwen_shared::http::typed_limit;
use qwen_shared::tool::{Common, Typed};

use crate::remote::{FetchArgs, ListArgs, StatusArgs, SubmitArgs, WaitArgs};

/// Ask a model many questions: JSONL in, JSONL out
#[derive(Debug, Parser)]
#[command(name = "qwen-batch", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) job: Option<Job>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// Ask every question from here, and go on where an earlier run stopped
    Run(RunArgs),
    /// Hand a file of questions to the provider's batch engine and print the batch's ID
    Submit(SubmitArgs),
    /// Print how far a batch has come
    Status(StatusArgs),
    /// Wait until a batch has ended, then print how
    Wait(WaitArgs),
    /// Get the results of a batch that has ended
    Fetch(FetchArgs),
    /// Stop a batch; what it has done can still be fetched
    Cancel(StatusArgs),
    /// Print the batches that the provider knows, newest first
    List(ListArgs),
}

/// What makes requests of the input's lines.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Requests")]
pub(crate) struct RequestArgs {
    /// Model to ask, whatever the lines say
    #[arg(short, long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Instructions to the model for lines that are prompts
    #[arg(short, long, value_name = "TEXT|@FILE", allow_hyphen_values = true)]
    pub(crate) system: Option<String>,
    /// Take lines as plain text and put each in place of {}, or below the text where there is none
    #[arg(long, value_name = "TEXT|@FILE", allow_hyphen_values = true)]
    pub(crate) template: Option<String>,
    /// Set any member of every request, whatever the lines say; null takes it away
    #[arg(long, value_name = "NAME=JSON")]
    pub(crate) param: Vec<String>,
}

/// How long, and how often.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Try again so many times when the server is busy or the connection fails [default: 3]
    #[arg(long, value_name = "COUNT", default_value_t = 3, hide_default_value = true)]
    pub(crate) retries: u32,
    /// Limit for the connection [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = typed_limit)]
    pub(crate) connect_timeout: Option<Duration>,
    /// Limit for the beginning of an answer [default: 600 for run, else 120]
    #[arg(long, value_name = "SECONDS", value_parser = typed_limit)]
    pub(crate) first_byte_timeout: Option<Duration>,
    /// Limit for a pause within an answer [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = typed_limit)]
    pub(crate) idle_timeout: Option<Duration>,
    /// Limit for each request as a whole [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = typed_limit)]
    pub(crate) max_time: Option<Duration>,
}

/// Ask from here.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// File of questions, one a line; standard input when it is - or missing
    #[arg(value_name = "IN", value_hint = ValueHint::FilePath)]
    pub(crate) input: Option<PathBuf>,
    /// Append the results to this file, and skip what it holds already
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Ask so many questions at the same time [default: 8]
    #[arg(short, long, value_name = "COUNT", default_value_t = 8, hide_default_value = true,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: u16,
    /// Write the results in the order of the questions
    #[arg(long)]
    pub(crate) ordered: bool,
    /// Ask again what failed in an earlier run
    #[arg(long, requires = "output")]
    pub(crate) retry_failed: bool,
    /// Do not wait for the quota
    #[arg(long)]
    pub(crate) no_pace: bool,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

impl Typed for Cli {
    fn common(&self) -> &Common {
        &self.common
    }
}

/// Returns the command line's grammar.
pub(crate) fn command() -> Command {
    Cli::command()
}
