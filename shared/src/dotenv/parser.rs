//! The grammar of `.env` files, which is npm `dotenv`'s.

use std::ops::Range;

/// One assignment of a text.
#[derive(Clone, PartialEq, Eq)]
pub struct RawAssignment<'t> {
    /// The name, of the alphabet `A-Z a-z 0-9 _ . -`.
    pub name: &'t str,
    /// The value as npm `dotenv` gives it.
    pub value: String,
    /// The line of the name, from 1; lines end in LF, CR or CRLF.
    pub line: u32,
    /// The bytes of the text from the name to the end of its last line.
    pub span: Range<usize>,
    /// The bytes of the value, before trimming and unquoting.
    pub value_span: Range<usize>,
}

/// Turns the bytes of a file into the text that the grammar works on: UTF-8 with U+FFFD for what is not, line ends LF.
#[must_use]
pub fn decode(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.contains('\r') {
        return text.replace("\r\n", "\n").replace('\r', "\n");
    }
    text.into_owned()
}

/// Iterates over the assignments of a decoded text, in the order of the file.
pub struct Scanner<'t> {
    text: &'t str,
    /// The start of the next line to try.
    at: usize,
    /// A place whose line number is known, so that each line end is counted once.
    counted: usize,
    line: u32,
}

impl<'t> Scanner<'t> {
    /// Starts at the beginning of a text made by [`decode`].
    #[must_use]
    pub const fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            counted: 0,
            line: 1,
        }
    }

    fn line_of(&mut self, place: usize) -> u32 {
        let between = &self.text.as_bytes()[self.counted..place];
        let passed = between.iter().filter(|&&byte| byte == b'\n').count();
        self.line = self
            .line
            .saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
        self.counted = place;
        self.line
    }
}

impl<'t> Iterator for Scanner<'t> {
    type Item = RawAssignment<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.text.len() {
            let first = skip_space(self.text, self.at);
            let Some(found) = exported(self.text, first).or_else(|| assignment(self.text, first)) else {
                self.at = after_line_end(self.text, first);
                continue;
            };
            self.at = after_line_end(self.text, found.end);
            // JavaScript drops an assignment of a string to `__proto__`.
            if found.name == "__proto__" {
                continue;
            }
            return Some(RawAssignment {
                name: found.name,
                value: value_of(&self.text[found.value.clone()]),
                line: self.line_of(found.at),
                span: found.at..found.end,
                value_span: found.value,
            });
        }
        None
    }
}

/// An assignment as places in the text.
struct Found<'t> {
    name: &'t str,
    at: usize,
    /// The value before trimming and unquoting.
    value: Range<usize>,
    /// Where the match ends: always at the end of a line.
    end: usize,
}

/// `export`, blanks, an assignment.
fn exported(text: &str, at: usize) -> Option<Found<'_>> {
    text[at..].strip_prefix("export")?;
    let after = at + "export".len();
    let name = skip_space(text, after);
    if name == after {
        return None;
    }
    assignment(text, name)
}

fn assignment(text: &str, at: usize) -> Option<Found<'_>> {
    let bytes = text.as_bytes();
    let length = bytes[at..]
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        .count();
    if length == 0 {
        return None;
    }
    let name_end = at + length;
    let equals = skip_space(text, name_end);
    let begin = if bytes.get(equals) == Some(&b'=') {
        equals + 1
    } else if bytes.get(name_end) == Some(&b':') {
        name_end + 1 + space_at(text, name_end + 1)?
    } else {
        return None;
    };
    let (value_end, end) = quoted(text, begin).unwrap_or_else(|| bare(text, begin));
    Some(Found {
        name: &text[at..name_end],
        at,
        value: begin..value_end,
        end,
    })
}

/// A value in quotes that only blanks or a comment follow on its line; it may span lines. Returns where the value
/// and where the match ends.
///
/// The closing quote is the first one without a backslash before it. Where something else follows that one, npm's
/// regular expression backtracks: to the quotes after a backslash, the last of them first.
fn quoted(text: &str, begin: usize) -> Option<(usize, usize)> {
    let open = skip_space(text, begin);
    let quote = *text.as_bytes().get(open)?;
    if !matches!(quote, b'\'' | b'"' | b'`') {
        return None;
    }
    let mut ends = Vec::new();
    for (offset, _) in text[open + 1..].match_indices(char::from(quote)) {
        let place = open + 1 + offset;
        ends.push(place + 1);
        if text.as_bytes()[place - 1] != b'\\' {
            break;
        }
    }
    ends.into_iter()
        .rev()
        .find_map(|end| Some((end, tail(text, end)?)))
}

/// A value without quotes: all up to the first `#` or the end of the line.
fn bare(text: &str, begin: usize) -> (usize, usize) {
    let end = text[begin..]
        .find(['#', '\n'])
        .map_or(text.len(), |offset| begin + offset);
    (end, tail(text, end).unwrap_or(end))
}

/// Blanks and a comment up to the end of a line; returns that end, `None` when something else follows.
fn tail(text: &str, at: usize) -> Option<usize> {
    let next = skip_space(text, at);
    if next == text.len() {
        return Some(next);
    }
    if text.as_bytes()[next] == b'#' {
        return Some(line_end(text, next));
    }
    text[at..next].rfind(ends_line).map(|offset| at + offset)
}

/// The length of the blank at a place; `None` when there is none.
fn space_at(text: &str, at: usize) -> Option<usize> {
    let c = text[at..].chars().next()?;
    is_space(c).then(|| c.len_utf8())
}

fn skip_space(text: &str, at: usize) -> usize {
    text[at..]
        .find(|c| !is_space(c))
        .map_or(text.len(), |offset| at + offset)
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..]
        .find(ends_line)
        .map_or(text.len(), |offset| at + offset)
}

/// The start of the line after the one that `at` is on.
fn after_line_end(text: &str, at: usize) -> usize {
    let end = line_end(text, at);
    end + text[end..].chars().next().map_or(0, char::len_utf8)
}

const QUOTES: [char; 3] = ['\'', '"', '`'];

/// JavaScript's `\s`: U+FEFF is one, U+0085 is not.
#[must_use]
pub const fn is_space(c: char) -> bool {
    matches!(c,
        '\t'..='\r' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}'
        | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}')
}

/// JavaScript's line ends but for CR, which decoding has turned into LF.
const fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\u{2028}' | '\u{2029}')
}

/// The value that a text gives: trimmed, a pair of equal quotes removed, `\n` and `\r` made line ends when it
/// began with a double quote. Nothing else is an escape, and nothing is expanded.
fn value_of(raw: &str) -> String {
    let trimmed = raw.trim_matches(is_space);
    let value = unquote(trimmed);
    if trimmed.starts_with('"') {
        return value.replace("\\n", "\n").replace("\\r", "\r");
    }
    value
}

/// Removes quotes as the multi-line replacement of `^(['"`])([\s\S]*)\1$` by `$2` does: on every line that begins
/// with a quote, it and the last such quote of the text that ends a line.
#[must_use]
pub fn unquote(text: &str) -> String {
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
