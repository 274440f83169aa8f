//! qwen-login — obtain a credential and store it.

#![cfg_attr(target_env = "gnu", no_main)]

mod args;
mod ask;
mod authorization;
mod browser;
mod device_login;
mod endpoint;
mod import;
mod key_setup;
mod login;
mod polling;
mod profile;
mod screen;
mod trial;
mod verification;

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the name that the C library starts")]
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    qwen_shared::app::bare_main(args::command, login::run)
}

#[cfg(not(target_env = "gnu"))]
fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, login::run)
}
