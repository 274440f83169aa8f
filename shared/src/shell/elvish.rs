//! Elvish: `set-env NAME "VALUE"`, for `eval (qwen-env | slurp)`.

use std::fmt::Write as _;

use super::change::{Change, is_inert};

pub(super) fn script(changes: &[Change<'_>]) -> String {
    let mut script = String::new();
    for change in changes {
        let _ = match change {
            Change::Set(name, value) => writeln!(script, "set-env {name} {}", word(value)),
            Change::Unset(name) => writeln!(script, "unset-env {name}"),
        };
    }
    script
}

pub(super) fn word(text: &str) -> String {
    let mut word = String::from("\"");
    for c in text.chars() {
        if c.is_ascii() && !is_inert(c as u8) && !matches!(c, ' ' | ':') {
            let _ = write!(word, "\\x{:02x}", c as u8);
        } else {
            word.push(c);
        }
    }
    word.push('"');
    word
}
