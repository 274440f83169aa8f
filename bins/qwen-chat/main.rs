//! qwen-chat — ask a model one question and print its answer.

#![cfg_attr(target_env = "gnu", no_main)]

mod args;
mod client;
mod conversation;
mod deadline;
mod dry_run;
mod extract;
mod finish;
mod markdown;
mod models;
mod output;
mod prompt;
mod request;
mod response;
mod run;
mod session;
mod settings;

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
