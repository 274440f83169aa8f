//! qwen — run the qwen tools by name.

mod args;
mod commands;
mod conversation;
mod dispatch;
mod list;
mod mdoc;
mod run;
mod topic;

fn main() -> std::process::ExitCode {
    dispatch::run_first_argument();
    qwen_shared::app::main(args::command, run::run)
}
