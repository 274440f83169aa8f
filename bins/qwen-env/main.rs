//! qwen-env — print the resolved `.env` chain as shell code.

#![cfg_attr(target_env = "gnu", no_main)]

mod args;
mod auth;
mod check;
mod command;
mod explain;
mod hook;
mod lint;
mod output;
mod plan;
mod run;
mod trust;

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
