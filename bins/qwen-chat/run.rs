//! The tool itself.

use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, Outcome};
use qwen_shared::out::Talk;

use crate::cli::Cli;

/// Runs the tool.
pub(crate) fn run(_cli: Cli, _talk: &Talk) -> Outcome {
    Err(Failure::new(Exit::Usage, "nothing to do").hint("run 'qwen-chat --help'"))
}
