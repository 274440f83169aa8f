//! What can be typed.

use clap::{Command, CommandFactory, Parser, Subcommand, ValueEnum};
use qwen_shared::app::{CommandLine, Common};

/// Show, switch and remove credentials
#[derive(Debug, Parser)]
#[command(name = "qwen-auth", version, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What to do; `status` when nothing is said.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Show what is in use, and who says so
    Status(PrintArgs),
    /// List the profiles; a star marks the one in use
    List(PrintArgs),
    /// Make a profile the one in use, at once and everywhere
    Use {
        /// The profile
        name: String,
    },
    /// Revoke and remove the credential of a profile, by default of the one in use
    Logout {
        /// The profile
        name: Option<String>,
        /// Remove the credentials of all profiles
        #[arg(long, conflicts_with_all = ["name", "profile"])]
        all: bool,
    },
}

/// How to print it.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct PrintArgs {
    /// How to print it: text or json
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) format: Format,
}

/// The form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
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
