//! qwen — run the qwen tools by name.

#![cfg_attr(target_env = "gnu", no_main)]

mod args;
mod commands;
mod conversation;
mod dispatch;
mod list;
mod run;

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the name that the C library starts")]
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    dispatch::run_first_argument();
    qwen_shared::app::bare_main(args::command, run::run)
}

#[cfg(not(target_env = "gnu"))]
fn main() -> std::process::ExitCode {
    dispatch::run_first_argument();
    qwen_shared::app::main(args::command, run::run)
}
