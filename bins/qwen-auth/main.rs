//! qwen-auth — show, switch and remove credentials.

mod cli;
mod list;
mod logout;
mod report;
mod run;
mod status;

fn main() -> std::process::ExitCode {
    qwen_shared::tool::main(cli::command, run::run)
}
