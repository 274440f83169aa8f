//! The C shells: `setenv NAME VALUE;`, for ``eval `qwen-env` ``.

use std::fmt::Write as _;

use super::change::{Change, is_inert};

/// tcsh knows `$'…'`. Bytes from 0x80 on stay as they are: their octal form gives other bytes.
pub(super) fn tcsh(changes: &[Change<'_>]) -> String {
    let mut script = String::new();
    for change in at_once_last(changes) {
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
                script.push_str("';\n");
            }
            Change::Unset(name) => unset(&mut script, name),
        }
    }
    script
}

/// csh has no escape of its own: `printf` in double-quoted backquotes gives the bytes. No word of its may be longer
/// than some 4,090 characters, so a long value is put together from pieces.
pub(super) fn csh(changes: &[Change<'_>]) -> String {
    let mut script = String::new();
    for change in at_once_last(changes) {
        match change {
            Change::Set(name, value) if value.len() <= PIECE && value.bytes().all(is_inert) => {
                let _ = writeln!(script, "setenv {name} \"{value}\";");
            }
            Change::Set(name, value) => {
                for (number, piece) in value.as_bytes().chunks(PIECE).enumerate() {
                    let before = if number == 0 {
                        String::new()
                    } else {
                        format!("\"${name}\"")
                    };
                    let _ = writeln!(script, "setenv {name} {before}\"`printf '{}'`\";", octal(piece));
                }
            }
            Change::Unset(name) => unset(&mut script, name),
        }
    }
    script
}

/// Puts those changes last that count at once: without its PATH csh does not find the `printf` of a later statement,
/// and in another locale tcsh takes the bytes from 0x80 on for others.
fn at_once_last<'c, 'a>(changes: &'c [Change<'a>]) -> impl Iterator<Item = &'c Change<'a>> {
    const AT_ONCE: [&str; 4] = ["PATH", "LC_ALL", "LC_CTYPE", "LANG"];
    let at_once = |change: &&Change<'_>| AT_ONCE.contains(&change.name());
    let others = changes.iter().filter(move |change| !at_once(change));
    others.chain(changes.iter().filter(at_once))
}

/// How many bytes of a value one statement gives.
const PIECE: usize = 800;

/// The longest value that csh can hold: its words end at some 4,090 bytes.
pub(super) const LONGEST: usize = 4000;

fn octal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 4);
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "\\{byte:03o}");
        }
    }
    text
}

fn unset(script: &mut String, name: &str) {
    let _ = writeln!(script, "unsetenv {name};");
}
