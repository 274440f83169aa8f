//! From the text of a value to what it means.

use super::scan::after_line_end;

const QUOTES: [char; 3] = ['\'', '"', '`'];

/// JavaScript's `\s`: U+FEFF is one, U+0085 is not.
pub(super) const fn is_space(c: char) -> bool {
    matches!(c,
        '\t'..='\r' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}'
        | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}')
}

/// JavaScript's line ends but for CR, which decoding has turned into LF.
pub(super) const fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\u{2028}' | '\u{2029}')
}

pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// What the text of a value means: trimmed, a pair of equal quotes removed, `\n` and `\r` made line ends when it
/// began with a double quote. Nothing else is an escape, and nothing is expanded.
pub(super) fn meaning(raw: &str) -> String {
    let trimmed = trim(raw);
    let value = unquote(trimmed);
    if trimmed.starts_with('"') {
        return value.replace("\\n", "\n").replace("\\r", "\r");
    }
    value
}

/// Removes quotes as the multi-line replacement of `^(['"`])([\s\S]*)\1$` by `$2` does: on every line that begins
/// with a quote, it and the last such quote of the text that ends a line.
pub(super) fn unquote(text: &str) -> String {
    if !text.starts_with(QUOTES) && !text.contains(ends_line) {
        return text.to_owned();
    }
    let closing = QUOTES.map(|quote| last_closing(text, quote));
    let mut out = String::with_capacity(text.len());
    let (mut copied, mut line) = (0, 0);
    while line < text.len() {
        let close = QUOTES
            .iter()
            .position(|&quote| text[line..].starts_with(quote))
            .and_then(|kind| closing[kind])
            .filter(|&close| close > line);
        if let Some(close) = close {
            out.push_str(&text[copied..line]);
            out.push_str(&text[line + 1..close]);
            copied = close + 1;
            line = copied;
        }
        line = after_line_end(text, line);
    }
    out.push_str(&text[copied..]);
    out
}

/// The last place where this quote stands at the end of a line.
fn last_closing(text: &str, quote: char) -> Option<usize> {
    text.rmatch_indices(quote)
        .map(|(place, _)| place)
        .find(|place| text[place + 1..].chars().next().is_none_or(ends_line))
}
