//! qwen-login — obtain a credential and store it.

mod approval;
mod args;
mod base_url;
mod browser;
#[cfg(test)]
#[path = "../../tests/fuzz/properties/login.rs"]
mod corpus;
mod device_authorization;
mod device_login;
mod device_prompt;
mod drawn;
mod frame;
mod import;
mod key;
mod key_setup;
mod login;
mod model;
mod pkce;
#[cfg(test)]
#[path = "../../tests/fuzz/played.rs"]
mod played;
mod polling;
mod profile;
mod questions;
mod run;
mod scope;
mod store;
mod test_request;
mod typed_line;
mod verification_uri;

fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, run::run)
}
