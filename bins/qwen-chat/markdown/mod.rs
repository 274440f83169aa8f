//! An answer rendered for a terminal while it streams.
//!
//! What a streamed answer shows is what it shows in one piece, since both are one work: what is drawn for good depends on
//! the text alone, line by line, never on the pieces it came in. What is open (the last paragraph, a table, the last line)
//! is drawn as it looks so far whenever the program waits for more, and drawn anew in its place when that has come.
//!
//! Held back, each for no more than a line:
//! - the beginning of a line while it may become a mark of any kind (`-`, `12.`, `#`, a fence, a rule), and marks at the
//!   end of what came, which may be a pair's second half;
//! - a line that begins with `|`, which may be a table's head, until the next line; a row of a table, until its end.
//!
//! A terminal can draw anew only what has not scrolled away. So a paragraph that grows over half of the screen is drawn for
//! good up to its last rows, and marks left open there are text; the columns of a table are fixed when it has five eighths
//! of the screen, and its further rows are wrapped in them.
//!
//! Everything outside is made visible first: an escape sequence in an answer is text.

mod block;
mod cjk;
mod code;
mod code_block;
mod container;
mod html;
mod inline;
mod line;
mod paragraph;
mod screen;
mod style;
mod table;
mod wrap;

use qwen_shared::net::config::Theme;

use crate::markdown::block::Blocks;
use crate::markdown::screen::Screen;
pub(crate) use crate::markdown::screen::Size;

/// The longest line of nothing but marks that is kept together, in bytes.
const LONGEST_MARK: usize = 4 << 10;

/// The renderer of one answer.
#[derive(Debug)]
pub(crate) struct Markdown {
    blocks: Blocks,
    screen: Screen,
    /// What came of the last line, as far as the blocks do not have it.
    line: String,
    /// How many tags it may have, each of which may break the line.
    tags: usize,
    /// The blocks have the beginning of that line.
    has_begun: bool,
    /// The last character was a carriage return: a line feed after it ends no other line.
    after_return: bool,
    /// Something came that is not drawn.
    is_dirty: bool,
}

impl Markdown {
    /// Makes a renderer; `size` is asked before every line.
    #[must_use]
    pub(crate) fn new(size: fn() -> Size, theme: Theme) -> Self {
        let screen = Screen::new(size, theme);
        Self {
            blocks: Blocks::new(screen.size()),
            screen,
            line: String::new(),
            tags: 0,
            has_begun: false,
            after_return: false,
            is_dirty: false,
        }
    }

    /// Adds the next piece of the answer and appends what is drawn for good to `out`.
    pub(crate) fn push(&mut self, text: &str, out: &mut Vec<u8>) {
        self.is_dirty |= !text.is_empty();
        let mut rest = text;
        while let Some(at) = rest.find(['\n', '\r']) {
            let (part, end) = (&rest[..at], rest.as_bytes()[at]);
            rest = &rest[at + 1..];
            let after_return = std::mem::replace(&mut self.after_return, end == b'\r');
            if after_return && part.is_empty() && end == b'\n' {
                continue;
            }
            self.add(part, out);
            self.end_line(out);
        }
        self.after_return &= rest.is_empty();
        self.add(rest, out);
    }

    /// True when [`Markdown::draw`] has something to draw.
    pub(crate) const fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Draws what is open as it looks so far.
    pub(crate) fn draw(&mut self, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.is_dirty) {
            return;
        }
        let mut blocks = self.blocks.clone();
        let line = self.shown();
        match self.has_begun {
            _ if line.is_empty() => {}
            true => blocks.more(line),
            false => blocks.line(line),
        }
        let rows = blocks.open_rows();
        self.screen.update(Vec::new(), rows, out);
    }

    /// Takes what may still change off the screen, where other words are about to be written. `typed` is how many cells
    /// behind it something else has been shown by now.
    pub(crate) fn hide(&mut self, typed: usize, out: &mut Vec<u8>) {
        self.is_dirty |= self.screen.hide(typed, out);
    }

    /// Ends the answer: draws the rest and ends the line.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        self.is_dirty = false;
        self.end_line(out);
        self.blocks.end();
        self.finish(out);
    }

    /// Adds a part of a line. A long one is handed on in pieces, whose ends depend on the line alone.
    fn add(&mut self, part: &str, out: &mut Vec<u8>) {
        let size = self.screen.size();
        let longest = (size.columns * size.rows / 8).max(64);
        for c in part.chars() {
            let length = self.line.len();
            let is_full = (length >= longest || self.tags > size.rows / 4) && {
                let is_kept = !self.has_begun && length < LONGEST_MARK;
                !(is_kept && is_mark(c) && self.line.chars().all(is_mark))
            };
            if is_full {
                self.hand_on();
                self.blocks.settle();
                self.finish(out);
            }
            self.tags += usize::from(c == '<');
            self.line.push(c);
        }
    }

    /// Hands what came of the line to the blocks.
    fn hand_on(&mut self) {
        self.blocks.size = self.screen.size();
        let line = std::mem::take(&mut self.line);
        self.tags = 0;
        if std::mem::replace(&mut self.has_begun, true) {
            self.blocks.more(&line);
        } else {
            self.blocks.line(&line);
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        self.hand_on();
        self.blocks.end_line();
        self.has_begun = false;
        self.finish(out);
    }

    /// Draws what cannot change any more.
    fn finish(&mut self, out: &mut Vec<u8>) {
        let done = std::mem::take(&mut self.blocks.done);
        if !done.is_empty() {
            self.screen.update(done, Vec::new(), out);
        }
    }

    /// Returns what is shown of the line so far.
    fn shown(&self) -> &str {
        let line = self.line.as_str();
        match self.blocks.fence() {
            Some(Some(fence)) if line.trim().chars().all(|c| c == fence) => "",
            Some(_) => line,
            None if !self.has_begun && line.chars().all(is_mark) => "",
            None => line.trim_end_matches(['`', '*', '_', '~', '\\', '<', '[', '!', '$', '|']),
        }
    }
}

/// True for what may be, or become, the mark of a block.
fn is_mark(c: char) -> bool {
    c.is_ascii_digit() || c.is_ascii_whitespace() || "#>-+*=_`~|.):<[".contains(c)
}

#[cfg(test)]
mod tests;
