//! qwen-env — print the resolved `.env` chain as shell code.

mod args;
mod auth;
mod check;
mod command;
mod consent;
mod copied;
mod env_file;
mod explain;
mod hook;
mod lint;
mod notices;
mod output;
mod plan;
mod portable;
mod run;
mod trust;
mod unresolved;
mod value;

fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, run::run)
}
