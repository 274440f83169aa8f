//! The portable form of `.env` lines: what npm `dotenv`, python-dotenv, ruby's and Go's dotenv, dotenvy and a POSIX shell read
//! alike. qwen-env(5) states it as a grammar.

use std::fmt;

use qwen_shared::shell::{Shell, is_shell_name};

/// Why an assignment is outside the portable form: the first thing in it that some reader takes otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The name is not a letter or `_`, followed by letters, digits and `_`.
    Name,
    /// A POSIX shell does not give the name away.
    ReservedName,
    /// zsh has an array or a number of that name, or is another user by it.
    ZshName,
    /// `NAME: VALUE`.
    Colon,
    /// A blank before or after the `=`, or one in front of the line that is neither a space nor a tab.
    Blank,
    /// A character that a value without quotes may not have.
    Bare(char),
    /// Quotes that are not closed on the line, or a value that goes on after them.
    Quotes,
    Dollar,
    Backquote,
    Backslash,
    /// A character that is no printable one, or a line end.
    Control,
    /// A `#` without a blank before it, or a comment behind a value that has quotes or another `#` in it.
    Comment,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "its name is none to a shell",
            Self::ReservedName => "a POSIX shell reserves its name",
            Self::ZshName => "zsh keeps its name for itself",
            Self::Colon => "others know no ':' in the place of '='",
            Self::Blank => "a shell takes the blank at its name or '=' for the end of a word",
            Self::Bare(c) if c.is_whitespace() => {
                "a shell ends the value at a blank: put it in single quotes"
            }
            Self::Bare(c) if !c.is_ascii() => "a value that is not ASCII belongs in single quotes",
            Self::Bare(_) => "a character in it means something to a shell: put it in single quotes",
            Self::Quotes => "quotes do not enclose the whole value on one line",
            Self::Dollar => "others expand '$', and '${' even in single quotes",
            Self::Backquote => "a shell runs what is in backquotes",
            Self::Backslash => "others take '\\' for an escape",
            Self::Control => "it holds a character that is not printable",
            Self::Comment => "others find its comment elsewhere, or none",
        })
    }
}

/// Returns a value in the portable form; `None` where it has none.
pub(crate) fn written(value: &str) -> Option<String> {
    if !value.is_empty() && value.chars().all(is_bare) {
        return Some(value.to_owned());
    }
    ['\'', '"']
        .into_iter()
        .find(|&quote| !value.contains(quote) && fault_in_quotes(value, quote).is_none())
        .map(|quote| format!("{quote}{value}{quote}"))
}

/// True for a character that needs no quotes for any reader.
pub(crate) const fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | ':' | '@' | '%' | '+' | ',' | '-')
}

