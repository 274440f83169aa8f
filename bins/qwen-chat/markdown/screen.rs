//! Rows on the terminal: which of them are drawn, and how the last ones are drawn anew.

use qwen_shared::net::config::Theme;
use unicode_width::UnicodeWidthChar;

use super::style::Style;

/// Width and height of the terminal, in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// One row of the drawing. What is wider than the terminal goes on in the terminal's next row, without a break that
/// copying would copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) runs: Vec<(Style, String)>,
}

impl Row {
    /// Makes a row of one run.
    pub(crate) fn of(style: Style, text: impl Into<String>) -> Self {
        let mut row = Self::default();
        row.push(style, &text.into());
        row
    }

    /// Appends text without controls other than tabs.
    pub(crate) fn push(&mut self, style: Style, text: &str) {
        match self.runs.last_mut() {
            _ if text.is_empty() => {}
            Some((same, run)) if *same == style => run.push_str(text),
            _ => self.runs.push((style, text.to_owned())),
        }
    }

    /// Returns how many rows of the terminal it takes behind so many cells.
    pub(crate) fn height(&self, before: usize, columns: usize) -> usize {
        let (mut height, mut column) = (1, before);
        for c in self.runs.iter().flat_map(|(_, text)| text.chars()) {
            let width = if c == '\t' {
                tab(column, columns).unwrap_or(1)
            } else {
                c.width().unwrap_or(0)
            };
            if column + width > columns {
                (height, column) = (height + 1, 0);
            }
            column += width;
        }
        height
    }

    /// Puts a blank in the place of each tab for which the terminal's row has no room: the terminal would stay in its last
    /// column, and the next character would be drawn over the one there.
    fn fit_tabs(&mut self, columns: usize) {
        if !self.runs.iter().any(|(_, text)| text.contains('\t')) {
            return;
        }
        let mut column = 0;
        for (_, text) in &mut self.runs {
            let fitted = text.chars().map(|c| {
                let tab = (c == '\t').then(|| tab(column, columns));
                let width = tab.map_or(c.width().unwrap_or(0), |tab| tab.unwrap_or(1));
                column = if column + width > columns {
                    width
                } else {
                    column + width
                };
                if tab == Some(None) { ' ' } else { c }
            });
            *text = fitted.collect();
        }
    }

    /// Returns the place after the part that `shorter` has already: the run, and the byte in it. `None` where it has
    /// something else.
    fn after(&self, shorter: &Self) -> Option<(usize, usize)> {
        let Some(((style, text), before)) = shorter.runs.split_last() else {
            return Some((0, 0));
        };
        let last = before.len();
        let (own_style, own) = self.runs.get(last)?;
        let goes_on = self.runs[..last] == *before && own_style == style && own.starts_with(text.as_str());
        goes_on.then_some((last, text.len()))
    }
}

/// Returns how wide a tab is; `None` where the row ends before the next stop.
fn tab(column: usize, columns: usize) -> Option<usize> {
    let stop = (column / 8 + 1) * 8;
    (stop < columns).then(|| stop - column)
}

/// The rows of the answer that may still change, as they are on the terminal.
///
/// The cursor is behind the last of them; without any it is at the beginning of a row.
#[derive(Debug)]
pub(crate) struct Screen {
    size: fn() -> Size,
    theme: Theme,
    live: Vec<Row>,
    /// The size for which they were drawn.
    drawn_for: Size,
}

impl Screen {
    pub(crate) fn new(size: fn() -> Size, theme: Theme) -> Self {
        Self {
            size,
            theme,
            live: Vec::new(),
            drawn_for: size(),
        }
    }

    /// Asks the terminal for its size.
    pub(crate) fn size(&self) -> Size {
        let Size { columns, rows } = (self.size)();
        Size {
            columns: columns.max(8),
            rows: rows.max(4),
        }
    }

    /// Puts rows in the place of those that may still change: `done`, which are left alone from now on, and `live`.
    pub(crate) fn update(&mut self, mut done: Vec<Row>, live: Vec<Row>, out: &mut Vec<u8>) {
        let size = self.size();
        let count = done.len();
        done.extend(live);
        done.iter_mut().for_each(|row| row.fit_tabs(size.columns));
        let same = self.live.iter().zip(&done).take_while(|(a, b)| a == b).count();
        let next = self.go_back(same, &done, size, out);
        if let Some((at, start)) = next {
            self.draw(&done[at..], start, out);
        }
        self.live = done.split_off(count);
        if self.live.is_empty() && count > 0 {
            out.push(b'\n');
        }
        self.drawn_for = size;
    }

    /// Takes the rows that may still change off the screen; false where there are none. The cursor is `typed` cells
    /// behind them.
    pub(crate) fn hide(&mut self, typed: usize, out: &mut Vec<u8>) -> bool {
        let Some(last) = self.live.last_mut() else {
            return false;
        };
        last.push(Style::default(), &" ".repeat(typed));
        self.update(Vec::new(), Vec::new(), out);
        true
    }

    /// Moves the cursor to where the new rows begin to differ. Returns the row that is drawn first, and where in it;
    /// `None` when nothing is to be drawn.
    fn go_back(
        &self,
        same: usize,
        rows: &[Row],
        size: Size,
        out: &mut Vec<u8>,
    ) -> Option<(usize, (usize, usize))> {
        if self.live.is_empty() {
            return (!rows.is_empty()).then_some((0, (0, 0)));
        }
        if same == self.live.len() && same <= rows.len() {
            // Behind the last of them; the next row begins with a line feed.
            let last = same - 1;
            return rows[last].after(&self.live[last]).map(|start| (last, start));
        }
        if same + 1 == self.live.len()
            && let Some(start) = rows.get(same).and_then(|row| row.after(&self.live[same]))
        {
            return Some((same, start));
        }
        let mut first = same.min(rows.len().saturating_sub(1));
        let mut up = self.up(first, size);
        // What has scrolled away is left as it is.
        while up >= size.rows && first + 1 < rows.len().min(self.live.len()) {
            first += 1;
            up = self.up(first, size);
        }
        let up = up.min(size.rows - 1);
        if up > 0 {
            out.extend_from_slice(format!("\x1b[{up}A").as_bytes());
        }
        // Not from the first column: tmux keeps what stands on a screen that is erased from its beginning.
        out.extend_from_slice(b"\r \x1b[J\r\x1b[K");
        (first < rows.len()).then_some((first, (0, 0)))
    }

    /// Returns how many rows the cursor is below the beginning of a row. After a change of the terminal's size nobody
    /// can say whether its rows were broken anew; the smaller number never reaches what is not ours.
    fn up(&self, first: usize, size: Size) -> usize {
        let height = |columns| -> usize { self.live[first..].iter().map(|row| row.height(0, columns)).sum() };
        height(self.drawn_for.columns)
            .min(height(size.columns))
            .saturating_sub(1)
    }

    /// Draws rows, the first of them from a place on.
    fn draw(&self, rows: &[Row], start: (usize, usize), out: &mut Vec<u8>) {
        let (mut run, mut byte) = start;
        for (place, row) in rows.iter().enumerate() {
            if place > 0 {
                out.push(b'\n');
            }
            for (style, text) in row.runs.iter().skip(std::mem::take(&mut run)) {
                style.paint(&text[std::mem::take(&mut byte)..], self.theme, out);
            }
        }
    }
}
