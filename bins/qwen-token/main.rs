//! qwen-token — print a valid token, refreshing it when due.

mod child;
mod cli;
mod format;
mod run;

fn main() -> std::process::ExitCode {
    qwen_shared::tool::main(cli::command, run::run)
}
