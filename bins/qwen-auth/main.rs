//! qwen-auth — show, switch and remove credentials.

#![cfg_attr(target_env = "gnu", no_main)]

mod cli;
mod list;
mod logout;
mod report;
mod run;
mod status;

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
