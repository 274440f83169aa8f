//! Lines of a `.env` file that mean something other than they seem to.

use std::fmt;

use super::parser::{Scanner, Statement, is_space, skip_space, trim, unquote};

/// A place where the grammar's meaning is seldom the author's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surprise {
    /// An unquoted value ends at a `#` with no blank before it.
    CutAtHash,
    /// `NAME:` or `NAME=` takes its value from a later line.
    SwallowsNextLine,
    /// A quote that is not closed, or is closed before the value ends: it stays in the value.
    QuoteKept,
}

impl Surprise {
    /// Returns what is surprising about a statement of this text.
    #[must_use]
    pub fn all_in(text: &str, statement: &Statement<'_>) -> Vec<Self> {
        let ((at, _), (begin, end)) = (statement.span, statement.raw);
        let mut seen = Vec::new();
        let raw = &text[begin..end];
        let value = trim(raw);
        let cut = text[end..].starts_with('#') && !raw.ends_with(is_space);
        if cut && !value.ends_with(['\'', '"', '`']) {
            seen.push(Self::CutAtHash);
        }
        if !value.is_empty() && text[at..skip_space(text, begin)].contains('\n') {
            seen.push(Self::SwallowsNextLine);
        }
        if value.starts_with(['\'', '"', '`']) && unquote(value) == value {
            seen.push(Self::QuoteKept);
        }
        seen
    }
}

impl fmt::Display for Surprise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CutAtHash => "ends at '#': put the value in quotes to keep the rest",
            Self::SwallowsNextLine => "takes its value from a later line",
            Self::QuoteKept => "keeps its quote: the value is not quoted as a whole",
        })
    }
}

/// Returns the lines, from 1, that are neither blank nor comment nor part of an assignment: the grammar skips them.
#[must_use]
pub fn malformed_lines(text: &str) -> Vec<u32> {
    let mut lines = Vec::new();
    let mut number: u32 = 1;
    let mut at = 0;
    let mut spans = Scanner::new(text).map(|statement| statement.span).peekable();
    for line in text.split_inclusive('\n') {
        let end = at + line.trim_end_matches('\n').len();
        while spans.next_if(|&(_, last)| last < at).is_some() {}
        let assigns = spans.peek().is_some_and(|&(first, _)| first <= end);
        let words = trim(line);
        if !assigns && !words.is_empty() && !words.starts_with('#') {
            lines.push(number);
        }
        number = number.saturating_add(1);
        at += line.len();
    }
    lines
}
