//! What can be typed.

use clap::{Command, CommandFactory, Parser};
use qwen_shared::tool::{Common, Typed};

/// Print the resolved .env chain as shell code
#[derive(Debug, Parser)]
#[command(name = "qwen-env", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Typed for Cli {
    fn common(&self) -> &Common {
        &self.common
    }
}

/// Returns the command line's grammar.
pub(crate) fn command() -> Command {
    Cli::command()
}
