//! A conversation on the terminal.

use qwen_shared::failure::Outcome;
use qwen_shared::out::Talk;

use crate::cli::Cli;

pub(crate) fn run(_cli: &Cli, _talk: &Talk) -> Outcome {
    Err(qwen_shared::failure::Failure::new(
        qwen_shared::exit::Exit::Bug,
        "soon",
    ))
}
