//! qwen-env — print the resolved `.env` chain as shell code.

mod args;
mod auth;
mod check;
mod command;
mod consent;
mod explain;
mod hook;
mod lint;
mod notices;
mod output;
mod plan;
mod quote;
mod run;
mod trust;

fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, run::run)
}
