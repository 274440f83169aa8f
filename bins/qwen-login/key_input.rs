//! Reading an API key, unseen.

use std::io::{IsTerminal, Read};

use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, io_reason};
use qwen_shared::out::Terminal;
use qwen_shared::secret::Secret;

use crate::run::Login;

/// The longest key that is read, in bytes.
const LONGEST_KEY: u64 = 64 << 10;

/// Reads the key: from standard input when that was asked for, else from the terminal, unseen. There may be none where
/// none is needed.
pub(crate) fn key_for(login: &mut Login<'_>, needs_key: bool) -> Result<Option<Secret<String>>, Failure> {
    if login.cli.with_key && !(std::io::stdin().is_terminal() && login.terminal.is_some()) {
        return from_stdin().map(Some);
    }
    match login.terminal.as_mut() {
        Some(terminal) => from_terminal(terminal, needs_key),
        None if !needs_key => Ok(None),
        None => Err(
            Failure::new(Exit::Usage, "there is no key, and no terminal to ask for it")
                .hint("give the key on standard input: 'qwen-login --with-key'"),
        ),
    }
}

fn from_stdin() -> Result<Secret<String>, Failure> {
    let mut text = zeroize::Zeroizing::new(String::new());
    std::io::stdin()
        .take(LONGEST_KEY + 1)
        .read_to_string(&mut text)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                Failure::new(Exit::Data, "standard input: the key is not text")
            }
            _ => Failure::new(
                Exit::Io,
                format!("standard input: cannot read: {}", io_reason(&error)),
            ),
        })?;
    let key = text.trim();
    if text.len() as u64 > LONGEST_KEY {
        return Err(Failure::new(
            Exit::Data,
            "standard input: this is too long to be a key",
        ));
    }
    check(key).map_err(|reason| Failure::new(Exit::Data, format!("standard input: {reason}")))?;
    Ok(Secret::new(key.to_owned()))
}

/// Asks until there is a key, and shows what was understood of it without showing it.
pub(crate) fn from_terminal(
    terminal: &mut Terminal,
    needs_key: bool,
) -> Result<Option<Secret<String>>, Failure> {
    let question = if needs_key {
        "API key (it is not shown): "
    } else {
        "API key (it is not shown; empty for none): "
    };
    loop {
        let key = terminal.ask_hidden(question)?;
        if key.expose().is_empty() && !needs_key {
            return Ok(None);
        }
        match check(key.expose()) {
            Ok(()) => {
                let length = key.expose().len();
                terminal.print(&format!("key: {}, {length} characters\n", key.masked()))?;
                return Ok(Some(key));
            }
            Err(reason) => terminal.print(&format!("{reason}\n"))?,
        }
    }
}

/// Refuses what no header can carry. The reason does not repeat the key.
fn check(key: &str) -> Result<(), &'static str> {
    if key.is_empty() {
        return Err("the key is empty");
    }
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err("a key is one word of ASCII letters, digits and signs")
}
