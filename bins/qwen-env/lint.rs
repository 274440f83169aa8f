//! Lines of a `.env` file whose value is probably not what their author meant.

use std::fmt;
use std::ops::Range;

use qwen_shared::dotenv::{RawAssignment, Scanner, is_space, unquote};

use super::portable::is_blank;

const QUOTES: [char; 3] = ['\'', '"', '`'];

/// A line whose value is probably not what its author meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lint {
    /// An unquoted value ends at a `#` with no blank before it, or within double quotes of its own.
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
        let is_open = !value.starts_with(QUOTES) && value.matches('"').count() % 2 == 1;
        let cut = !raw.ends_with(is_space) && !value.ends_with(QUOTES);
        if text[end..].starts_with('#') && (cut || is_open) {
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

/// Returns the lines, from 1, that are blank or a comment to the grammar, which knows more blanks than a shell does.
pub(crate) fn oddly_blank_lines(text: &str) -> Vec<u32> {
    let is_odd = |line: &str| {
        let words = line.trim_start_matches(is_space);
        let begin = &line[..line.len() - words.len()];
        (words.is_empty() || words.starts_with('#')) && !begin.chars().all(is_blank)
    };
    let lines = text.split('\n').zip(1..);
    lines
        .filter(|(line, _)| is_odd(line))
        .map(|(_, number)| number)
        .collect()
}

/// What `node --env-file` takes otherwise than every other reader, in a line that is else in the portable form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeFault {
    /// A tab outside of a value and a comment.
    Tab,
    /// A blank line or a comment that begins with a space, between two assignments.
    Indent,
    /// Two spaces behind `export`.
    Export,
    /// `export` before an empty value without quotes (Node 22).
    ExportedEmpty,
    /// Spaces in the place of a value, with an assignment further on (Node 22).
    BlankValue,
}

impl fmt::Display for NodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tab => {
                "has a tab outside of quotes, which 'node --env-file' takes for a part of a name or value"
            }
            Self::Indent => {
                "begins with a space, by which 'node --env-file' takes the line for a part of the next name"
            }
            Self::Export => {
                "has two spaces behind 'export', of which 'node --env-file' takes one into the name"
            }
            Self::ExportedEmpty => {
                "has 'export' and an empty value without quotes, by which 'node --env-file' takes 'export' into the name"
            }
            Self::BlankValue => {
                "has a space for its value, by which 'node --env-file' takes the next line for it"
            }
        })
    }
}

/// Returns the lines, from 1, that Node's own reader takes otherwise than others, each with the first reason.
pub(crate) fn lines_odd_to_node(text: &str) -> Vec<(u32, NodeFault)> {
    let values: Vec<Range<usize>> = Scanner::new(text)
        .map(|assignment| {
            let Range { start, end } = assignment.value_span;
            let raw = &text[start..end];
            let start = end - raw.trim_start_matches(is_space).len();
            start..start + raw.trim_matches(is_space).len()
        })
        .collect();
    let mut found = Vec::new();
    let (mut at, mut next) = (0, 0);
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        while values.get(next).is_some_and(|value| value.end <= at) {
            next += 1;
        }
        let is_between = next > 0 && next < values.len();
        let is_inside = values.get(next).is_some_and(|value| value.start < at);
        let has_more = || values[next..].iter().any(|value| value.start >= at + line.len());
        let of_empty = || fault_of_empty(line, has_more()).filter(|_| !is_inside);
        let fault = fault_to_node(line, at, &values[next..], is_between).or_else(of_empty);
        if let Some(fault) = fault {
            found.push((number, fault));
        }
        at += line.len();
    }
    found
}

/// What is odd about the line that begins `at` there in the text, where these values end behind that place.
/// `is_between`: assignments stand before and after it.
fn fault_to_node(line: &str, at: usize, values: &[Range<usize>], is_between: bool) -> Option<NodeFault> {
    let mut values = values.iter().peekable();
    for (offset, c) in line.char_indices() {
        while values.next_if(|value| value.end <= at + offset).is_some() {}
        match c {
            _ if values.peek().is_some_and(|value| value.start <= at + offset) => {}
            '#' => break,
            '\t' => return Some(NodeFault::Tab),
            _ => {}
        }
    }
    if values.peek().is_some_and(|value| value.start < at) {
        return None;
    }
    let words = line.trim_start_matches(' ');
    let is_indented = words.len() < line.len() && (words.trim_end().is_empty() || words.starts_with('#'));
    if is_indented && is_between {
        return Some(NodeFault::Indent);
    }
    words.starts_with("export  ").then_some(NodeFault::Export)
}

/// What is odd about a line that gives a name no value, and no quotes. `has_more`: an assignment stands further on.
fn fault_of_empty(line: &str, has_more: bool) -> Option<NodeFault> {
    let words = line.trim_end_matches(['\n', '\r']);
    let before = words
        .trim_end_matches(' ')
        .strip_suffix('=')?
        .trim_start_matches(' ');
    let name = before.strip_prefix("export ").unwrap_or(before);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    if has_more && words.ends_with(' ') {
        return Some(NodeFault::BlankValue);
    }
    (name.len() < before.len()).then_some(NodeFault::ExportedEmpty)
}
