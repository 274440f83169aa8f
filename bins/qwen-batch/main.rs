//! qwen-batch — send many requests to a model: JSONL in, JSONL out.

#![cfg_attr(target_env = "gnu", no_main)]

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

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the name that the C library starts")]
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    qwen_shared::app::bare_main(args::command, run::run)
}

#[cfg(not(target_env = "gnu"))]
fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, run::run)
}
