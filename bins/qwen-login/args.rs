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
///
/// On a terminal it asks for what the options do not say: the method, then provider, base URL, key and model, each with
/// an answer that Enter takes. Elsewhere the options must say everything.
#[derive(Debug, Parser)]
#[command(name = "qwen-login", version, disable_help_subcommand = true, after_long_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("method").args(["oauth", "api_key", "import"]))]
pub(crate) struct Args {
    /// Log in through a browser, on this machine or any other
    ///
    /// At qwen.ai, or at the server that the profile's "oauth" names. An address and a code are printed.
    #[arg(long, conflicts_with_all = ["with_key"])]
    pub(crate) oauth: bool,
    /// Set up an API key, or a server that needs none
    #[arg(long)]
    pub(crate) api_key: bool,
    /// Import the login or API key that Qwen Code uses
    #[arg(long, conflicts_with_all = ["with_key", "provider", "base_url"])]
    pub(crate) import: bool,
    /// Use this provider: openai, dashscope, ollama, …
    ///
    /// The manual page and Tab list them; 'custom' is any other endpoint.
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(providers))]
    pub(crate) provider: Option<String>,
    /// Send requests to this endpoint
    ///
    /// Such as http://127.0.0.1:8080/v1. The provider is recognised by it.
    #[arg(long, value_name = "URL", value_hint = clap::ValueHint::Url)]
    pub(crate) base_url: Option<String>,
    /// Use this model
    ///
    /// By default the provider's, which is gpt-4o for OpenAI; a server of your own that has one model alone says which.
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(models))]
    pub(crate) model: Option<String>,
    /// Read the API key from standard input
    #[arg(long)]
    pub(crate) with_key: bool,
    /// Do not open a browser
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Print the address as a QR code, even if it does not fit
    #[arg(long, hide_short_help = true)]
    pub(crate) qr: bool,
    /// Store the credential there: auto, keyring or file
    #[arg(long, value_name = "WHERE", value_parser = stores(), hide_possible_values = true)]
    pub(crate) store: Option<String>,
    /// Send the key over plain http to another machine
    ///
    /// The profile remembers that, for its endpoint.
    #[arg(long)]
    pub(crate) allow_http: bool,
    /// Store it without a test request
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// There are no operands; what is meant by one is said.
    #[arg(hide = true)]
    pub(crate) operand: Option<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

const EXAMPLES: &str = qwen_shared::examples!(
    "qwen-login",
    "qwen-login",
    "qwen-login --api-key --provider ollama --model qwen3",
    "pass show groq | qwen-login --with-key --provider groq --profile work",
    "ssh build1 qwen-login --oauth",
);

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
    let known = provider::all();
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
