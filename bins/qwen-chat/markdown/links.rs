//! Definitions of links, `[1]: https://…`. Blocks are drawn one by one, so no link would find its definition, and a
//! definition draws nothing: the address would be lost. They are drawn as text.

use std::ops::Range;

use pulldown_cmark::Parser;

/// Returns where links are defined, in order. Only the first definition of a name is seen.
pub(super) fn definitions(parser: &Parser<'_>) -> Vec<Range<usize>> {
    let links = parser.reference_definitions().iter();
    let mut spans: Vec<Range<usize>> = links.map(|(_, link)| link.span.clone()).collect();
    spans.sort_by_key(|span| span.start);
    spans
}

/// Makes definitions plain text on lines of their own.
pub(super) fn as_text(source: &str, definitions: &[Range<usize>]) -> String {
    let mut text = String::with_capacity(source.len() + 3 * definitions.len());
    let mut done = 0;
    for span in definitions {
        let end = span.start + source[span.clone()].trim_end().len();
        text.push_str(&source[done..span.start]);
        text.push('\\');
        text.push_str(&source[span.start..end]);
        // Two blanks at the end of a line break it.
        text.push_str("  ");
        done = end;
    }
    text + &source[done..]
}

/// Returns `start`, the start of a line, or that of the definitions right above it, which are lines of the same list.
pub(super) fn with_lines_above(source: &str, start: usize, definitions: &[Range<usize>]) -> usize {
    let is_line = |text: &str| text.trim_end().lines().count() == 1 && text.matches('\n').count() == 1;
    definitions.iter().rev().fold(start, |start, link| {
        if link.start < start && is_line(&source[link.start..start]) {
            source[..link.start].rfind('\n').map_or(0, |at| at + 1)
        } else {
            start
        }
    })
}
