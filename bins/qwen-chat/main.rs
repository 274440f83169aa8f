//! qwen-chat — ask a model one question and print its answer.

mod cli;
mod run;

fn main() -> std::process::ExitCode {
    qwen_shared::tool::main(cli::command, run::run)
}
