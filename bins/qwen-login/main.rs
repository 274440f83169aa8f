//! qwen-login — obtain a credential and store it.

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

fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, run::run)
}
