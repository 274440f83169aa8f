//! What can be typed.

use clap::{Command, CommandFactory, Parser};
use qwen_shared::tool::{Common, Typed};

/// Run the qwen tools by name
#[derive(Debug, Parser)]
#[command(name = "qwen", version, disable_help_subcommand = true)]
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
