//! qwen-auth — show, switch, change and remove profiles and credentials.

mod args;
mod assignment;
mod check;
mod complete;
mod edit;
mod edit_copy;
mod guard;
mod logout;
mod profiles;
mod removal;
mod revocation;
mod run;
mod set;
mod show;
mod status;
mod stored;

fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, run::run)
}
