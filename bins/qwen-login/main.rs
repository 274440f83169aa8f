//! qwen-login — obtain a credential and store it.

#![cfg_attr(target_env = "gnu", no_main)]

mod adopt;
mod ask;
mod browser;
mod cli;
mod device;
mod endpoint;
mod key;
mod key_input;
mod qr;
mod run;
mod screen;
mod service;
mod skew;
mod target;
mod trial;

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
