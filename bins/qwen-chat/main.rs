//! qwen-chat — ask a model one question and print its answer.

mod args;
mod client;
mod conversation;
mod deadline;
mod dry_run;
mod extract;
mod finish;
mod markdown;
mod message;
mod models;
mod output;
mod prompt;
mod request;
mod response;
mod run;
mod session;
mod usage;

fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, run::run)
}
