//! What can be typed at the prompt.

/// The text of `/help`.
pub(super) const HELP: &str = "\
/auth [NAME]    switch to another profile, here and now; without NAME: choose
/model [NAME]   switch to another model; without NAME: what the endpoint offers
/system [TEXT]  set the system prompt: text, @FILE, or - for none; without: show it
/clear          forget what was said
/save [NAME]    keep the conversation; 'qwen-chat --session NAME' goes on with it
/usage          what the conversation cost
/help           this list
/quit           end; Ctrl-D does too
Ctrl-C stops an answer. A line that ends in \\ goes on in the next one.";

/// The commands' names, for completion.
pub(super) const NAMES: [&str; 8] = [
    "/auth", "/clear", "/help", "/model", "/quit", "/save", "/system", "/usage",
];

/// One input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Say(String),
    Auth(Option<String>),
    Model(Option<String>),
    System(Option<String>),
    Save(Option<String>),
    Clear,
    Usage,
    Help,
    Quit,
    Unknown(String),
}

impl Command {
    /// Reads an input; `None` when it is blank.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let Some(command) = text.strip_prefix('/') else {
            return Some(Self::Say(text.to_owned()));
        };
        if command.starts_with('/') {
            return Some(Self::Say(command.to_owned()));
        }
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = Some(rest.trim().to_owned()).filter(|rest| !rest.is_empty());
        Some(match name {
            "auth" => Self::Auth(rest),
            "model" => Self::Model(rest),
            "system" => Self::System(rest),
            "save" => Self::Save(rest),
            "clear" => Self::Clear,
            "usage" => Self::Usage,
            "help" | "?" => Self::Help,
            "quit" | "exit" => Self::Quit,
            other => Self::Unknown(other.to_owned()),
        })
    }
}
