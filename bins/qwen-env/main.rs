//! qwen-env — print the resolved `.env` chain as shell code.

mod cli;
mod command;
mod notices;
mod output;
mod plan;
mod run;

fn main() -> std::process::ExitCode {
    qwen_shared::tool::main(cli::command, run::run)
}
