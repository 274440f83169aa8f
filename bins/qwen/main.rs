//! qwen — run the qwen tools by name.

mod cli;
mod commands;
mod dispatch;
mod list;
mod nearest;
mod run;
mod start;

fn main() -> std::process::ExitCode {
    dispatch::first_word();
    qwen_shared::tool::main(cli::command, run::run)
}
