//! The list of tools.

/// A tool of the toolkit.
#[derive(Debug)]
pub(crate) struct Tool {
    /// The name: `qwen NAME` runs `qwen-NAME`.
    pub(crate) name: &'static str,
    /// The first line of its `--help`.
    pub(crate) about: &'static str,
}

/// Every tool but the dispatcher, in the order of the help.
pub(crate) const TOOLS: [Tool; 7] = [
    tool("login", "Obtain a credential and store it"),
    tool("auth", "Show, switch, change and remove profiles and credentials"),
    tool("env", "Print the resolved .env chain as shell code"),
    tool("token", "Print a valid token, refreshing it when due"),
    tool("chat", "Ask a model one question and print its answer"),
    tool("batch", "Send many requests to a model: JSONL in, JSONL out"),
    tool("proxy", "Lend access without lending the key"),
];

const fn tool(name: &'static str, about: &'static str) -> Tool {
    Tool { name, about }
}
