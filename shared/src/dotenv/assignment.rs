//! Variables as a file assigns them, and what became of each.

use std::path::Path;
use std::sync::Arc;

use super::parser::{Scanner, Statement, decode};
use super::policy::Reach;
use crate::secret::Secret;

/// An assignment as read: name, value, line.
#[derive(Clone, PartialEq, Eq)]
pub struct Reading {
    /// The name, of the alphabet `A-Z a-z 0-9 _ . -`.
    pub name: String,
    /// The value.
    pub value: String,
    /// The line of the name, from 1.
    pub line: u32,
}

/// Reads a text as Qwen Code does: the scanner finds the assignments, `dotenvy` reads them from a canonical text in
/// which nothing is left to interpret.
///
/// A name that `dotenvy` does not know as one (with a `-`, or beginning with a digit, a dot or a dash) keeps the
/// scanner's value.
///
/// # Errors
/// The line of the first assignment that `dotenvy` reads otherwise than the scanner: an invariant of ours broke.
pub fn assignments(text: &str) -> Result<Vec<Reading>, u32> {
    let statements: Vec<Statement<'_>> = Scanner::new(text).collect();
    let mut canonical = String::with_capacity(text.len() + statements.len() * 4);
    for statement in statements.iter().filter(|statement| is_plain(statement.name)) {
        write_canonical(&mut canonical, statement.name, &statement.value);
    }
    let mut read = dotenvy::from_read_iter(canonical.as_bytes());
    let mut readings = Vec::with_capacity(statements.len());
    for statement in statements {
        let value = if is_plain(statement.name) {
            match read.next() {
                Some(Ok((name, value))) if name == statement.name => value,
                _ => return Err(statement.line),
            }
        } else {
            statement.value
        };
        readings.push(Reading {
            name: statement.name.to_owned(),
            value,
            line: statement.line,
        });
    }
    Ok(readings)
}

/// True for a name of `dotenvy`'s alphabet.
fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !name.contains('-')
}

/// Writes `NAME="value"` with everything escaped that `dotenvy` would interpret: the backslash, the double quote,
/// the dollar of its substitution (which has no switch), and the line end.
fn write_canonical(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    for c in value.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\\' | '"' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push_str("\"\n");
}

/// Whose word a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It lies in the user's home directory or in Qwen Code's.
    Home,
    /// A project's file that the user trusts, with this content.
    TrustedProject,
    /// A project's file: it came with a clone.
    UntrustedProject,
}

impl Standing {
    /// Returns the name that `--explain` gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::TrustedProject => "trusted project",
            Self::UntrustedProject => "untrusted project",
        }
    }
}

/// A variable of the chain, with its origin.
#[derive(Clone, Debug)]
pub struct Variable {
    /// The name, of the alphabet `A-Z a-z 0-9 _ . -`.
    pub name: String,
    /// The value: UTF-8, any character but NUL once accepted.
    pub value: Secret<String>,
    /// The file.
    pub path: Arc<Path>,
    /// The line of the name, from 1.
    pub line: u32,
    /// Whose word the file is.
    pub standing: Standing,
}

impl Variable {
    /// Returns `file:line`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.line)
    }
}

/// What the chain says about an assignment, whatever the process environment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Accepted,
    /// A later line of the same file, this one, sets the same name.
    Overwritten(u32),
    /// Qwen Code does not take this name from a project's plain `.env`.
    Excluded,
    /// A project file may not set it: what it reaches.
    Refused(Reach),
    /// It is the variable in which exports are remembered; no file may set it.
    Record,
    /// `NAME=value` is longer than the kernel takes.
    TooLong,
    /// The value holds a NUL, which no environment can.
    Nul,
}

/// An assignment and what became of it.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Name, value and origin.
    pub variable: Variable,
    /// What the chain says about it.
    pub verdict: Verdict,
}

/// Returns the line, without its end, that gives this variable this value in any file; `None` when no line can.
///
/// The grammar has no escape for a quote, so a value with all three kinds of quotes and a line end has no form. Quotes
/// are preferred in which other readers expand the least.
#[must_use]
pub fn dotenv_line(name: &str, value: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,=-".contains(c);
    let bare = (!value.is_empty() && value.chars().all(plain)).then(|| value.to_owned());
    let quoted = ['\'', '"', '`']
        .into_iter()
        .filter_map(|quote| in_quotes(value, quote));
    // Without quotes the first '#' would end the value, and a quote in front would look for its partner.
    let last = (!value.contains(['#', '\n', '\r']) && !value.starts_with(['\'', '"', '`']))
        .then(|| value.to_owned());
    bare.into_iter()
        .chain(quoted)
        .chain(last)
        .map(|text| format!("{name}={text}"))
        .find(|line| means(line, name, value))
}

/// The value in these quotes, when nothing in it ends them early or hides their end.
fn in_quotes(value: &str, quote: char) -> Option<String> {
    if value.contains(quote) || value.ends_with('\\') {
        return None;
    }
    let text = if quote == '"' {
        value.replace('\r', "\\r")
    } else {
        value.to_owned()
    };
    Some(format!("{quote}{text}{quote}"))
}

fn means(line: &str, name: &str, value: &str) -> bool {
    let text = format!("{line}\n");
    assignments(&decode(text.as_bytes()))
        .is_ok_and(|read| matches!(&read[..], [one] if one.name == name && one.value == value))
}

#[cfg(test)]
mod tests {
    use super::dotenv_line;

    #[test]
    fn a_line_gives_back_its_value_or_there_is_none() {
        for (value, line) in [
            ("", Some("A=''")),
            ("https://x/v1", Some("A=https://x/v1")),
            ("two words # no", Some("A='two words # no'")),
            ("it's", Some("A=\"it's\"")),
            ("it's \\n", Some("A=`it's \\n`")),
            ("cr\rlf\n", Some("A=\"cr\\rlf\n\"")),
            ("a'b\"c`d", Some("A=a'b\"c`d")),
            ("C:\\", Some("A=C:\\")),
            ("'\"`\n", None),
            ("'\r\\n", None),
        ] {
            assert_eq!(dotenv_line("A", value).as_deref(), line, "{value:?}");
        }
    }
}
