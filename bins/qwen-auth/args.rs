//! The command line.

use clap::{Command, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use qwen_shared::app::{CommandLine, Common};
use qwen_shared::completion::profiles;

/// Show, switch and remove credentials
#[derive(Debug, Parser)]
#[command(name = "qwen-auth", version, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The subcommands; `status` is the default.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Show the settings in use and where they come from
    Status(PrintArgs),
    /// List the profiles; a star marks the one in use
    List(PrintArgs),
    /// Make a profile the default
    Use {
        /// The profile
        #[arg(add = ArgValueCandidates::new(profiles))]
        name: String,
    },
    /// Revoke and remove the credential of a profile [default: the one in use]
    Logout {
        /// The profile
        #[arg(add = ArgValueCandidates::new(profiles))]
        name: Option<String>,
        /// Remove the credentials of all profiles
        #[arg(long, conflicts_with_all = ["name", "profile"])]
        all: bool,
    },
}

#[derive(Debug, Default, clap::Args)]
pub(crate) struct PrintArgs {
    /// Output format: text or json
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
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
