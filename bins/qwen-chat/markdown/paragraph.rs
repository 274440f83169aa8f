//! A paragraph while it grows, and how the first rows of a text that has grown too tall are taken out of it.

use super::inline;
use super::screen::Row;
use super::style::Style;
use super::wrap::{LongWords, Wrapped, wrap};

/// The room for a text that may still change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// The width of the terminal.
    pub(super) columns: usize,
    /// The width of the text, beside what stands before it.
    pub(super) width: usize,
    /// How many of the terminal's rows it may take.
    pub(super) rows: usize,
}

impl Room {
    /// A word of more rows than may change is broken, so that its first ones can be drawn for good.
    pub(super) const fn long_words(self) -> LongWords {
        LongWords::BreakAfter(self.width + self.columns * self.rows.saturating_sub(1))
    }

    /// Breaks text into rows, of which those with a long word take several of the terminal's.
    pub(super) fn wrap(self, cells: &[inline::Cell]) -> Vec<Wrapped> {
        wrap(cells, self.width, self.long_words())
    }

    /// Returns how many of the terminal's rows a row takes.
    pub(super) fn height(self, row: &Row) -> usize {
        row.height(self.columns - self.width.min(self.columns), self.columns)
    }

    /// True for a text that is surely not too tall: a character takes one cell or two, a control up to eight; a line feed
    /// ends a row, and a tag may.
    fn surely_holds(self, text: &str) -> bool {
        text.len() < self.rows * self.width / 4 && text.matches(['\n', '<']).count() < self.rows / 2
    }
}

/// Takes the first rows out of a text that is too tall, where no emphasis, code or link is cut if that can be. Returns them
/// and where the rest begins; `None` where the text fits.
pub(super) fn cut(text: &str, style: Style, room: Room) -> Option<(Vec<Row>, usize)> {
    if room.surely_holds(text) {
        return None;
    }
    let inline = inline::parse(text, style);
    let mut rows = room.wrap(&inline.cells);
    let mut below: usize = rows.iter().map(|line| room.height(&line.row)).sum();
    if below <= room.rows {
        return None;
    }
    // Half of what may change stays, so that not every row is a cut of its own.
    let mut candidates = Vec::new();
    for (place, pair) in rows.windows(2).enumerate() {
        below -= room.height(&pair[0].row);
        let at = pair[1].at;
        if (1..text.len()).contains(&at) && (below >= room.rows / 2 || candidates.is_empty()) {
            candidates.push((place + 1, at));
        }
    }
    let is_free =
        |(_, at): &&(usize, usize)| !inline.whole.iter().any(|span| span.start < *at && *at < span.end);
    let last = candidates.last();
    let &(row, at) = candidates.iter().rev().find(is_free).or(last)?;
    rows.truncate(row);
    Some((plain(rows), at))
}

/// The lines of a paragraph, as far as they are not drawn for good.
#[derive(Clone, Debug, Default)]
pub(super) struct Paragraph {
    pub(super) text: String,
    /// Where the last line begins; `None` when a part of it is drawn for good.
    pub(super) last: Option<usize>,
    /// A part of the paragraph is drawn for good.
    pub(super) is_cut: bool,
}

impl Paragraph {
    /// Adds a line.
    pub(super) fn add(&mut self, words: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.last = Some(self.text.len());
        self.text.push_str(words);
    }

    /// Returns its rows; none when all of it is drawn for good.
    pub(super) fn rows(&self, room: Room) -> Vec<Row> {
        rows(&self.text, room)
    }

    /// Returns its rows as they look so far. A line that may be the head of a table waits for the one after it.
    pub(super) fn open_rows(&self, room: Room) -> Vec<Row> {
        match self.last.filter(|&last| self.text[last..].starts_with('|')) {
            Some(last) => rows(&self.text[..last.saturating_sub(1)], room),
            None => rows(&format!("{}{}", self.text, inline::missing(&self.text)), room),
        }
    }

    /// Takes out the first rows as long as it is too tall.
    pub(super) fn settle(&mut self, room: Room) -> Vec<Row> {
        let mut done = Vec::new();
        while let Some((rows, at)) = cut(&self.text, Style::default(), room) {
            done.extend(rows);
            self.last = self.last.filter(|&last| last >= at).map(|last| last - at);
            self.text.drain(..at);
            self.is_cut = true;
        }
        done
    }
}

fn rows(text: &str, room: Room) -> Vec<Row> {
    if text.is_empty() {
        return Vec::new();
    }
    plain(room.wrap(&inline::parse(text, Style::default()).cells))
}

/// The rows alone.
pub(super) fn plain(rows: Vec<Wrapped>) -> Vec<Row> {
    rows.into_iter().map(|line| line.row).collect()
}
