//! The C shells: `setenv NAME VALUE;`, for ``eval `qwen-env` ``. One line, since a line end splits the eval's words.

use std::fmt::Write as _;

use super::{Change, is_inert};

/// tcsh knows `$'…'`. Bytes from 0x80 on stay as they are: their octal form gives other bytes.
pub(super) fn tcsh(changes: &[Change<'_>]) -> String {
    let mut script = String::new();
    for change in changes {
        match change {
            Change::Set(name, value) => {
                let _ = write!(script, "setenv {name} $'");
                for c in value.chars() {
                    if c.is_ascii() && !is_inert(c as u8) {
                        let _ = write!(script, "\\{:03o}", c as u8);
                    } else {
                        script.push(c);
                    }
                }
                script.push_str("';");
            }
            Change::Unset(name) => unset(&mut script, name),
        }
    }
    end(script)
}

/// csh has no escape of its own: `printf` in double-quoted backquotes gives the bytes.
pub(super) fn csh(changes: &[Change<'_>]) -> String {
    let mut script = String::new();
    for change in changes {
        match change {
            Change::Set(name, value) if value.bytes().all(is_inert) => {
                let _ = write!(script, "setenv {name} \"{value}\";");
            }
            Change::Set(name, value) => {
                let _ = write!(script, "setenv {name} \"`printf '");
                for byte in value.bytes() {
                    if byte.is_ascii_alphanumeric() {
                        script.push(char::from(byte));
                    } else {
                        let _ = write!(script, "\\{byte:03o}");
                    }
                }
                script.push_str("'`\";");
            }
            Change::Unset(name) => unset(&mut script, name),
        }
    }
    end(script)
}

fn unset(script: &mut String, name: &str) {
    let _ = write!(script, "unsetenv {name};");
}

fn end(mut script: String) -> String {
    if !script.is_empty() {
        script.push('\n');
    }
    script
}
