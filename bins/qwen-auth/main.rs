//! qwen-auth — show, switch and remove credentials.

mod args;
mod logout;
mod profiles;
mod revocation;
mod run;
mod status;

fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, run::run)
}
