//! qwen-auth — show, switch and remove credentials.

#![cfg_attr(target_env = "gnu", no_main)]

mod args;
mod logout;
mod profiles;
mod revocation;
mod run;
mod status;

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
