//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Command, CommandFactory, Parser, ValueEnum, ValueHint};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use qwen_shared::app::{CommandLine, Common};
use qwen_shared::completion::{Request, at_file};
use qwen_shared::net::api;
use qwen_shared::net::completion;
use qwen_shared::net::config::Overrides;
use qwen_shared::net::http::parse_limit;
use qwen_shared::secret::Secret;

use super::session;

/// Ask a model one question and print its answer
///
/// The answer is on standard output and nothing else; exit 0 means that it is whole. What is piped in is added after the
/// prompt. Without a prompt, on a terminal, it is a conversation: /help lists its commands.
#[derive(Debug, Parser)]
#[command(
    name = "qwen-chat",
    version,
    disable_help_subcommand = true,
    after_long_help = EXAMPLES,
    group = ArgGroup::new("instead").args(["dry_run", "curl", "list_models"])
)]
pub(crate) struct Args {
    /// Prompt, joined by spaces; piped input is added after it
    #[arg(value_name = "PROMPT", hide_short_help = true, value_hint = ValueHint::AnyPath)]
    pub(crate) words: Vec<OsString>,

    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The endpoint.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Endpoint")]
pub(crate) struct EndpointArgs {
    /// API key; anybody on this machine can read it from the process list
    #[arg(long, value_name = "KEY", hide_short_help = true)]
    pub(crate) openai_api_key: Option<String>,
    /// Base URL of the API, such as https://api.openai.com/v1
    #[arg(long, value_name = "URL", hide_short_help = true, value_hint = ValueHint::Url)]
    pub(crate) openai_base_url: Option<String>,
    /// Model to ask
    #[arg(short, long, value_name = "NAME", add = ArgValueCandidates::new(models))]
    pub(crate) model: Option<String>,
    /// Print the models that the endpoint offers
    #[arg(long)]
    pub(crate) list_models: bool,
    /// Print the request instead of sending it, and the source of each setting
    #[arg(long, hide_short_help = true)]
    pub(crate) dry_run: bool,
    /// Print a curl command that sends the request with a key from qwen-token
    #[arg(long, hide_short_help = true)]
    pub(crate) curl: bool,
}

/// The input.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// Prompt as an option, as in Qwen Code; goes before PROMPT
    #[arg(
        short,
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    pub(crate) prompt: Option<OsString>,
    /// System prompt, as text or from a file
    #[arg(short, long, value_name = "TEXT|@FILE", allow_hyphen_values = true, add = ArgValueCompleter::new(at_file))]
    pub(crate) system: Option<OsString>,
    /// Add a text file with its name; can be repeated
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Vec<PathBuf>,
    /// Add an image; can be repeated
    #[arg(short, long, value_name = "FILE|URL", value_hint = ValueHint::FilePath)]
    pub(crate) image: Vec<OsString>,
    /// Read standard input to its end, even from a terminal
    #[arg(long, overrides_with = "no_stdin", hide_short_help = true)]
    pub(crate) stdin: bool,
    /// Do not read standard input
    #[arg(long, overrides_with = "stdin", hide_short_help = true)]
    pub(crate) no_stdin: bool,
    /// Give up if nothing arrives on standard input in this time
    #[arg(long, value_name = "SECONDS", value_parser = parse_limit, hide_short_help = true)]
    pub(crate) stdin_timeout: Option<Duration>,
    /// Save a conversation by this name, and continue it
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(sessions))]
    pub(crate) session: Option<String>,
    /// Continue the session used last
    #[arg(long = "continue", conflicts_with = "session", hide_short_help = true)]
    pub(crate) continue_last: bool,
}

/// The model's parameters.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// Sampling temperature
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = finite, hide_short_help = true)]
    pub(crate) temperature: Option<f64>,
    /// Nucleus sampling threshold
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = finite, hide_short_help = true)]
    pub(crate) top_p: Option<f64>,
    /// Maximum number of tokens of the answer
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    pub(crate) max_tokens: Option<u64>,
    /// Seed for a repeatable answer
    #[arg(
        long,
        value_name = "NUMBER",
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub(crate) seed: Option<i64>,
    /// Stop before this text; can be repeated
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, hide_short_help = true)]
    pub(crate) stop: Vec<String>,
    /// Set any member of the request; null removes it
    #[arg(long, value_name = "NAME=JSON", hide_short_help = true)]
    pub(crate) param: Vec<String>,
    /// Ask for JSON that matches this schema, and validate the answer
    #[arg(long, value_name = "FILE", hide_short_help = true, value_hint = ValueHint::FilePath)]
    pub(crate) schema: Option<PathBuf>,
}

/// What to do with the model's reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reasoning {
    /// Leave it out
    #[default]
    Drop,
    /// Print it on standard error
    Stderr,
    /// Print it before the answer
    Stdout,
}

/// The output.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Print one JSON object at the end
    #[arg(long, conflicts_with = "events")]
    pub(crate) json: bool,
    /// Print one JSON object per line as events happen
    #[arg(long, hide_short_help = true)]
    pub(crate) events: bool,
    /// Ask for the answer in one piece
    #[arg(long, hide_short_help = true)]
    pub(crate) no_stream: bool,
    /// Print only the first fenced code block
    #[arg(long, conflicts_with = "schema")]
    pub(crate) extract: bool,
    /// What to do with the model's reasoning: drop, stderr or stdout
    #[arg(
        long,
        value_name = "WHERE",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true,
        hide_short_help = true
    )]
    pub(crate) reasoning: Reasoning,
    /// Print tokens and time on standard error
    #[arg(long, hide_short_help = true)]
    pub(crate) usage: bool,
    /// Exit 1 if the answer was cut, refused, or ended without a known reason
    #[arg(long, hide_short_help = true)]
    pub(crate) strict: bool,
}

/// The limits.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    #[command(flatten)]
    pub(crate) common: api::LimitArgs,
    /// Limit for everything, retries included [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = parse_limit, hide_short_help = true)]
    pub(crate) max_time: Option<Duration>,
    /// Do not wait for the rate limit
    #[arg(long, hide_short_help = true)]
    pub(crate) no_pace: bool,
}

const EXAMPLES: &str = qwen_shared::examples!(
    "qwen-chat",
    "qwen-chat -f old.c -f new.c 'does new.c change what old.c does?'",
    "make >log 2>&1 || tail -50 log | qwen-chat 'what is wrong, and where?'",
    "qwen-chat --extract 'a POSIX script that rotates logs in $1' >rotate.sh",
    "qwen-chat --session trip 'three days in Lisbon?'",
    "qwen-chat --continue 'and with children?'",
);

/// Parses a number that JSON can hold.
fn finite(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| "not a number".to_owned())
}

impl Args {
    /// Returns what is given by flags of what decides the settings.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            profile: self.common.profile.clone(),
            api_key: self.endpoint.openai_api_key.clone().map(Secret::new),
            base_url: self.endpoint.openai_base_url.clone(),
            model: Overrides::model_of_flag(self.endpoint.model.as_ref()),
            profile_first: false,
        }
    }
}

impl CommandLine for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

pub(crate) fn command() -> Command {
    Args::command()
}

/// Returns the models of the endpoint in use, for completion.
fn models() -> Vec<CompletionCandidate> {
    completion::models(|| {
        let args: Args = Request::of_process()?.args(command())?;
        Some(args.overrides())
    })
}

/// Returns the sessions that are kept, for completion.
fn sessions() -> Vec<CompletionCandidate> {
    session::names()
        .into_iter()
        .map(CompletionCandidate::new)
        .collect()
}
