//! Questions that are drawn: a list to choose from, and a line.

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::terminal::{Event, Key, Terminal};
use qwen_shared::text::wrap;
use unicode_width::UnicodeWidthStr;

use crate::frame::{Frame, Look, Position, Row, broken};
use crate::questions::Choice;
use crate::typed_line::{TypedLine, cut_to};

/// How many columns stand before an option.
const MARK: usize = 2;

/// How many options are drawn at once, at most.
const PAGE: usize = 15;

/// How many rows of what is typed are shown before the cursor, and behind it.
const TYPED_ROWS: usize = 2;

/// What comes of a key.
#[derive(Debug, PartialEq, Eq)]
enum Step<Answer> {
    Stay,
    Answer(Answer),
    /// Escape, where it leaves the question.
    Leave,
    /// Ctrl-D.
    End,
}

trait Drawn {
    type Answer;

    /// Returns the rows for a terminal of so many columns and rows, and where the cursor is.
    fn rows(&mut self, columns: usize, rows: usize) -> (Vec<Row>, Position);

    fn press(&mut self, key: Key) -> Step<Self::Answer>;
}

/// Asks a question until it is answered, and leaves nothing of it on the screen; `None` at Escape.
fn ask<Question: Drawn>(
    terminal: &mut Terminal,
    question: &mut Question,
    is_coloured: bool,
) -> Result<Option<Question::Answer>, Failure> {
    let mut keys = terminal.keys()?;
    let mut frame = Frame::new(is_coloured);
    loop {
        if !keys.is_pending() {
            let (columns, rows) = terminal.size();
            let (rows, cursor) = question.rows(usize::from(columns), usize::from(rows));
            frame.draw(terminal, &rows, cursor)?;
        }
        match keys.read()? {
            Event::Resized => {}
            Event::Signal(number) => {
                frame.leave(terminal)?;
                keys.act_on(number)?;
            }
            Event::Key(key) => match question.press(key) {
                Step::Stay => {}
                Step::Answer(answer) => {
                    frame.erase(terminal)?;
                    return Ok(Some(answer));
                }
                Step::Leave => {
                    frame.erase(terminal)?;
                    return Ok(None);
                }
                Step::End => {
                    frame.leave(terminal)?;
                    return Err(Failure::new(Exit::Io, "no answer on the terminal"));
                }
            },
        }
    }
}

/// Has an option of a list chosen; returns its index and what was typed.
///
/// # Errors
/// Exit 74 when the terminal has gone.
pub(crate) fn choose(
    terminal: &mut Terminal,
    choice: &Choice<'_>,
    is_coloured: bool,
) -> Result<(usize, String), Failure> {
    let mut list = List::new(choice);
    loop {
        if let Some(chosen) = ask(terminal, &mut list, is_coloured)? {
            return Ok((chosen, list.typed.text()));
        }
    }
}

/// Has a line typed that begins with `typed`; `None` at Escape.
///
/// # Errors
/// Exit 74 when the terminal has gone.
pub(crate) fn type_line(
    terminal: &mut Terminal,
    question: &str,
    default: Option<&str>,
    typed: &str,
    is_coloured: bool,
) -> Result<Option<String>, Failure> {
    let mut line = Line {
        question: match default {
            Some(default) => format!("{question} ({default})"),
            None => question.to_owned(),
        },
        typed: TypedLine::new(typed),
    };
    ask(terminal, &mut line, is_coloured)
}

/// Returns the rows of a question and what is typed behind it, and where the cursor is.
fn question_rows(question: &str, typed: &TypedLine, columns: usize) -> (Vec<Row>, Position) {
    // The last column stays free: a terminal goes to the next row after it, or not.
    let room = columns.saturating_sub(1).max(1);
    let (before, behind) = typed.around_cursor(room * TYPED_ROWS);
    let asked = format!("? {question}");
    let before = format!("{} {before}", wrap(&asked, room));
    let up_to_cursor = broken(&before, room);
    let cursor = Position {
        row: up_to_cursor.len() - 1,
        column: up_to_cursor.last().map_or(0, |row| row.width()),
    };
    let mut look = Look::Question;
    let rows = broken(&format!("{before}{behind}"), room)
        .into_iter()
        .map(|text| Row {
            look: std::mem::replace(&mut look, Look::Plain),
            text,
        });
    (rows.collect(), cursor)
}

