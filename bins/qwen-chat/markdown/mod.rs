//! An answer rendered for a terminal while it streams.
//!
//! What was printed is never changed, so there is no cursor movement, and a resized or scrolled window does no harm. The
//! last block of the text is parsed again whenever more of it comes; what cannot change any more is printed, and what
//! might (an unfinished word, a `**` without its partner, a table) waits. Everything outside is made visible first: an
//! escape sequence in an answer is text.

mod container;
mod line;
mod links;
mod render;
mod screen;
mod style;
mod table;

use pulldown_cmark::{Event, Parser};

use crate::markdown::line::Line;
use crate::markdown::render::options;
use crate::markdown::screen::Screen;

/// A block that is longer is cut here, in bytes: parsing it again and again would take longer than reading it.
const BLOCK_LIMIT: usize = 32 << 10;

/// The same for a code block, which may be cut at any line without a trace.
const CODE_LIMIT: usize = 4 << 10;

/// The renderer of one answer.
#[derive(Debug)]
pub(crate) struct Markdown {
    /// The last block, which may still change.
    source: String,
    /// How many lines of it are done, and how many characters of the line after them.
    lines: usize,
    chars: usize,
    screen: Screen,
}

impl Markdown {
    /// Makes a renderer; `columns` is asked before every line.
    #[must_use]
    pub(crate) fn new(columns: fn() -> usize) -> Self {
        Self {
            source: String::new(),
            lines: 0,
            chars: 0,
            screen: Screen::new(columns),
        }
    }

    /// Adds the next piece of the answer and appends what is certain to `out`.
    pub(crate) fn push(&mut self, text: &str, out: &mut Vec<u8>) {
        self.source.push_str(text);
        let start = last_block(settled(&self.source));
        if start > 0 {
            let rest = self.source.split_off(start);
            self.finish_block(out);
            self.source = rest;
        }
        let limit = if fence(&self.source).is_some() {
            CODE_LIMIT
        } else {
            BLOCK_LIMIT
        };
        if self.source.len() > limit {
            self.cut(out);
        }
        let source = settled(&self.source);
        if !source.trim().is_empty() {
            let lines = crate::markdown::render::lines(source, true);
            self.print(&lines, true, out);
        }
    }

    /// Ends the answer: prints the rest and ends the line.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        self.finish_block(out);
    }

    /// Prints all of the source, as blocks that are complete.
    fn finish_block(&mut self, out: &mut Vec<u8>) {
        let source = std::mem::take(&mut self.source);
        if !source.trim().is_empty() {
            let lines = crate::markdown::render::lines(&source, false);
            if !lines.is_empty() {
                self.print(&lines, false, out);
                self.screen.end_block(out);
            }
        }
        (self.lines, self.chars) = (0, 0);
    }

    /// Ends a block that grows too long. A code block continues under its fence; anything else begins a new block.
    fn cut(&mut self, out: &mut Vec<u8>) {
        let fence = fence(&self.source).map(|line| format!("{line}\n"));
        let end = self.source.rfind('\n').map_or(self.source.len(), |at| at + 1);
        let rest = self.source.split_off(end);
        let source = std::mem::take(&mut self.source);
        let lines = crate::markdown::render::lines(&source, fence.is_some());
        self.print(&lines, false, out);
        self.screen.break_line(out);
        (self.lines, self.chars) = (0, 0);
        self.source = fence.unwrap_or_default() + &rest;
    }

    /// Prints what lies beyond what has been printed; of an unfinished last line only what is settled.
    fn print(&mut self, lines: &[Line], unfinished: bool, out: &mut Vec<u8>) {
        for (place, line) in lines.iter().enumerate().skip(self.lines) {
            let is_last = place + 1 == lines.len();
            if place > self.lines {
                self.screen.break_line(out);
                (self.lines, self.chars) = (place, 0);
            }
            let end = if unfinished && is_last {
                line.settled()
            } else {
                line.length()
            };
            if end > self.chars || (self.chars == 0 && !(unfinished && is_last)) {
                self.screen.print(line, self.chars, end, out);
                self.chars = self.chars.max(end);
            }
        }
    }
}

/// Returns the line that opens a code block at the beginning of the source.
fn fence(source: &str) -> Option<&str> {
    let line = source.lines().next()?;
    (line.starts_with("```") || line.starts_with("~~~")).then_some(line)
}

/// Returns where the last top-level block begins: at the start of its first line, or of the definitions of links right
/// above it, which are lines of the same list.
fn last_block(source: &str) -> usize {
    let (mut depth, mut last) = (0_usize, 0);
    let parser = Parser::new_ext(source, options());
    let definitions = crate::markdown::links::definitions(&parser);
    for (event, range) in parser.into_offset_iter() {
        if depth == 0 && !matches!(event, Event::End(_)) {
            last = range.start;
        }
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let start = source[..last].rfind('\n').map_or(0, |at| at + 1);
    crate::markdown::links::with_lines_above(source, start, &definitions)
}

/// Leaves out what depends on what comes next: marks at the end, which may or may not be a pair's second half; the last
/// line while it could still become the beginning of any kind of block (`-`, `12.`, `#`, a fence, a line of HTML); and a
/// line that may be a table's head, which waits for the line below it.
fn settled(source: &str) -> &str {
    let is_marker = |c: char| c.is_ascii_digit() || c.is_ascii_whitespace() || "#>-+*_=`~|.):".contains(c);
    let last = last_line(source);
    let mut kept = source.trim_end_matches(['`', '*', '_', '~']);
    if last.chars().all(is_marker) || last.contains('|') || last.trim_start().starts_with('<') {
        kept = &source[..source.len() - last.len()];
        let above = last_line(kept.strip_suffix('\n').unwrap_or(kept));
        if above.contains('|') && !is_table(kept) {
            kept = &kept[..kept.len() - above.len() - 1];
        }
    }
    kept
}

/// Returns what follows the last line feed.
fn last_line(source: &str) -> &str {
    &source[source.rfind('\n').map_or(0, |at| at + 1)..]
}

fn is_table(source: &str) -> bool {
    Parser::new_ext(source, options())
        .any(|event| matches!(event, Event::Start(pulldown_cmark::Tag::Table(_))))
}

#[cfg(test)]
mod tests;
