//! qwen-env — print the resolved `.env` chain as shell code.

#![cfg_attr(target_env = "gnu", no_main)]

mod auth;
mod check;
mod cli;
mod command;
mod explain;
mod hook;
mod notices;
mod output;
mod plan;
mod run;
mod vouch;

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