/// Returns why these lines are not one assignment in the portable form; they begin where their first line does.
pub(crate) fn fault(lines: &str) -> Option<Fault> {
    let line = lines.trim_start_matches(is_blank);
    let line = match line.strip_prefix("export") {
        Some(rest) if rest.starts_with(is_blank) => rest.trim_start_matches(is_blank),
        _ => line,
    };
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let end = line.find(|c| !is_of_name(c)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if name.is_empty() {
        return Some(Fault::Blank);
    }
    if !is_shell_name(name) {
        return Some(Fault::Name);
    }
    if Shell::Sh.reserves(name) {
        return Some(Fault::ReservedName);
    }
    if Shell::Zsh.reserves(name) {
        return Some(Fault::ZshName);
    }
    match rest.strip_prefix('=') {
        Some(value) => fault_in_value(value),
        None if rest.starts_with(':') => Some(Fault::Colon),
        None => Some(Fault::Blank),
    }
}

const QUOTES: [char; 3] = ['\'', '"', '`'];

fn fault_in_value(value: &str) -> Option<Fault> {
    let first = value.chars().next()?;
    if is_blank(first) {
        return (!value.chars().all(is_blank)).then_some(Fault::Blank);
    }
    if !matches!(first, '\'' | '"') {
        let end = value.find(|c| !is_bare(c)).unwrap_or(value.len());
        return match &value[end..] {
            tail if end > 0 && fault_in_tail(tail).is_none() => None,
            tail => Some(fault_of_bare(tail)),
        };
    }
    let Some(length) = value[1..].find(first) else {
        return Some(Fault::Quotes);
    };
    let (inner, tail) = (&value[1..=length], &value[length + 2..]);
    fault_in_quotes(inner, first).or_else(|| fault_in_tail(tail))
}

/// What is wrong where a value without quotes has another character than a bare one.
fn fault_of_bare(tail: &str) -> Fault {
    let first = tail.chars().next().unwrap_or_default();
    let is_comment = tail.trim_start_matches(is_blank).starts_with('#');
    match first {
        '$' => Fault::Dollar,
        '`' => Fault::Backquote,
        '\\' => Fault::Backslash,
        '\'' | '"' => Fault::Quotes,
        _ if is_comment => Fault::Comment,
        c if c.is_control() && c != '\t' => Fault::Control,
        // What is quoted wrong further on says more than the blank before it.
        ' ' | '\t' if tail.contains('$') => Fault::Dollar,
        c => Fault::Bare(c),
    }
}

/// What is wrong behind a value: only blanks may be there, or blanks and a comment.
fn fault_in_tail(tail: &str) -> Option<Fault> {
    let rest = tail.trim_start_matches(is_blank);
    let Some(comment) = rest.strip_prefix('#') else {
        return (!rest.is_empty()).then_some(Fault::Quotes);
    };
    let is_apart = rest.len() < tail.len();
    let is_plain = |c: char| c != '#' && !QUOTES.contains(&c) && is_printable(c);
    (!is_apart || !comment.chars().all(is_plain)).then_some(Fault::Comment)
}

/// What is wrong with a text between quotes of this kind.
fn fault_in_quotes(text: &str, quote: char) -> Option<Fault> {
    if let Some(c) = text.chars().find(|&c| !is_printable(c)) {
        return Some(if c == '\n' { Fault::Quotes } else { Fault::Control });
    }
    if quote == '\'' {
        // python-dotenv expands '${' in single quotes too.
        if text.contains("${") {
            return Some(Fault::Dollar);
        }
        // It reads two backslashes as one; before the quote npm and others take one for an escape.
        return (text.contains("\\\\") || text.ends_with('\\')).then_some(Fault::Backslash);
    }
    text.chars().find_map(|c| match c {
        '$' => Some(Fault::Dollar),
        '`' => Some(Fault::Backquote),
        '\\' => Some(Fault::Backslash),
        _ => None,
    })
}

/// True for what may stand between quotes: anything but control characters, the line ends of Unicode and byte order marks.
fn is_printable(c: char) -> bool {
    c == '\t' || !(c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'))
}

/// True for a blank that separates words for every reader.
pub(crate) const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

#[cfg(test)]
mod tests {
    use super::{Fault, fault, written};

    #[test]
    fn an_assignment_in_the_portable_form_has_no_fault() {
        for line in [
            "A=",
            "A=x",
            "  export\tA=https://h.example:8/v1@x",
            "A='two words # \\n $HOME `x`'",
            "A=\"it's\"",
            "A='x'  # a comment",
            "A=x # another, $(x)",
            "A=''",
        ] {
            assert_eq!(fault(line), None, "{line}");
        }
    }

    #[test]
    fn what_others_read_otherwise_is_named() {
        for (line, found) in [
            ("a.b=1", Fault::Name),
            ("UID=1", Fault::ReservedName),
            ("path=/opt", Fault::ZshName),
            ("USERNAME=me", Fault::ZshName),
            ("A: 1", Fault::Colon),
            ("A = 1", Fault::Blank),
            ("A= 1", Fault::Blank),
            ("\u{a0}A=1", Fault::Blank),
            ("A=two words", Fault::Bare(' ')),
            ("A=é", Fault::Bare('é')),
            ("A=a&b", Fault::Bare('&')),
            ("A=x'y'z", Fault::Quotes),
            ("A='x'y", Fault::Quotes),
            ("A='x", Fault::Quotes),
            ("A='a\nb'", Fault::Quotes),
            ("A=$B", Fault::Dollar),
            ("A=\"${B}\"", Fault::Dollar),
            ("A='${B}'", Fault::Dollar),
            ("A=`x`", Fault::Backquote),
            ("A=\"C:\\new\"", Fault::Backslash),
            ("A='a\\\\b'", Fault::Backslash),
            ("A=\"\\\"\"", Fault::Backslash),
            ("A=x#y", Fault::Comment),
            ("A='x'#y", Fault::Comment),
            ("A=x # it's", Fault::Comment),
            ("A= # c", Fault::Blank),
            ("A='a\u{7}'", Fault::Control),
            ("export A=1 B=2", Fault::Bare(' ')),
        ] {
            assert_eq!(fault(line), Some(found), "{line}");
        }
    }

    #[test]
    fn what_is_written_is_in_the_form() {
        for value in [
            "",
            "x",
            "two words",
            "it's",
            "\"",
            "$x",
            "C:\\new",
            "=x",
            "~",
            "é",
        ] {
            let line = format!("A={}", written(value).unwrap());
            assert_eq!(fault(&line), None, "{line}");
        }
        for value in [
            "a\nb",
            "it's \"x\"",
            "${x}",
            "it's $5",
            "\\\\host",
            "C:\\",
            "it's \\",
        ] {
            assert_eq!(written(value), None, "{value}");
        }
    }
}
