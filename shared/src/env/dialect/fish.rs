//! fish: `set -gx NAME VALUE;`, for `qwen-env | source` and `eval (qwen-env)`.

use std::fmt::Write as _;

use super::{Change, is_inert};

pub(super) fn script(changes: &[Change<'_>]) -> String {
    let mut script = String::new();
    for change in changes {
        match change {
            Change::Set(name, value) => {
                let _ = write!(script, "set -gx {name} ");
                word(&mut script, value);
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
fn word(script: &mut String, value: &str) {
    if value.is_empty() {
        script.push_str("''");
    }
    for byte in value.bytes() {
        if is_inert(byte) || byte == b':' {
            script.push(char::from(byte));
        } else {
            let _ = write!(script, "\\X{byte:02x}");
        }
    }
}
