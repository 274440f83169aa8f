//! qwen-chat — ask a model one question and print its answer.

#![cfg_attr(target_env = "gnu", no_main)]

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

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the name that the C library starts")]
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    qwen_shared::tool::bare_main(cli::command, run::run)
}

#[cfg(not(target_env = "gnu"))]
fn main() -> std::process::ExitCode {
    qwen_shared::tool::main(cli::command, run::run)
}
