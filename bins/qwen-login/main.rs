//! qwen-login — obtain a credential and store it.

mod cli;
mod run;

fn main() -> std::process::ExitCode {
    qwen_shared::tool::main(cli::command, run::run)
}
