//! What can be typed about batches at the provider.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use qwen_shared::http::typed_limit;

use crate::cli::{LimitArgs, RequestArgs};

/// Hand over.
#[derive(Debug, Args)]
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
#[derive(Debug, Args)]
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
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// ID of the batch, as submit printed it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) shown: ShowArgs,
}

/// Which batch, and how patiently.
#[derive(Debug, Args)]
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
#[derive(Debug, Args)]
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
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print so many batches at most [default: 20]
    #[arg(long, value_name = "COUNT", default_value_t = 20, hide_default_value = true,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) shown: ShowArgs,
}
