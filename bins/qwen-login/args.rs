//! The command line.

use clap::builder::PossibleValue;
use clap::{Command, CommandFactory, Parser};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use qwen_shared::app::{CommandLine, Common};
use qwen_shared::completion::Request;
use qwen_shared::net::completion;
use qwen_shared::net::config::Overrides;
use qwen_shared::provider;

/// Obtain a credential and store it
#[derive(Debug, Parser)]
#[command(name = "qwen-login", version, disable_help_subcommand = true)]
#[command(group = clap::ArgGroup::new("method").args(["oauth", "api_key", "import"]))]
pub(crate) struct Args {
    /// Log in through a browser, on this machine or any other
    #[arg(long, conflicts_with_all = ["with_key"])]
    pub(crate) oauth: bool,
    /// Set up an API key
    #[arg(long)]
    pub(crate) api_key: bool,
    /// Import the login or API key that Qwen Code uses
    #[arg(long, conflicts_with_all = ["with_key", "provider", "base_url"])]
    pub(crate) import: bool,
    /// Use this provider: openai, dashscope, openrouter, …; 'custom' for any other endpoint
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(providers))]
    pub(crate) provider: Option<String>,
    /// Send requests to this endpoint
    #[arg(long, value_name = "URL", value_hint = clap::ValueHint::Url)]
    pub(crate) base_url: Option<String>,
    /// Use this model
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(models))]
    pub(crate) model: Option<String>,
    /// Read the API key from standard input
    #[arg(long)]
    pub(crate) with_key: bool,
    /// Do not open a browser
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Print the address as a QR code, even if it does not fit
    #[arg(long)]
    pub(crate) qr: bool,
    /// Store the credential there: auto, keyring or file
    #[arg(long, value_name = "WHERE", value_parser = stores(), hide_possible_values = true)]
    pub(crate) store: Option<String>,
    /// Send the key over plain http to another machine, and remember that for the profile
    #[arg(long)]
    pub(crate) allow_http: bool,
    /// Store the credential without a test request
    #[arg(long)]
    pub(crate) no_verify: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

fn stores() -> [PossibleValue; 3] {
    [
        PossibleValue::new("auto").help("The keyring if there is one, else a file"),
        PossibleValue::new("keyring").help("The system keyring only"),
        PossibleValue::new("file").help("A file that only you can read"),
    ]
}

impl CommandLine for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

pub(crate) fn command() -> Command {
    Args::command()
}

/// Returns the providers of the catalogue, for completion.
fn providers() -> Vec<CompletionCandidate> {
    let known = provider::all().iter();
    known
        .map(|known| CompletionCandidate::new(&known.name).help(Some((&known.title).into())))
        .collect()
}

/// Returns the models of the endpoint in use, for completion.
fn models() -> Vec<CompletionCandidate> {
    completion::models(|| {
        let args: Args = Request::of_process()?.args(command())?;
        Some(Overrides {
            profile: args.common.profile,
            base_url: args.base_url,
            ..Overrides::default()
        })
    })
}