/// A list that is narrowed down by typing.
struct List<'a> {
    choice: &'a Choice<'a>,
    typed: TypedLine,
    /// The options that fit what is typed, the best first.
    fitting: Vec<usize>,
    /// The marked one, an index into `fitting`.
    marked: usize,
    /// The first that is shown.
    top: usize,
    /// How many were shown.
    page: usize,
}

impl<'a> List<'a> {
    fn new(choice: &'a Choice<'a>) -> Self {
        Self {
            choice,
            typed: TypedLine::default(),
            fitting: choice.found(""),
            marked: 0,
            top: 0,
            page: 1,
        }
    }

    fn narrow_down(&mut self) {
        self.fitting = self.choice.found(&self.typed.text());
        (self.marked, self.top) = (0, 0);
    }

    /// Moves the mark; past an end the list goes round where one step was asked for.
    fn step(&mut self, key: Key) -> bool {
        let last = self.fitting.len().saturating_sub(1);
        self.marked = match key {
            Key::Up if self.marked == 0 => last,
            Key::Up => self.marked - 1,
            Key::Down if self.marked >= last => 0,
            Key::Down => self.marked + 1,
            Key::PageUp => self.marked.saturating_sub(self.page),
            Key::PageDown => last.min(self.marked + self.page),
            Key::Home if self.typed.is_empty() => 0,
            Key::End if self.typed.is_empty() => last,
            _ => return false,
        };
        true
    }

    /// Returns the lines of an option: words that are to be read are not cut, but names are, and what is in a list that is
    /// searched.
    fn lines(&self, index: usize, columns: usize) -> Vec<String> {
        let room = columns.saturating_sub(MARK + 1).max(1);
        let option = self.choice.options.get(index).map_or("", String::as_str);
        match self.choice.is_searched() || !option.contains(' ') {
            true => vec![cut_to(option, room)],
            false => broken(&wrap(option, room), room),
        }
    }

    /// Returns the rows of the options from `top` on, as many as there is room for.
    fn options(&mut self, columns: usize, room: usize) -> Vec<Row> {
        let shown: Vec<Vec<String>> = self
            .fitting
            .iter()
            .map(|&index| self.lines(index, columns))
            .collect();
        let fit = |from: usize| {
            let heights = shown.iter().skip(from).scan(0, |height, lines| {
                *height += lines.len();
                (*height <= room).then_some(())
            });
            heights.take(PAGE).count().max(1)
        };
        self.top = self.top.min(self.marked);
        while self.top + fit(self.top) <= self.marked {
            self.top += 1;
        }
        self.page = fit(self.top);
        let end = shown.len().min(self.top + self.page);
        let mut rows = Vec::new();
        for (at, lines) in shown.iter().enumerate().take(end).skip(self.top) {
            let (look, mark) = match at {
                at if at == self.marked => (Look::Chosen, '>'),
                at if at == self.top && at > 0 => (Look::Plain, '^'),
                at if at + 1 == end && end < shown.len() => (Look::Plain, 'v'),
                _ => (Look::Plain, ' '),
            };
            for (number, line) in lines.iter().enumerate() {
                let mark = if number == 0 { mark } else { ' ' };
                let text = format!("{mark} {line}");
                rows.push(Row { look, text });
            }
        }
        rows
    }
}

impl Drawn for List<'_> {
    type Answer = usize;

    fn rows(&mut self, columns: usize, rows: usize) -> (Vec<Row>, Position) {
        let (mut drawn, cursor) = question_rows(self.choice.question, &self.typed, columns);
        let help = match columns {
            ..37 => "",
            37..60 => "[arrows, Enter; typing narrows down]",
            _ => "[arrows to move, Enter to choose, type to narrow down]",
        };
        // A low terminal has the rows for options.
        let help = if rows < 8 { "" } else { help };
        let others = drawn.len() + usize::from(!help.is_empty());
        drawn.extend(self.options(columns, rows.saturating_sub(others + 1).max(1)));
        if !help.is_empty() {
            drawn.push(Row {
                look: Look::Chosen,
                text: help.to_owned(),
            });
        }
        (drawn, cursor)
    }

    fn press(&mut self, key: Key) -> Step<usize> {
        match key {
            Key::Enter => match self.fitting.get(self.marked) {
                Some(&index) => return Step::Answer(index),
                None => return Step::Stay,
            },
            Key::EndOfInput if self.typed.is_empty() => return Step::End,
            Key::Escape => {
                self.typed = TypedLine::default();
                self.narrow_down();
                return Step::Leave;
            }
            _ => {}
        }
        let before = self.typed.text();
        if !self.step(key) && self.typed.press(key) && self.typed.text() != before {
            self.narrow_down();
        }
        Step::Stay
    }
}

