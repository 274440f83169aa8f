//! qwen-proxy — lend access without lending the key.

mod args;
mod child;
mod environment;
mod job;
mod notify;
#[cfg(test)]
#[path = "../../tests/fuzz/played.rs"]
mod played;
mod relay;
mod run;
mod serve;
mod server;

fn main() -> std::process::ExitCode {
    // Before anything else: the environment may hold the key, and whoever may debug this process can read it.
    qwen_shared::secret::forbid_core_dump();
    qwen_shared::app::main(args::command, run::run)
}
