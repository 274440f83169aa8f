//! Elvish: `set-env NAME "VALUE"`, for `eval (qwen-env | slurp)`.

use std::fmt::Write as _;

use super::{Change, is_inert};

pub(super) fn script(changes: &[Change<'_>]) -> String {
    let mut script = String::new();
    for change in changes {
        match change {
            Change::Set(name, value) => {
                let _ = write!(script, "set-env {name} \"");
                for c in value.chars() {
                    if c.is_ascii() && !is_inert(c as u8) && !matches!(c, ' ' | ':') {
                        let _ = write!(script, "\\x{:02x}", c as u8);
                    } else {
                        script.push(c);
                    }
                }
                script.push_str("\"\n");
            }
            Change::Unset(name) => {
                let _ = writeln!(script, "unset-env {name}");
            }
        }
    }
    script
}
