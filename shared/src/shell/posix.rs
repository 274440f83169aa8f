//! The POSIX shells: `\export NAME=VALUE;`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::change::{Change, is_inert};
use super::names::Shell;

/// Statements for shells that know `$'…'`.
///
/// Bare when nothing in the value means anything; in single quotes when it is printable, without two blanks side by
/// side and without pattern characters; else in `$'…'` with three octal digits for every other byte: `\x` would eat
/// the digits after it in ksh93 and mksh.
pub(super) fn ansi(shell: Shell, changes: &[Change<'_>]) -> String {
    let mut script = String::new();
    for change in changes {
        begin(shell, &mut script, change);
        if let Change::Set(_, value) = change {
            ansi_word(&mut script, value);
        }
        script.push_str(";\n");
    }
    unless_split(&script, |escapes| format!("$'{escapes}'"))
}

/// What the statements cannot do without, in quotes or outside.
const NEEDED: &str = "/-_.@+%=!\"$&;`abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Puts statements behind a test of what an eval without quotes makes of them. Where `IFS` has a character that they cannot do
/// without, a blank stands in its place, in quotes too: then nothing is set, and `test` says so in the words of its operands.
///
/// `escaped` writes a text by octal escapes alone.
fn unless_split(script: &str, escaped: impl Fn(&str) -> String) -> String {
    if script.is_empty() {
        return String::new();
    }
    const REFUSAL: &str = "\\test qwen-env: 'IFS splits the statements: put the substitution in double quotes' \
                           qwen-env;";
    let escapes: String = NEEDED.bytes().map(|byte| format!("\\{byte:03o}")).collect();
    let escaped = escaped(&escapes);
    // Without an 'l' there is no 'else'; without another letter of these words they are no statement.
    format!(
        "if \\test 'l' = ' '; then {REFUSAL} fi;\n\
         if \\test '{NEEDED}' = {escaped}; then\n{script}else {REFUSAL} fi;\n"
    )
}

/// Writes `\export NAME=` or `\unset NAME`: the backslash keeps an alias of that name out.
///
/// Where a read-only variable would end the whole script, `command` in front takes that power from the special
/// builtin (POSIX.1-2017, XCU, `command`); in the other shells it would change what the words mean.
fn begin(shell: Shell, script: &mut String, change: &Change<'_>) {
    script.push('\\');
    if matches!(shell, Shell::Dash | Shell::Ksh | Shell::Mksh | Shell::Busybox) {
        script.push_str("command ");
    }
    let _ = match change {
        Change::Set(name, _) => write!(script, "export {name}="),
        Change::Unset(name) => write!(script, "unset {name}"),
    };
}

pub(super) fn word(text: &str) -> String {
    let mut word = String::new();
    ansi_word(&mut word, text);
    word
}

fn ansi_word(script: &mut String, value: &str) {
    if !value.is_empty() && value.bytes().all(is_inert) {
        script.push_str(value);
    } else if value.bytes().all(is_quotable) && !value.contains("  ") {
        let _ = write!(script, "'{value}'");
    } else {
        script.push_str("$'");
        for byte in value.bytes() {
            if is_inert(byte) {
                script.push(char::from(byte));
            } else {
                let _ = write!(script, "\\{byte:03o}");
            }
        }
        script.push('\'');
    }
}

/// True for a byte that stays itself in single quotes even when the quotes are part of a pattern: printable, but no
/// quote, no backslash, no character of a pattern or a brace expansion in any shell, and neither `:` nor `,`, which an
/// `IFS` may hold.
const fn is_quotable(byte: u8) -> bool {
    is_inert(byte) || matches!(byte, b' ' | b'!' | b'"' | b'$' | b'&' | b';' | b'=' | b'`')
}

/// Statements for shells that know nothing but POSIX.
///
/// What is not safe in single quotes comes from helper variables, one for each character, defined once with `printf`
/// and unset at the end.
pub(super) fn plain<'a>(
    shell: Shell,
    changes: &[Change<'a>],
    taken: impl Iterator<Item = &'a str>,
) -> String {
    let values = changes.iter().filter_map(|change| match change {
        Change::Set(_, value) => Some(value),
        Change::Unset(_) => None,
    });
    let helped: BTreeSet<u8> = values
        .flat_map(|value| value.bytes().filter(|&byte| needs_help(byte)))
        .collect();
    let prefix = helper_prefix(changes.iter().map(Change::name).chain(taken));
    let mut script = String::new();
    for byte in &helped {
        let _ = writeln!(
            script,
            "{prefix}{byte}=$(printf '\\{byte:03o}.');{prefix}{byte}=${{{prefix}{byte}%.}};"
        );
    }
    for change in changes {
        begin(shell, &mut script, change);
        if let Change::Set(_, value) = change {
            plain_word(&mut script, value, &prefix);
        }
        script.push_str(";\n");
    }
    if !helped.is_empty() {
        script.push_str("\\unset");
        for byte in &helped {
            let _ = write!(script, " {prefix}{byte}");
        }
        script.push_str(";\n");
    }
    unless_split(&script, |escapes| format!("\"$(printf '{escapes}')\""))
}

/// True for a byte that single quotes do not protect from word splitting, patterns, brace expansion or the terminal.
const fn needs_help(byte: u8) -> bool {
    byte.is_ascii_control()
        || matches!(
            byte,
            b'*' | b'?'
                | b'['
                | b']'
                | b'{'
                | b'}'
                | b'('
                | b')'
                | b'|'
                | b'<'
                | b'>'
                | b'^'
                | b'#'
                | b'~'
                | b'\\'
                | b':'
                | b','
        )
}

/// The beginning of the helpers' names: no name in use begins with it.
fn helper_prefix<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut prefix = "_qwen_env_".to_owned();
    for name in names {
        while name.starts_with(&prefix) {
            prefix.push('_');
        }
    }
    prefix
}

