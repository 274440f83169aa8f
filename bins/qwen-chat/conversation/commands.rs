//! The commands of a conversation.

/// The text of `/help`.
pub(super) const HELP: &str = "\
/auth [NAME]     switch to another profile; without NAME: choose
/model [NAME]    switch to another model by its name or a part of it; without NAME: list the models
/system [TEXT]   set the system prompt: text, @FILE, or - for none; without TEXT: show it
/file PATH       send a text file with the next message
/image PATH|URL  send an image with the next message
/retry           ask the last question again
/edit            write the next message in $EDITOR, beginning with the last question
/copy [code]     copy the last answer, or its first code block, to the clipboard
/clear           forget the conversation, in the saved session too
/save [NAME]     save the conversation; qwen-chat --session NAME continues it
/sessions        list the saved sessions; NAME continues one, '-d NAME' deletes one
/usage           show the tokens used so far
/help            this list
/quit            end the conversation, as Ctrl-D does
Ctrl-C stops an answer. A line that ends in \\ continues on the next one.";

/// The commands' names, for completion.
pub(super) const NAMES: [&str; 14] = [
    "/auth",
    "/clear",
    "/copy",
    "/edit",
    "/file",
    "/help",
    "/image",
    "/model",
    "/quit",
    "/retry",
    "/save",
    "/sessions",
    "/system",
    "/usage",
];

/// One input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Message(String),
    Auth(Option<String>),
    Model(Option<String>),
    System(Option<String>),
    Save(Option<String>),
    Sessions(Option<String>),
    File(Option<String>),
    Image(Option<String>),
    Copy(Option<String>),
    Retry,
    Edit,
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
        // A path, as a message may begin with one.
        if command
            .split(char::is_whitespace)
            .next()
            .is_some_and(|word| word.contains('/'))
        {
            return Some(Self::Message(text.to_owned()));
        }
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = Some(rest.trim().to_owned()).filter(|rest| !rest.is_empty());
        Some(match name {
            "auth" => Self::Auth(rest),
            "model" => Self::Model(rest),
            "system" => Self::System(rest),
            "save" => Self::Save(rest),
            "sessions" => Self::Sessions(rest),
            "file" => Self::File(rest),
            "image" => Self::Image(rest),
            "copy" => Self::Copy(rest),
            "retry" => Self::Retry,
            "edit" => Self::Edit,
            "clear" => Self::Clear,
            "usage" => Self::Usage,
            "help" | "?" => Self::Help,
            "quit" | "exit" => Self::Quit,
            other => Self::Unknown(other.to_owned()),
        })
    }
}
