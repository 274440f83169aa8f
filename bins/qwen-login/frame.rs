//! The rows in which a question is drawn, and drawn anew.

use qwen_shared::exit::Failure;
use qwen_shared::terminal::Terminal;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How a row looks in colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    /// Its first character is green.
    Question,
    /// All of it is cyan.
    Chosen,
}

/// A line that is no wider than the terminal.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) look: Look,
    pub(crate) text: String,
}

impl Row {
    /// Returns the row as it is sent.
    fn sent(&self, is_coloured: bool) -> String {
        let text = &self.text;
        match (is_coloured, self.look) {
            (true, Look::Chosen) => format!("\u{1b}[36m{text}\u{1b}[m"),
            (true, Look::Question) => {
                let (mark, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
                format!("\u{1b}[32m{mark}\u{1b}[m{rest}")
            }
            _ => text.clone(),
        }
    }
}

/// A row, and a column in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) row: usize,
    pub(crate) column: usize,
}

/// What stands on the screen of a question.
///
/// The cursor is where the person types, near the top: what is below it can be erased without knowing how a terminal that was
/// made narrower has broken it.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    is_coloured: bool,
    /// The widths of the rows above the cursor's.
    above: Vec<usize>,
    column: usize,
}

impl Frame {
    pub(crate) fn new(is_coloured: bool) -> Self {
        Self {
            is_coloured,
            ..Self::default()
        }
    }

    /// Draws rows in the place of what is drawn.
    ///
    /// # Errors
    /// Exit 74 when the terminal has gone.
    pub(crate) fn draw(
        &mut self,
        terminal: &mut Terminal,
        rows: &[Row],
        cursor: Position,
    ) -> Result<(), Failure> {
        let lines: Vec<String> = rows.iter().map(|row| row.sent(self.is_coloured)).collect();
        let mut sent = format!("{}{}", self.back(terminal.columns()), lines.join("\r\n"));
        let below = rows.len().saturating_sub(cursor.row + 1);
        if below > 0 {
            sent.push_str(&format!("\u{1b}[{below}A"));
        }
        sent.push('\r');
        if cursor.column > 0 {
            sent.push_str(&format!("\u{1b}[{}C", cursor.column));
        }
        self.above = rows.iter().take(cursor.row).map(|row| row.text.width()).collect();
        self.column = cursor.column;
        terminal.print(&sent)
    }

    /// Takes away what is drawn.
    ///
    /// # Errors
    /// Exit 74 when the terminal has gone.
    pub(crate) fn erase(&mut self, terminal: &mut Terminal) -> Result<(), Failure> {
        let back = self.back(terminal.columns());
        self.forget();
        terminal.print(&back)
    }

    /// Leaves what is drawn up to the cursor, and goes to the line below it.
    ///
    /// # Errors
    /// Exit 74 when the terminal has gone.
    pub(crate) fn leave(&mut self, terminal: &mut Terminal) -> Result<(), Failure> {
        self.forget();
        terminal.print("\u{1b}[J\r\n")
    }

    fn forget(&mut self) {
        self.above.clear();
        self.column = 0;
    }

    /// Returns what leads back to the beginning and erases all from there on. A terminal that is narrower now has broken the
    /// rows anew.
    fn back(&self, columns: u16) -> String {
        let columns = usize::from(columns).max(1);
        let above: usize = self
            .above
            .iter()
            .map(|width| width.div_ceil(columns).max(1))
            .sum();
        match above + self.column / columns {
            0 => "\r\u{1b}[J".to_owned(),
            up => format!("\r\u{1b}[{up}A\u{1b}[J"),
        }
    }
}

/// Breaks lines at the columns that there are, in the middle of words; what was broken off is not indented.
pub(crate) fn broken(text: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if c == '\n' || used + width > columns {
            rows.push(String::new());
            used = 0;
        }
        if c != '\n'
            && let Some(row) = rows.last_mut()
        {
            row.push(c);
            used += width;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::{Frame, Look, Row, broken};

    #[test]
    fn no_row_is_wider_than_the_columns() {
        for (text, columns, rows) in [
            ("", 5, &[""][..]),
            ("abcde", 5, &["abcde"]),
            ("abcdef", 5, &["abcde", "f"]),
            ("a\nbcdefgh", 5, &["a", "bcdef", "gh"]),
            ("漢字漢", 5, &["漢字", "漢"]),
        ] {
            assert_eq!(broken(text, columns), rows);
        }
    }

    #[test]
    fn the_way_back_counts_the_rows_as_a_narrower_terminal_breaks_them() {
        let frame = |above: &[usize], column| Frame {
            above: above.to_vec(),
            column,
            ..Frame::default()
        };
        for (above, column, columns, up) in [
            (&[][..], 5, 40, "\r\u{1b}[J"),
            (&[39], 5, 40, "\r\u{1b}[1A\u{1b}[J"),
            (&[39], 25, 20, "\r\u{1b}[3A\u{1b}[J"),
            (&[0, 20], 0, 20, "\r\u{1b}[2A\u{1b}[J"),
        ] {
            assert_eq!(frame(above, column).back(columns), up);
        }
    }

    #[test]
    fn colour_is_sent_where_it_is_wanted() {
        let row = |look| Row {
            look,
            text: "? é".to_owned(),
        };
        for (look, sent) in [
            (Look::Plain, "? é"),
            (Look::Question, "\u{1b}[32m?\u{1b}[m é"),
            (Look::Chosen, "\u{1b}[36m? é\u{1b}[m"),
        ] {
            assert_eq!(row(look).sent(true), sent);
            assert_eq!(row(look).sent(false), "? é");
        }
    }
}
