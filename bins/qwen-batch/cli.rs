//! What can be typed.

use clap::{Command, CommandFactory, Parser};
use qwen_shared::tool::{Common, Typed};

/// Ask a model many questions: JSONL in, JSONL out
#[derive(Debug, Parser)]
#[command(name = "qwen-batch", version, disable_help_subcommand = true)]
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