fn plain_word(script: &mut String, value: &str, prefix: &str) {
    if !value.is_empty() && value.bytes().all(is_inert) {
        script.push_str(value);
        return;
    }
    script.push('\'');
    let mut blank = false;
    for c in value.chars() {
        match c {
            '\'' => script.push_str("'\"'\"'"),
            ' ' if blank => script.push_str("'\"\"' "),
            c if c.is_ascii() && needs_help(c as u8) => {
                let _ = write!(script, "'\"${prefix}{}\"'", c as u8);
            }
            c => script.push(c),
        }
        blank = c == ' ';
    }
    script.push('\'');
}

#[cfg(test)]
mod tests {
    use crate::shell::Change;
    use crate::shell::Shell;

    #[test]
    fn a_word_is_as_plain_as_it_can_be() {
        for (value, ansi, plain) in [
            ("qwen3-coder", "qwen3-coder", "qwen3-coder"),
            ("", "''", "''"),
            ("two words", "'two words'", "'two words'"),
            ("a  b", "$'a\\040\\040b'", "'a '\"\"' b'"),
            ("it's", "$'it\\047s'", "'it'\"'\"'s'"),
            ("$x;`y`", "'$x;`y`'", "'$x;`y`'"),
            ("*", "$'\\052'", "''\"$_qwen_env_42\"''"),
        ] {
            let changes = [Change::Set("K", value)];
            let bash = Shell::Bash.script(&changes, std::iter::empty());
            assert!(bash.contains(&format!("\\export K={ansi};\n")), "{bash}");
            let sh = Shell::Sh.script(&changes, std::iter::empty());
            assert!(sh.contains(&format!("\\export K={plain};\n")), "{sh}");
        }
    }

    #[test]
    fn helpers_keep_clear_of_every_name_in_use() {
        let changes = [Change::Set("_qwen_env_42", "*")];
        let script = Shell::Sh.script(&changes, ["_qwen_env__9"].into_iter());
        let helper = "\n_qwen_env___42=$(printf '\\052.');";
        assert!(script.contains(helper), "{script}");
    }
}
