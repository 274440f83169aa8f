//! The command line.

use std::ffi::OsString;

use clap::{Command, CommandFactory, Parser, ValueEnum, ValueHint};
use qwen_shared::app::{CommandLine, Common, lacks_command};
use qwen_shared::net::http::BaseUrl;
use qwen_shared::shell::parent_shell;
use url::Url;

/// Print a valid token, refreshing it when due
#[derive(Debug, Parser)]
#[command(name = "qwen-token", version, disable_help_subcommand = true)]
pub(crate) struct Args {
    /// Refresh a token that expires in less than this
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) min_ttl: u64,
    /// Refresh the token now
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Do not refresh; use no network
    #[arg(long, conflicts_with = "refresh")]
    pub(crate) no_refresh: bool,
    /// Print nothing; exit 0 if the token is valid and 1 if not; use no network
    #[arg(long, conflicts_with_all = ["refresh", "format", "command"])]
    pub(crate) check: bool,
    /// Print it only if it may go to this URL
    #[arg(long = "for", value_name = "URL", value_parser = url)]
    pub(crate) destination: Option<Url>,
    /// Output format: raw, json, header, env or curl
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "raw",
        hide_possible_values = true
    )]
    pub(crate) format: Format,
    /// Run this command with OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL in its environment
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "format", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The token and a newline
    Raw,
    /// One JSON object with the token, its times, and where it is for
    Json,
    /// A header line, for 'curl -H @-'
    Header,
    /// Shell statements that export OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL
    Env,
    /// Configuration lines, for 'curl -K -'; with '--for' the URL is among them
    Curl,
}

/// Reads a URL that requests are sent to.
fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|_| "this is not a URL".to_owned())?;
    BaseUrl::try_from(url.clone()).map_err(|error| error.to_string())?;
    Ok(url)
}

impl CommandLine for Args {
    fn common(&self) -> &Common {
        &self.common
    }

    fn stdout_on_failure(typed: Option<&Self>, arguments: &[OsString]) -> &'static str {
        let is_evaluated = match typed {
            Some(args) => {
                let prints = args.command.is_empty() && !args.check && !lacks_command(arguments);
                prints && args.format == Format::Env
            }
            None => arguments
                .iter()
                .any(|word| word == "--format=env" || word == "env"),
        };
        if is_evaluated {
            parent_shell().failing_statement()
        } else {
            ""
        }
    }
}

/// Returns the command line's grammar.
pub(crate) fn command() -> Command {
    Args::command()
}
