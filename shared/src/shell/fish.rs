//! fish: `set -gx NAME VALUE;`, for `qwen-env | source` and `eval (qwen-env)`.

use std::fmt::Write as _;

use super::change::{Change, is_inert};

pub(super) fn script(changes: &[Change<'_>]) -> String {
    let mut script = String::new();
    for change in changes {
        match change {
            Change::Set(name, value) => {
                let _ = write!(script, "set -gx {name} {}", word(value));
            }
            Change::Unset(name) => {
                let _ = write!(script, "set -e {name}");
            }
        }
        script.push_str(";\n");
    }
    script
}

/// `\XHH` is a byte: fish joins bytes to characters itself, in any locale.
pub(super) fn word(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    let mut word = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_inert(byte) || byte == b':' {
            word.push(char::from(byte));
        } else {
            let _ = write!(word, "\\X{byte:02x}");
        }
    }
    word
}
