//! Lines of a `.env` file whose value is probably not what their author meant.

use std::fmt;
use std::ops::Range;

use qwen_shared::dotenv::{RawAssignment, Scanner, is_space, unquote};

const QUOTES: [char; 3] = ['\'', '"', '`'];

/// A line whose value is probably not what its author meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lint {
    /// An unquoted value ends at a `#` with no blank before it.
    CutAtHash,
    /// `NAME:` or `NAME=` takes its value from a later line.
    ValueOnLaterLine,
    /// A quote that is not closed, or is closed before the value ends: it stays in the value.
    QuoteKept,
}

impl Lint {
    /// Returns what is unusual about an assignment of this text.
    pub(crate) fn all_in(text: &str, assignment: &RawAssignment<'_>) -> Vec<Self> {
        let Range { start, end } = assignment.value_span;
        let raw = &text[start..end];
        let value = raw.trim_matches(is_space);
        let mut found = Vec::new();
        let cut = text[end..].starts_with('#') && !raw.ends_with(is_space);
        if cut && !value.ends_with(QUOTES) {
            found.push(Self::CutAtHash);
        }
        let before = end - raw.trim_start_matches(is_space).len();
        if !value.is_empty() && text[assignment.span.start..before].contains('\n') {
            found.push(Self::ValueOnLaterLine);
        }
        if value.starts_with(QUOTES) && unquote(value) == value {
            found.push(Self::QuoteKept);
        }
        found
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CutAtHash => "ends at '#': put the value in quotes to keep the rest",
            Self::ValueOnLaterLine => "takes its value from a later line",
            Self::QuoteKept => "keeps its quote: the value is not quoted as a whole",
        })
    }
}

/// Returns the lines, from 1, that are neither blank nor comment nor part of an assignment: the grammar skips them.
pub(crate) fn malformed_lines(text: &str) -> Vec<u32> {
    let mut lines = Vec::new();
    let mut number: u32 = 1;
    let mut at = 0;
    let mut spans = Scanner::new(text).map(|assignment| assignment.span).peekable();
    for line in text.split_inclusive('\n') {
        let end = at + line.trim_end_matches('\n').len();
        while spans.next_if(|span| span.end < at).is_some() {}
        let assigns = spans.peek().is_some_and(|span| span.start <= end);
        let words = line.trim_matches(is_space);
        if !assigns && !words.is_empty() && !words.starts_with('#') {
            lines.push(number);
        }
        number = number.saturating_add(1);
        at += line.len();
    }
    lines
}
