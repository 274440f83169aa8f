//! Xonsh: Python statements, for `execx($(qwen-env))`.

use std::fmt::Write as _;

use super::change::{Change, is_inert};

pub(super) fn script(changes: &[Change<'_>]) -> String {
    let mut script = String::new();
    for change in changes {
        match change {
            Change::Set(name, value) => {
                let _ = write!(script, "${{'{name}'}} = '");
                for c in value.chars() {
                    if c.is_ascii() && (is_inert(c as u8) || matches!(c, ' ' | ':')) {
                        script.push(c);
                    } else {
                        let _ = write!(script, "\\U{:08x}", u32::from(c));
                    }
                }
                script.push_str("'\n");
            }
            Change::Unset(name) => {
                let _ = writeln!(script, "${{...}}.pop('{name}', None)");
            }
        }
    }
    script
}