/// A line that is typed.
struct Line {
    question: String,
    typed: TypedLine,
}

impl Drawn for Line {
    type Answer = String;

    fn rows(&mut self, columns: usize, _rows: usize) -> (Vec<Row>, Position) {
        question_rows(&self.question, &self.typed, columns)
    }

    fn press(&mut self, key: Key) -> Step<String> {
        match key {
            Key::Enter => Step::Answer(self.typed.text().trim().to_owned()),
            Key::EndOfInput if self.typed.is_empty() => Step::End,
            Key::Escape => Step::Leave,
            key => {
                self.typed.press(key);
                Step::Stay
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use qwen_shared::terminal::Key;

    use super::{Drawn, Line, List, Step};
    use crate::questions::Choice;
    use crate::typed_line::TypedLine;

    fn shown(question: &mut impl Drawn, columns: usize, rows: usize) -> Vec<String> {
        let (drawn, _) = question.rows(columns, rows);
        assert!(drawn.len() < rows.max(4), "{drawn:?}");
        let texts: Vec<String> = drawn.into_iter().map(|row| row.text).collect();
        texts
            .iter()
            .for_each(|text| assert!(text.chars().count() < columns, "{text:?}"));
        texts
    }

    #[test]
    fn a_list_fits_any_terminal_and_the_mark_is_on_it() {
        let names: Vec<String> = (0..40).map(|number| format!("model-{number:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let choice = Choice::new("Which?", &names, 0);
        for (columns, rows) in [(80, 24), (40, 10), (20, 6), (16, 4), (200, 50)] {
            let mut list = List::new(&choice);
            for step in 0..names.len() {
                let shown = shown(&mut list, columns, rows);
                let marked = format!("> model-{step:02}");
                assert!(shown.contains(&marked), "{columns} {rows}: {shown:#?}");
                list.press(Key::Down);
            }
            // It goes round.
            assert!(shown(&mut list, columns, rows).contains(&"> model-00".to_owned()));
        }
    }

    #[test]
    fn of_a_list_that_is_read_no_word_is_cut() {
        let choice = Choice::new(
            "What now?",
            &["send it all the same, and remember that", "give up"],
            0,
        );
        let mut list = List::new(&choice);
        assert_eq!(
            shown(&mut list, 24, 24),
            [
                "? What now? ",
                "> send it all the same,",
                "    and remember that",
                "  give up"
            ]
        );
    }

    #[test]
    fn moving_in_what_is_typed_leaves_the_mark_where_it_is() {
        let choice = Choice::new("?", &["aa", "ab", "b"], 0);
        let mut list = List::new(&choice);
        for key in [Key::Char('a'), Key::Down, Key::Left, Key::Other] {
            assert_eq!(list.press(key), Step::Stay);
        }
        assert_eq!(list.press(Key::Enter), Step::Answer(1));
        list.press(Key::Char('z'));
        assert_eq!(list.press(Key::Enter), Step::Stay);
        assert_eq!(list.press(Key::EndOfInput), Step::Stay);
        assert_eq!(list.press(Key::Escape), Step::Leave);
        assert_eq!(list.press(Key::EndOfInput), Step::End);
    }

    #[test]
    fn a_question_is_broken_at_blanks_and_what_is_typed_goes_on_behind_it() {
        let mut line = Line {
            question: "base URL: (https://api.example.com/v1)".to_owned(),
            typed: TypedLine::new("http://x"),
        };
        let (rows, cursor) = line.rows(30, 24);
        let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        assert_eq!(
            texts,
            ["? base URL:", "  (https://api.example.com/v1", ") http://x"]
        );
        assert_eq!((cursor.row, cursor.column), (2, 10));
    }
}
