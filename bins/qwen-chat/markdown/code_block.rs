//! A block of code while it is read, line by line.

use qwen_shared::text::make_visible;

use super::code::Highlighter;
use super::screen::Row;
use super::wrap::width;

/// The most blank lines that are kept within indented code.
const MOST_BLANKS: usize = 1_000;

/// The line that begins a block, and what one that ends it has to have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fence {
    pub(super) mark: char,
    pub(super) length: usize,
    pub(super) indent: usize,
}

impl Fence {
    /// True for the words of the line that ends the block (CommonMark §4.5).
    pub(super) fn is_ended_by(self, words: &str) -> bool {
        let words = words.trim_end();
        words.len() >= self.length && words.chars().all(|c| c == self.mark)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Code {
    /// `None` for indented code.
    pub(super) fence: Option<Fence>,
    highlighter: Highlighter,
    /// The line that is being read.
    pub(super) line: Option<String>,
    /// Blank lines that are drawn when more code follows.
    blanks: usize,
}

impl Code {
    /// Begins a block with a fence, whose label may name the language.
    pub(super) fn fenced(fence: Fence, label: &str) -> Self {
        Self {
            fence: Some(fence),
            highlighter: Highlighter::new(label),
            line: None,
            blanks: 0,
        }
    }

    /// Begins a block without one.
    pub(super) fn indented(line: String) -> Self {
        Self {
            fence: None,
            highlighter: Highlighter::default(),
            line: Some(line),
            blanks: 0,
        }
    }

    /// Notes a blank line in indented code, which may be behind its end.
    pub(super) fn add_blank(&mut self) {
        self.blanks = (self.blanks + 1).min(MOST_BLANKS);
    }

    /// True when blank lines were behind its end.
    pub(super) const fn ends_blank(&self) -> bool {
        self.blanks > 0
    }

    /// Returns the rows of the line that was read, after those of the blank lines before it.
    pub(super) fn end_line(&mut self) -> Vec<Row> {
        let Some(line) = self.line.take() else {
            return Vec::new();
        };
        let mut rows = vec![Row::default(); std::mem::take(&mut self.blanks)];
        let mut row = Row::default();
        self.highlighter.line(&line, &mut row);
        rows.push(row);
        rows
    }

    /// Takes the first so many cells out of a line that has more.
    pub(super) fn settle(&mut self, cells: usize) -> Option<Row> {
        let line = self.line.as_mut()?;
        if line.len() <= cells {
            return None;
        }
        let (mut taken, mut shown) = (0, String::new());
        let at = line.char_indices().find_map(|(at, c)| {
            shown.clear();
            make_visible(c.encode_utf8(&mut [0; 4]), &mut shown);
            taken += if c == '\t' { 8 } else { width(&shown) };
            (taken > cells).then_some(at)
        })?;
        let rest = line.split_off(at);
        let mut row = Row::default();
        self.highlighter.line(line, &mut row);
        *line = rest;
        Some(row)
    }
}
