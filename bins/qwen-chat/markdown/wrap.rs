//! Words onto rows.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::inline::Cell;
use super::screen::Row;
use super::style::{Role, Style};

/// A row of text without what stands before it, and where its first word comes from.
#[derive(Debug, Default)]
pub(super) struct Wrapped {
    pub(super) row: Row,
    pub(super) width: usize,
    pub(super) at: usize,
}

/// What to do with a word that is wider than the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LongWords {
    /// They stay in one piece, which the terminal goes on with in its next row: addresses and paths can be copied. Only one
    /// of more cells than this is broken.
    BreakAfter(usize),
    /// They are broken, where something stands beside them.
    Break,
}

/// Breaks text into rows of `width` cells. There is at least one row.
pub(super) fn wrap(cells: &[Cell], width: usize, long: LongWords) -> Vec<Wrapped> {
    let mut wrapper = Wrapper {
        width: width.max(2),
        long,
        rows: vec![Wrapped::default()],
        is_empty: true,
        blank: None,
    };
    let mut word = 0..0;
    for (place, cell) in cells.iter().enumerate() {
        let is_blank = cell.c.is_whitespace() && cell.c != '\u{a0}';
        let breaks = is_blank || (!word.is_empty() && may_break(cells[place - 1].c, cell.c));
        if breaks {
            wrapper.word(&cells[std::mem::take(&mut word)]);
        }
        match (cell.c, is_blank) {
            ('\n', _) => wrapper.end_row(),
            (_, true) => wrapper.blank(cell.style),
            _ if word.is_empty() => word = place..place + 1,
            _ => word.end = place + 1,
        }
    }
    wrapper.word(&cells[word]);
    wrapper.rows
}

/// The width of text in cells. Terminals differ about sequences of emoji; the larger number fits everywhere.
pub(super) fn width(text: &str) -> usize {
    let single: usize = text.chars().map(|c| c.width().unwrap_or(0)).sum();
    single.max(text.width())
}

struct Wrapper {
    width: usize,
    long: LongWords,
    rows: Vec<Wrapped>,
    /// The last row has no word yet.
    is_empty: bool,
    /// So many blanks in this style come before the next word, unless the row ends.
    blank: Option<(Style, usize)>,
}

impl Wrapper {
    fn end_row(&mut self) {
        self.rows.push(Wrapped::default());
        self.is_empty = true;
        self.blank = None;
    }

    /// Adds a blank. Only in code two are more than one.
    fn blank(&mut self, style: Style) {
        self.blank = match self.blank {
            Some((before, count)) if before == style && style.role == Role::Code => Some((style, count + 1)),
            Some(before) => Some(before),
            None => Some((style, 1)),
        };
    }

    fn word(&mut self, cells: &[Cell]) {
        let Some(first) = cells.first() else {
            return;
        };
        let text: String = cells.iter().map(|cell| cell.c).collect();
        let needed = width(&text);
        let taken = self.rows.last().map_or(0, |last| last.width);
        let blank = self.blank.take();
        let blanks = blank.map_or(0, |(_, count)| count);
        if !self.is_empty && taken + blanks + needed > self.width {
            self.end_row();
        } else if let (Some((style, count)), false) = (blank, self.is_empty) {
            self.put(style, &" ".repeat(count), count);
        }
        let widest = match self.long {
            LongWords::Break => self.width,
            LongWords::BreakAfter(widest) => widest.max(self.width),
        };
        if needed > widest {
            return self.broken(cells, widest);
        }
        self.begin(first.at);
        let mut start = 0;
        let mut bytes = text.char_indices().map(|(at, _)| at).chain([text.len()]).skip(1);
        for (place, cell) in cells.iter().enumerate() {
            let end = bytes.next().unwrap_or(text.len());
            if cells.get(place + 1).is_none_or(|next| next.style != cell.style) {
                self.put(cell.style, &text[start..end], 0);
                start = end;
            }
        }
        if let Some(last) = self.rows.last_mut() {
            last.width += needed;
        }
    }

    /// Notes where the row's first word comes from.
    fn begin(&mut self, at: usize) {
        if std::mem::take(&mut self.is_empty)
            && let Some(last) = self.rows.last_mut()
        {
            last.at = at;
        }
    }

    fn broken(&mut self, cells: &[Cell], widest: usize) {
        for cell in cells {
            let mut buffer = [0; 4];
            let text = cell.c.encode_utf8(&mut buffer);
            let needed = width(text);
            if self.rows.last().is_some_and(|last| last.width + needed > widest) {
                self.end_row();
            }
            self.begin(cell.at);
            self.put(cell.style, text, needed);
        }
    }

    fn put(&mut self, style: Style, text: &str, width: usize) {
        if let Some(last) = self.rows.last_mut() {
            last.row.push(style, text);
            last.width += width;
        }
    }
}

/// True where a line may break without a blank: beside wide characters, but not before the marks that end a clause.
fn may_break(before: char, c: char) -> bool {
    const CLOSING: &str = "，。、！？；：）」』】》〉”’…—ー々％";
    const OPENING: &str = "（「『【《〈“‘";
    let wide = |c: char| c.width() == Some(2) && !is_emoji(c);
    c.width() != Some(0) && (wide(before) || wide(c)) && !CLOSING.contains(c) && !OPENING.contains(before)
}

/// Emoji join into sequences, which must stay together.
fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}')
}
