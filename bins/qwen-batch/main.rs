//! qwen-batch — ask a model many questions: JSONL in, JSONL out.

mod cli;
mod door;
mod line;
mod local;
mod record;
mod remote;
mod results;
mod run;
mod seen;
mod shape;
mod source;

fn main() -> std::process::ExitCode {
    qwen_shared::tool::main(cli::command, run::run)
}
