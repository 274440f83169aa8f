//! qwen-env — print the resolved `.env` chain as shell code.

mod auth;
mod check;
mod cli;
mod command;
mod explain;
mod hook;
mod notices;
mod output;
mod plan;
mod run;
mod vouch;

fn main() -> std::process::ExitCode {
    qwen_shared::tool::main(cli::command, run::run)
}
