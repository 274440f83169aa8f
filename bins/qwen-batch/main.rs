//! qwen-batch — send many requests to a model: JSONL in, JSONL out.

mod args;
mod client;
mod input;
mod local;
mod progress;
mod record;
mod remote;
mod request;
mod response;
mod results;
mod run;

fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, run::run)
}
