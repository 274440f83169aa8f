//! qwen-token — print a valid token, refreshing it when due.

mod args;
mod command;
mod format;
mod run;

fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, run::run)
}
