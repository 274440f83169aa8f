//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Command, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use qwen_shared::app::{CommandLine, Common};
use qwen_shared::net::http::typed_limit;

/// Ask a model many questions: JSONL in, JSONL out
#[derive(Debug, Parser)]
#[command(name = "qwen-batch", version, disable_help_subcommand = true)]
pub(crate) struct Args {
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
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Requests")]
pub(crate) struct RequestArgs {
    /// Model to ask, whatever the lines say
    #[arg(short, long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Instructions to the model for lines that are prompts
    #[arg(short, long, value_name = "TEXT|@FILE", allow_hyphen_values = true)]
    pub(crate) system: Option<OsString>,
    /// Take lines as plain text and put each in place of {}, or below the text where there is none
    #[arg(long, value_name = "TEXT|@FILE", allow_hyphen_values = true)]
    pub(crate) template: Option<OsString>,
    /// Set any member of every request, whatever the lines say; null takes it away
    #[arg(long, value_name = "NAME=JSON")]
    pub(crate) param: Vec<String>,
}

/// How long, and how often.
#[derive(Clone, Debug, clap::Args)]
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
#[derive(Debug, clap::Args)]
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

impl CommandLine for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

/// Returns the command line's grammar.
pub(crate) fn command() -> Command {
    Args::command()
}

/// Hand over.
#[derive(Debug, clap::Args)]
pub(crate) struct SubmitArgs {
    /// File of questions, one a line; standard input when it is -
    #[arg(value_name = "IN", value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
    /// Time that the provider has for it [default: 24h]
    #[arg(long, value_name = "TIME", default_value = "24h", hide_default_value = true)]
    pub(crate) window: String,
    /// Note a word with the batch; may be given several times
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
    /// The provider's own object on one line
    Json,
}

/// How it is printed, and how patiently it is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// How to print: text or json
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

/// Which batch.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// ID of the batch, as submit printed it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) shown: ShowArgs,
}

/// Which batch, and how patiently.
#[derive(Debug, clap::Args)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    pub(crate) status: StatusArgs,
    /// Ask every so many seconds [default: 5 at first, up to 60]
    #[arg(long, value_name = "SECONDS", value_parser = typed_limit)]
    pub(crate) interval: Option<Duration>,
    /// Give up after this time; the batch goes on [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = typed_limit)]
    pub(crate) timeout: Option<Duration>,
}

/// Which batch, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct FetchArgs {
    /// ID of the batch, as submit printed it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Append the results to this file, but for what it holds already
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// How many batches.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Print so many batches at most [default: 20]
    #[arg(long, value_name = "COUNT", default_value_t = 20, hide_default_value = true,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) shown: ShowArgs,
}
