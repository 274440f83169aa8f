//! qwen — run the qwen tools by name.

#![cfg_attr(target_env = "gnu", no_main)]

mod cli;
mod commands;
mod dispatch;
mod list;
mod nearest;
mod run;
mod start;

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the name that the C library starts")]
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    dispatch::first_word();
    qwen_shared::tool::bare_main(cli::command, run::run)
}

#[cfg(not(target_env = "gnu"))]
fn main() -> std::process::ExitCode {
    dispatch::first_word();
    qwen_shared::tool::main(cli::command, run::run)
}
