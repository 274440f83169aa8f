//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Command, CommandFactory, Parser, ValueEnum, ValueHint};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use qwen_shared::app::{CommandLine, Common, lacks_command};
use qwen_shared::completion::Request;
use qwen_shared::net::api::TimeoutArgs;
use qwen_shared::net::completion;
use qwen_shared::net::config::Overrides;
use qwen_shared::output::Stdout;
use qwen_shared::shell::parent_shell;

use super::server;

/// What `--via` leaves to the qwen-proxy at the other end of the socket.
const OF_THE_LENDER: [&str; 17] = [
    "profile",
    "socket",
    "socket_mode",
    "allow_remote",
    "host",
    "allow_origin",
    "allow_model",
    "model",
    "max_requests",
    "max_total_tokens",
    "allow",
    "no_pace",
    "retries",
    "connect_timeout",
    "first_byte_timeout",
    "idle_timeout",
    "progress_timeout",
];

/// Lend access without lending the key
///
/// Runs COMMAND with the address of a local endpoint and a token that opens it alone, and ends with it; the key stays here.
/// COMMAND of the same user can still run qwen-token: what must never have the key needs another user or a container.
/// Without COMMAND it serves until Ctrl-C or SIGTERM, and prints the variables for those who are to use it.
#[derive(Debug, Parser)]
#[command(
    name = "qwen-proxy",
    version,
    disable_help_subcommand = true,
    after_long_help = EXAMPLES,
    override_usage = "qwen-proxy [OPTIONS] -- COMMAND [ARG]...\n       \
                      qwen-proxy [OPTIONS] [--format FORMAT]\n       \
                      qwen-proxy --via SOCKET [OPTIONS] [-- COMMAND [ARG]...]"
)]
pub(crate) struct Args {
    /// Run this command with the endpoint's address and token, and end with it
    #[arg(last = true, value_name = "COMMAND", hide_short_help = true, value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
    /// Without a command: print the variables as shell or json [default: shell]
    ///
    /// On a terminal, where nothing evaluates them, the default is NAME=VALUE.
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        hide_possible_values = true,
        hide_short_help = true,
        conflicts_with = "command"
    )]
    pub(crate) format: Option<Format>,
    /// Take the proxy variables, such as HTTPS_PROXY, out of the command's environment
    #[arg(long, hide_short_help = true)]
    pub(crate) no_proxy_env: bool,
    /// Relay to the socket of another qwen-proxy; no credential and no configuration is used
    #[arg(long, value_name = "SOCKET", hide_short_help = true, value_hint = ValueHint::FilePath, conflicts_with_all = OF_THE_LENDER)]
    pub(crate) via: Option<PathBuf>,
    /// Write a JSON line about each request to this file
    ///
    /// Never its content.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "via")]
    pub(crate) log: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) address: AddressArgs,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The address.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Address")]
pub(crate) struct AddressArgs {
    /// Listen on this address [default: 127.0.0.1:0]
    ///
    /// Port 0 is a free one.
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Listen on a Unix socket
    ///
    /// Without '--listen' on nothing else.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
    /// Who may use the socket, as an octal mode [default: 600]
    #[arg(long, value_name = "MODE", value_parser = mode, requires = "socket", hide_short_help = true)]
    pub(crate) socket_mode: Option<u32>,
    /// Let '--listen' name an address that other machines reach; token and prompts go in clear
    #[arg(long, hide_short_help = true)]
    pub(crate) allow_remote: bool,
    /// Answer to this host name too; can be repeated
    #[arg(long, value_name = "NAME", action = ArgAction::Append, hide_short_help = true)]
    pub(crate) host: Vec<String>,
    /// Let web pages of this origin ask; can be repeated
    #[arg(long, value_name = "ORIGIN", action = ArgAction::Append, hide_short_help = true)]
    pub(crate) allow_origin: Vec<String>,
}

/// What may be asked.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Rules")]
pub(crate) struct RuleArgs {
    /// Refuse every model but this; can be repeated
    #[arg(long, value_name = "NAME", action = ArgAction::Append, add = ArgValueCandidates::new(models))]
    pub(crate) allow_model: Vec<String>,
    /// Ask this model, whatever model a request names
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(models))]
    pub(crate) model: Option<String>,
    /// Answer up to COUNT requests
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_requests: Option<u64>,
    /// Use up to COUNT tokens
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_total_tokens: Option<u64>,
    /// Pass on a path that shows the whole account, such as files or batches; can be repeated
    #[arg(
        long,
        value_name = "PATH",
        action = ArgAction::Append,
        hide_short_help = true,
        conflicts_with_all = ["allow_model", "model", "max_requests", "max_total_tokens"]
    )]
    pub(crate) allow: Vec<String>,
}

/// The limits of a request.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Retry up to COUNT times when the server is busy; clients retry by themselves [default: 0]
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    pub(crate) retries: Option<u32>,
    /// Do not wait for the quota
    #[arg(long, hide_short_help = true)]
    pub(crate) no_pace: bool,
    #[command(flatten)]
    pub(crate) timeouts: TimeoutArgs,
}

const EXAMPLES: &str = qwen_shared::examples!(
    "qwen-proxy",
    "qwen-proxy -- aider",
    "qwen-proxy --profile work -- ./long-job",
    "eval \"$(qwen-proxy &)\"",
);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Statements for the shell that started this program
    Shell,
    /// One JSON object
    Json,
}

/// Reads an address to listen on. Of names there is `localhost` alone: another one may mean several addresses.
fn address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric
        .parse()
        .map_err(|_| "this is no address and port, such as 127.0.0.1:8080 or [::1]:0".to_owned())
}

/// Reads the mode of a file.
fn mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "this is no octal mode, such as 660".to_owned())
}

impl Args {
    /// Returns what the server is told.
    pub(crate) fn options(&self) -> server::Options {
        let (address, rules, limits) = (self.address.clone(), self.rules.clone(), self.limits.clone());
        server::Options {
            listen: address.listen,
            allow_remote: address.allow_remote,
            socket: address.socket,
            socket_mode: address.socket_mode.unwrap_or(0o600),
            hosts: address.host,
            origins: address.allow_origin,
            allow_models: rules.allow_model,
            model: rules.model,
            max_requests: rules.max_requests,
            max_total_tokens: rules.max_total_tokens,
            allow: rules.allow,
            log: self.log.clone(),
            retries: limits.retries.unwrap_or(0),
            timeouts: limits.timeouts,
            pace: !limits.no_pace,
        }
    }

    /// Returns what is typed in the place of settings.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            profile: self.common.profile.clone(),
            model: Overrides::model_of_flag(self.rules.model.as_ref()),
            ..Overrides::default()
        }
    }
}

impl CommandLine for Args {
    fn common(&self) -> &Common {
        &self.common
    }

    fn stdout_on_failure(typed: Option<&Self>, arguments: &[OsString]) -> &'static str {
        let is_evaluated = match typed {
            Some(args) => {
                let is_shell = match args.format {
                    Some(format) => format == Format::Shell,
                    None => !Stdout::is_terminal(),
                };
                args.command.is_empty() && is_shell && !lacks_command(arguments)
            }
            None => !arguments
                .iter()
                .any(|word| word == "--" || word == "json" || word == "--format=json"),
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

/// Returns the names of the endpoint's models.
fn models() -> Vec<CompletionCandidate> {
    completion::models(|| {
        let args: Args = Request::of_process()?.args(command())?;
        Some(Overrides {
            model: None,
            ..args.overrides()
        })
    })
}
