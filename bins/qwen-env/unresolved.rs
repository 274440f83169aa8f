//! Values that stand for another one: references that nothing here resolves, and placeholders.

use std::fmt;

use qwen_shared::copied::begun_reference;

/// What stands in the place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unresolved {
    /// `$NAME` or `${NAME}`.
    Variable,
    /// `$(COMMAND)`, or in backquotes.
    Command,
    /// `%NAME%`, of Windows.
    WindowsVariable,
    /// A reference into a store of secrets: how it begins, and who resolves it.
    Secret(&'static str, &'static str),
    /// What an example has in the place of a key.
    Placeholder,
}

impl Unresolved {
    /// Returns what stands for another value in this one. `is_quoted`: it stands in single quotes, where `$` is meant.
    pub(crate) fn find(value: &str, is_quoted: bool) -> Option<Self> {
        let value = value.trim();
        if let Some((begin, resolver)) = secret(value) {
            return Some(Self::Secret(begin, resolver));
        }
        if is_placeholder(value) {
            return Some(Self::Placeholder);
        }
        if is_windows_variable(value) {
            return Some(Self::WindowsVariable);
        }
        if is_quoted {
            return None;
        }
        if value.contains("$(") || value.len() > 2 && value.starts_with('`') && value.ends_with('`') {
            return Some(Self::Command);
        }
        let begins_name = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '{');
        let is_variable = |(at, _): (usize, _)| value[at + 1..].starts_with(begins_name);
        value
            .match_indices('$')
            .any(is_variable)
            .then_some(Self::Variable)
    }
}

/// The reference that a value is, or holds behind a blank, as in `Bearer op://vault/item/field`.
fn secret(value: &str) -> Option<(&'static str, &'static str)> {
    let words = value.split(char::is_whitespace);
    std::iter::once(value).chain(words).find_map(begun_reference)
}

/// Placeholders as whole words, and how others begin and end.
const PLACEHOLDERS: [&str; 12] = [
    "changeme",
    "change-me",
    "change_me",
    "fixme",
    "placeholder",
    "replaceme",
    "replace-me",
    "replace_me",
    "tbd",
    "todo",
    "insert-key",
    "fill-me-in",
];
const BEGINNINGS: [&str; 8] = [
    "your-",
    "your_",
    "my-api-key",
    "my_api_key",
    "insert-",
    "insert_",
    "replace-with",
    "replace_with",
];
const ENDINGS: [&str; 6] = ["-here", "_here", "yourkey", "your-key", "your_key", "apikeyhere"];

/// True for what people write to be replaced: `<your key>`, `your-api-key-here`, `changeme`, `sk-xxxx`, `...`.
fn is_placeholder(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let is_word = !lower.is_empty() && !lower.contains(char::is_whitespace);
    let begin = lower.trim_start_matches("sk-");
    let is_known = || {
        PLACEHOLDERS.contains(&lower.as_str())
            || BEGINNINGS.iter().any(|start| begin.starts_with(start))
            || ENDINGS.iter().any(|end| lower.ends_with(end))
    };
    is_in_brackets(&lower) || is_word && (is_known() || ends_in_filler(&lower))
}

/// Words in brackets: `<your key>`.
fn is_in_brackets(lower: &str) -> bool {
    [('<', '>'), ('[', ']'), ('{', '}')].iter().any(|&(open, close)| {
        let inner = lower.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        inner.is_some_and(|inner| {
            let plain = |c: char| c.is_ascii_alphanumeric() || " _-".contains(c);
            inner.contains(|c: char| c.is_ascii_alphabetic()) && inner.chars().all(plain)
        })
    })
}

/// Nothing but `x`, `*` or dots behind the last hyphen: `sk-xxxx`.
fn ends_in_filler(lower: &str) -> bool {
    let tail = lower.rsplit(['-', '_']).next().unwrap_or_default();
    let is_of_one = tail.len() > 2 && ["x", "*", "."].iter().any(|one| tail.replace(one, "").is_empty());
    is_of_one || tail.ends_with("...") || tail.ends_with('…')
}

fn is_windows_variable(value: &str) -> bool {
    let mut parts = value.split('%').skip(1).step_by(2);
    let is_name = |part: &str| {
        part.len() > 1
            && part.starts_with(|c: char| c.is_ascii_uppercase())
            && part
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    // An escaped URL has hexadecimal digits there.
    value.matches('%').count() >= 2
        && parts.any(|part| is_name(part) && !part.starts_with(|c: char| c.is_ascii_digit()))
        && !value.contains("://")
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => f.write_str("refers to another variable by '$', which nothing here expands"),
            Self::Command => f.write_str("holds a command in '$(…)' or backquotes, which nothing here runs"),
            Self::WindowsVariable => f.write_str("refers to a variable by '%…%', which nothing here expands"),
            Self::Secret(begin, resolver) => {
                write!(
                    f,
                    "is a reference '{begin}…' that {resolver} resolves and nothing here does"
                )
            }
            Self::Placeholder => f.write_str("is a placeholder"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Unresolved::{self, Command, Placeholder, Variable, WindowsVariable};

    #[test]
    fn what_stands_for_a_value_is_told_from_a_value() {
        for (value, found) in [
            ("$HOME/x", Some(Variable)),
            ("https://${HOST}/v1", Some(Variable)),
            ("$(pass show x)", Some(Command)),
            ("`pass show x`", Some(Command)),
            ("%USERPROFILE%\\x", Some(WindowsVariable)),
            ("<your key>", Some(Placeholder)),
            ("your-api-key-here", Some(Placeholder)),
            ("sk-xxxxxxxx", Some(Placeholder)),
            ("sk-...", Some(Placeholder)),
            ("CHANGEME", Some(Placeholder)),
            ("none", None),
            ("sk-proj-abcdef", None),
            ("your friend", None),
            ("https://h.example/a%20b%20c", None),
            ("100%", None),
            ("cost: 5$", None),
            ("[1, 2]", None),
            ("{\"a\": 1}", None),
        ] {
            assert_eq!(Unresolved::find(value, false), found, "{value}");
        }
        assert_eq!(Unresolved::find("$HOME", true), None);
        for value in [
            "op://v/i/f",
            "encrypted:BASE",
            "Bearer op://v/i/f",
            "ENC[AES256_GCM,data:x]",
        ] {
            assert!(
                matches!(Unresolved::find(value, true), Some(Unresolved::Secret(..))),
                "{value}"
            );
        }
    }
}
