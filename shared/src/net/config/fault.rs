//! A fault of `config.json`.

/// Something that is wrong with the file. No value is in it, nor any other secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// From 1.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
    /// The names that lead to the member; empty for the file.
    pub path: Vec<String>,
    /// What is wrong, with the member's path in it.
    pub words: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// How bad it is.
    pub severity: Severity,
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Invalid,
    /// A member is not read, or one of its values can never work.
    Member,
    /// Members do not go together, or something is missing beside them.
    Combination,
}

/// Returns the line and the column of an offset, both from 1.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    (line, before.len() - line_start + 1)
}
