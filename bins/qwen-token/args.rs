//! The command line.

use std::ffi::OsString;
use std::ops::Deref;

use clap::{Command, CommandFactory, Parser, ValueEnum, ValueHint};
use qwen_shared::address::{NotPlain, parse_plain};
use qwen_shared::app::{CommandLine, Common, lacks_command};
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::http::BaseUrl;
use qwen_shared::shell::parent_shell;
use url::Url;

/// Print a valid token, refreshing it when due
///
/// The token is the profile's key, or the access token of its login. With a COMMAND it is in the environment of that
/// command alone, with endpoint and model. However many processes ask at once, one of them refreshes.
#[derive(Debug, Parser)]
#[command(name = "qwen-token", version, disable_help_subcommand = true, after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Refresh a token that expires sooner
    ///
    /// In less than so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) min_ttl: u64,
    /// Refresh the token now
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Do not refresh; use no network
    #[arg(long, conflicts_with = "refresh")]
    pub(crate) no_refresh: bool,
    /// Print nothing; exit 0 if the token is valid, else 1
    ///
    /// No network is used.
    #[arg(long, conflicts_with_all = ["refresh", "format", "command"])]
    pub(crate) check: bool,
    /// Print it only if it may go to this URL
    #[arg(long = "for", value_name = "URL", value_parser = destination)]
    pub(crate) destination: Option<Destination>,
    /// Print raw, json, header, env or curl
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "raw",
        hide_possible_values = true
    )]
    pub(crate) format: Format,
    /// Run this command with the token in its environment
    ///
    /// With endpoint and model too, as OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL and what else clients read.
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "format", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) common: Common,
}

const EXAMPLES: &str = qwen_shared::examples!(
    "qwen-token",
    "qwen-token -- python summarise.py",
    "qwen-token --for https://api.openai.com/v1/models --format curl | curl -K -",
    "qwen-token --check && make docs",
);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The token and a newline
    Raw,
    /// One JSON object with the token, its times, and where it is for
    Json,
    /// Header lines, for 'curl -H @-'
    Header,
    /// Shell statements that export what a command would get
    Env,
    /// Configuration lines, for 'curl -K -'; with '--for' the URL is among them
    Curl,
}

/// A URL that requests are sent to, by whoever asks for the token.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    url: Url,
    /// Every program reads it alike.
    is_plain: bool,
}

impl Deref for Destination {
    type Target = Url;

    fn deref(&self) -> &Url {
        &self.url
    }
}

impl Destination {
    /// # Errors
    /// 78 for a URL in which the program that sends the token could read another server than this one does.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.is_plain {
            return Ok(());
        }
        let mut asked = self.url.clone();
        asked.set_query(None);
        let message = format!("the URL that was read as '{asked}' gets no token: {NotPlain}");
        Err(Failure::new(Exit::Config, message))
    }
}

/// Reads a URL that requests are sent to.
fn destination(text: &str) -> Result<Destination, String> {
    let url = Url::parse(text.trim()).map_err(|_| "this is not a URL".to_owned())?;
    BaseUrl::try_from(url.clone()).map_err(|error| error.to_string())?;
    let is_plain = parse_plain(text).is_ok();
    Ok(Destination { url, is_plain })
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
