//! Words onto lines: what is printed, and where the line breaks.

use unicode_width::UnicodeWidthStr;

use super::line::Line;
use super::style::Style;

/// Bullets, numbers and quote bars.
const DIM: Style = Style {
    bold: false,
    italic: false,
    underline: false,
    strike: false,
    dim: true,
    code: false,
    heading: false,
};

/// Where the cursor is, as far as we moved it.
#[derive(Debug)]
pub(crate) struct Screen {
    columns: fn() -> usize,
    column: usize,
    /// Blanks that come before the next word unless the line is broken there.
    blanks: usize,
    /// The word so far, in its styles: it is printed when it is known to be whole.
    word: Vec<(Style, String)>,
    /// The prefix of the line when it is wrapped.
    rest: String,
    /// A blank line is due before the next block.
    gap: bool,
}

impl Screen {
    pub(crate) fn new(columns: fn() -> usize) -> Self {
        Self {
            columns,
            column: 0,
            blanks: 0,
            word: Vec::new(),
            rest: String::new(),
            gap: false,
        }
    }

    /// Prints characters `from..to` of a line. A word at the end of them waits until it is known to be whole.
    pub(crate) fn print(&mut self, line: &Line, from: usize, to: usize, out: &mut Vec<u8>) {
        if from == 0 {
            if std::mem::take(&mut self.gap) {
                out.push(b'\n');
            }
            self.put(DIM, &line.first, out);
            line.rest.clone_into(&mut self.rest);
        }
        let cells = line
            .spans
            .iter()
            .flat_map(|span| span.text.chars().map(|c| (span.style, c)))
            .take(to)
            .skip(from);
        for (style, c) in cells {
            if line.rigid {
                self.add(style, c);
            } else {
                self.take(style, c, out);
            }
        }
        if line.rigid {
            self.flush_word(false, out);
        }
    }

    /// Ends the line.
    pub(crate) fn break_line(&mut self, out: &mut Vec<u8>) {
        self.flush_word(true, out);
        out.push(b'\n');
        (self.column, self.blanks) = (0, 0);
    }

    /// Ends a block: a blank line goes before the next one.
    pub(crate) fn end_block(&mut self, out: &mut Vec<u8>) {
        self.break_line(out);
        self.gap = true;
    }

    fn take(&mut self, style: Style, c: char, out: &mut Vec<u8>) {
        if c.is_whitespace() && c != '\u{a0}' {
            self.flush_word(true, out);
            self.blanks = 1;
            return;
        }
        let before = self.word.last().and_then(|(_, text)| text.chars().next_back());
        if before.is_some_and(|before| may_break(before, c)) {
            self.flush_word(true, out);
        }
        self.add(style, c);
    }

    fn add(&mut self, style: Style, c: char) {
        match self.word.last_mut() {
            Some((same, text)) if *same == style => text.push(c),
            _ => self.word.push((style, c.to_string())),
        }
    }

    /// Prints the word; on a new line when it does not fit on this one and `wraps`.
    fn flush_word(&mut self, wraps: bool, out: &mut Vec<u8>) {
        let word = std::mem::take(&mut self.word);
        if word.is_empty() {
            return;
        }
        let width: usize = word.iter().map(|(_, text)| text.width()).sum();
        let blanks = std::mem::take(&mut self.blanks);
        let columns = (self.columns)().max(8);
        if wraps && self.column + blanks + width > columns && self.column > self.rest.width() {
            out.push(b'\n');
            self.column = self.rest.width();
            DIM.paint(&self.rest, out);
        } else {
            out.extend(std::iter::repeat_n(b' ', blanks));
            self.column += blanks;
        }
        for (style, text) in word {
            style.paint(&text, out);
        }
        self.column += width;
    }

    fn put(&mut self, style: Style, text: &str, out: &mut Vec<u8>) {
        style.paint(text, out);
        self.column += text.width();
    }
}

/// True where a line may break without a blank: beside wide characters, but not before the marks that end a clause.
fn may_break(before: char, c: char) -> bool {
    const CLOSING: &str = "，。、！？；：）」』】》〉”’…—ー々％";
    const OPENING: &str = "（「『【《〈“‘";
    let wide = |c: char| unicode_width::UnicodeWidthChar::width(c) == Some(2) && !is_emoji(c);
    (wide(before) || wide(c)) && !CLOSING.contains(c) && !OPENING.contains(before)
}

/// Emoji join into sequences, which must stay together.
fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}')
}
