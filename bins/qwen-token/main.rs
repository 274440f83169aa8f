//! qwen-token — print a valid token, refreshing it when due.

mod args;
mod carriers;
mod command;
mod exports;
mod format;
mod record;
mod run;

fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, run::run)
}
