//! PowerShell: `$env:NAME = …;`, for `qwen-env | Out-String | Invoke-Expression`.

use std::fmt::Write as _;

use super::change::{Change, is_inert};

pub(super) fn script(changes: &[Change<'_>]) -> String {
    let mut script = String::new();
    for change in changes {
        match change {
            Change::Set(name, value) => {
                let _ = write!(script, "$env:{name} = ");
                word(&mut script, value);
                script.push_str(";\n");
            }
            Change::Unset(name) => {
                let _ = writeln!(script, "Remove-Item -ErrorAction SilentlyContinue Env:{name};");
            }
        }
    }
    script
}

/// Inert runs in single quotes, every other UTF-16 unit by its number: the output is ASCII whatever the console's
/// encoding, and PowerShell's five kinds of single quote never meet.
fn word(script: &mut String, value: &str) {
    script.push('\'');
    for unit in value.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if is_inert(byte) || matches!(byte, b' ' | b':') => script.push(char::from(byte)),
            _ => {
                let _ = write!(script, "'+[char]{unit}+'");
            }
        }
    }
    script.push('\'');
}
