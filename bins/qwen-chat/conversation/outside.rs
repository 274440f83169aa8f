//! What a conversation leaves to others: the user's editor, and the terminal's clipboard.

use std::env;
use std::fs;
use std::io::Write;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qwen_shared::exit::{Exit, Failure, io_reason};
use qwen_shared::output::Stdout;
use qwen_shared::secret;

/// The longest text that is copied, in bytes of Base64: xterm and tmux take no more in one sequence.
const CLIPBOARD_LIMIT: usize = 74_994;

/// Has the user write a text in `VISUAL`, `EDITOR` or vi; `None` when nothing is left in it.
///
/// # Errors
/// 127 or 126 when the editor cannot be run, 1 when it fails, 74 for the file.
pub(super) fn edit(text: &str) -> Result<Option<String>, Failure> {
    let refused = |error: std::io::Error| {
        Failure::new(
            Exit::Io,
            format!("cannot edit the message: {}", io_reason(&error)),
        )
    };
    // Only the user can read it, and it goes when it is dropped.
    let mut file = tempfile::Builder::new()
        .prefix("qwen-chat-")
        .suffix(".md")
        .tempfile()
        .map_err(refused)?;
    file.write_all(text.as_bytes()).map_err(refused)?;
    let named = |name| env::var(name).ok().filter(|editor| !editor.trim().is_empty());
    let editor = named("VISUAL")
        .or_else(|| named("EDITOR"))
        .unwrap_or_else(|| "vi".to_owned());
    secret::restore_core_limit();
    // The variable may hold arguments, quoted for a shell.
    let status = Command::new("/bin/sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(file.path())
        .status();
    secret::forbid_core_dump();
    let status = status.map_err(refused)?;
    if !status.success() {
        let message = format!("the editor '{editor}' ended with {status}; nothing is sent");
        let failure = Failure::new(Exit::No, message);
        // The shell's own codes: it was not found, or cannot be executed. Otherwise the user may have wished it.
        return Err(match status.code() {
            Some(126 | 127) => failure.hint("set EDITOR"),
            _ => failure,
        });
    }
    let text = fs::read_to_string(file.path()).map_err(refused)?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// Puts a text into the clipboard of the terminal (xterm, OSC 52), over SSH too. No terminal says whether it did.
///
/// # Errors
/// 65 when it is longer than terminals take, 69 for a terminal without escape sequences, 74 when it has gone.
pub(super) fn copy(text: &str) -> Result<(), Failure> {
    // The Linux console has no clipboard, and a dumb terminal would show the sequence.
    let terminal = env::var("TERM").unwrap_or_default();
    if matches!(terminal.as_str(), "dumb" | "linux") {
        let message = format!("a terminal of the type '{terminal}' has no clipboard; nothing is copied");
        return Err(Failure::new(Exit::Unavailable, message));
    }
    let encoded = STANDARD.encode(text);
    if encoded.len() > CLIPBOARD_LIMIT {
        let message = format!("{} bytes are more than a terminal's clipboard takes", text.len());
        return Err(Failure::new(Exit::Data, message).hint("'/copy code' copies the first code block alone"));
    }
    Stdout::write(format!("\x1b]52;c;{encoded}\x07").as_bytes())
}
