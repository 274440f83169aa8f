//! qwen-batch — send many requests to a model: JSONL in, JSONL out.

mod answer_body;
mod args;
mod client;
mod completed;
#[cfg(test)]
#[path = "../../tests/fuzz/properties/batch.rs"]
mod corpus;
mod digest;
mod digest_set;
mod duration;
mod input;
mod input_format;
mod local;
mod parameters;
#[cfg(test)]
#[path = "../../tests/fuzz/played.rs"]
mod played;
mod progress;
mod rate_meter;
mod record;
mod remote;
mod replacement;
mod request;
mod response;
mod result_file;
mod results;
mod run;
mod thread;

fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, run::run)
}
