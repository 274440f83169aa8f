//! The commands of a conversation.

/// The text of `/help`.
pub(super) const HELP: &str = "\
/auth [NAME]    switch to another profile; without NAME: choose
/model [NAME]   switch to another model; without NAME: list the models
/system [TEXT]  set the system prompt: text, @FILE, or - for none; without TEXT: show it
/clear          forget the conversation
/save [NAME]    save the conversation; 'qwen-chat --session NAME' continues it
/usage          show the tokens used so far
/help           this list
/quit           end the conversation, as Ctrl-D does
Ctrl-C stops an answer. A line that ends in \\ continues on the next one.";

/// The commands' names, for completion.
pub(super) const NAMES: [&str; 8] = [
    "/auth", "/clear", "/help", "/model", "/quit", "/save", "/system", "/usage",
];

/// One input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Message(String),
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
    /// Parses an input; `None` when it is blank.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let Some(command) = text.strip_prefix('/') else {
            return Some(Self::Message(text.to_owned()));
        };
        if command.starts_with('/') {
            return Some(Self::Message(command.to_owned()));
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
