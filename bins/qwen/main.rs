//! qwen — run the qwen tools by name.

mod cli;
mod run;

fn main() -> std::process::ExitCode {
    qwen_shared::tool::main(cli::command, run::run)
}
