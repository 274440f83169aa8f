//! qwen-chat — ask a model one question and print its answer.

mod args;
mod call;
mod client;
mod conversation;
#[cfg(test)]
#[path = "../../tests/fuzz/properties/session.rs"]
mod corpus;
mod dry_run;
mod extract;
mod finish;
mod interrupt;
mod login;
mod markdown;
mod message;
mod models;
mod output;
#[cfg(test)]
#[path = "../../tests/fuzz/played.rs"]
mod played;
mod prompt;
mod request;
mod run;
mod schema;
mod session;
mod session_document;
mod status_line;
mod theme;
mod usage;

fn main() -> std::process::ExitCode {
    qwen_shared::app::main(args::command, run::run)
}
