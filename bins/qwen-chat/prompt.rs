//! From what was typed, piped and named to the messages of a request.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use qwen_shared::chat::{Message, Role};
use qwen_shared::exit::Exit;
use qwen_shared::failure::Failure;
use qwen_shared::out::Talk;

use crate::cli::Cli;
use crate::{input, stdin};

/// Returns the words of the prompt, joined by blanks; empty when there are none.
///
/// # Errors
/// 65 for words that are not UTF-8.
pub(crate) fn typed(cli: &Cli) -> Result<String, Failure> {
    let words = cli.input.prompt.iter().chain(&cli.words);
    let words: Vec<String> = words
        .map(|word| input::word(word, "the prompt"))
        .collect::<Result<_, _>>()?;
    Ok(words.join(" "))
}

/// Returns the system prompt, from its text or its file.
///
/// # Errors
/// 66 for a file that cannot be read; 65 for what is not text.
pub(crate) fn system(value: &OsStr) -> Result<String, Failure> {
    match value.as_bytes().strip_prefix(b"@") {
        Some(path) => input::text_file(Path::new(OsStr::from_bytes(path))),
        None => input::word(value, "the system prompt"),
    }
}

/// Puts the person's message together: prompt, what is piped in, files, images.
///
/// # Errors
/// 65 when there is nothing to ask, and for input that is not text; 66, 74 and 75 as the parts have it. Nothing has
/// been sent by then.
pub(crate) fn message(cli: &Cli, talk: &Talk) -> Result<Message, Failure> {
    let prompt = typed(cli)?;
    let files = cli
        .input
        .file
        .iter()
        .map(|path| Ok((path.as_path(), input::text_file(path)?)));
    let files: Vec<(&Path, String)> = files.collect::<Result<_, Failure>>()?;
    let images = cli.input.image.iter().map(|image| input::image_url(image));
    let images: Vec<String> = images.collect::<Result<_, _>>()?;
    let has_prompt = !prompt.trim().is_empty() || !files.is_empty() || !images.is_empty();
    let piped = if stdin::is_wanted(&cli.input) {
        stdin::read(&cli.input, has_prompt, talk)?
    } else {
        String::new()
    };
    if !has_prompt && piped.trim().is_empty() {
        return Err(Failure::new(
            Exit::Data,
            "nothing to ask: no prompt, and nothing on standard input",
        )
        .hint("run 'qwen-chat WORDS…', or pipe text in"));
    }
    Ok(Message::with_images(joined(prompt, piped, &files), images))
}

/// Joins the parts with a blank line between each. What is piped in stays as it is, to the byte.
fn joined(prompt: String, piped: String, files: &[(&Path, String)]) -> String {
    let mut text = prompt;
    if text.is_empty() {
        text = piped;
    } else if !piped.is_empty() {
        text.push_str("\n\n");
        text.push_str(&piped);
    }
    for (path, content) in files {
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        add_file(&mut text, path, content);
    }
    text
}

/// Adds a file in a fence that its content cannot close.
fn add_file(text: &mut String, path: &Path, content: &str) {
    let longest = content.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    text.push_str(&path.to_string_lossy());
    text.push_str(":\n");
    text.push_str(&fence);
    text.push('\n');
    text.push_str(content);
    if !content.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&fence);
}

/// Puts the system prompt, if any, before the conversation.
pub(crate) fn with_system(system: Option<String>, mut messages: Vec<Message>) -> Vec<Message> {
    if let Some(system) = system.filter(|system| !system.trim().is_empty()) {
        messages.retain(|message| message.role != Role::System);
        messages.insert(0, Message::text(Role::System, system));
    }
    messages
}
