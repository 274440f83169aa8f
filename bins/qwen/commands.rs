//! The one list of tools.

/// A tool of the toolkit.
#[derive(Debug)]
pub(crate) struct Tool {
    /// What follows `qwen` and, after a dash, what the program's file is called.
    pub(crate) name: &'static str,
    /// What it does, as the first line of its `--help` says it.
    pub(crate) about: &'static str,
}

/// Every tool but the dispatcher, in the order in which a newcomer meets them.
pub(crate) const TOOLS: [Tool; 6] = [
    tool("login", "Obtain a credential and store it"),
    tool("auth", "Show, switch and remove credentials"),
    tool("env", "Print the resolved .env chain as shell code"),
    tool("token", "Print a valid token, refreshing it when due"),
    tool("chat", "Ask a model one question and print its answer"),
    tool("batch", "Ask a model many questions: JSONL in, JSONL out"),
];

const fn tool(name: &'static str, about: &'static str) -> Tool {
    Tool { name, about }
}
