//! From the text of a file to its assignments.

use super::scan::{Scanner, Statement};

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
