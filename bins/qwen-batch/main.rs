//! qwen-batch — ask a model many questions: JSONL in, JSONL out.

mod cli;
mod run;

fn main() -> std::process::ExitCode {
    qwen_shared::tool::main(cli::command, run::run)
}
