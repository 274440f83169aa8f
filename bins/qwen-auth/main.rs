//! qwen-auth — show, switch and remove credentials.

mod cli;
mod run;

fn main() -> std::process::ExitCode {
    qwen_shared::tool::main(cli::command, run::run)
}
