//! qwen-chat — ask a model one question and print its answer.

mod asker;
mod bounds;
mod cli;
mod conclude;
mod conversation;
mod exchange;
mod input;
mod models;
mod output;
mod prompt;
mod question;
mod run;
mod schema;
mod session;
mod show;
mod stdin;
mod stream;

fn main() -> std::process::ExitCode {
    qwen_shared::tool::main(cli::command, run::run)
}
