//! qwen-login — obtain a credential and store it.

#![cfg_attr(target_env = "gnu", no_main)]

mod args;
mod base_url;
mod browser;
mod device_authorization;
mod device_login;
mod device_prompt;
mod import;
mod key_setup;
mod login;
mod pkce;
mod polling;
mod profile;
mod questions;
mod run;
mod store;
mod test_request;
mod verification_uri;

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
