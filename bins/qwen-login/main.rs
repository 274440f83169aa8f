//! qwen-login — obtain a credential and store it.

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

fn main() -> std::process::ExitCode {
    qwen_shared::tool::main(cli::command, run::run)
}
