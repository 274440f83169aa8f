//! A terminal of any size, and what is on it.

use std::cell::Cell;

use qwen_shared::net::config::Theme;

use crate::markdown::{Markdown, Size};

thread_local! {
    static SIZE: Cell<Size> = const { Cell::new(Size { columns: 80, rows: 24 }) };
}

/// The terminal's size; the program asks for it before every line.
pub(super) const fn at(columns: usize, rows: usize) -> Size {
    Size { columns, rows }
}

/// Rows with their attributes, and which of them the terminal broke.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    rows: Vec<(String, Vec<u8>)>,
}

impl Rows {
    /// The words, without blanks at the ends of rows, and without blank rows at the end.
    pub(super) fn text(&self) -> String {
        let rows: Vec<&str> = self.rows.iter().map(|(text, _)| text.trim_end()).collect();
        rows.join("\n").trim_end_matches('\n').to_owned()
    }
}

/// An answer on a terminal.
pub(super) struct Emulator {
    markdown: Markdown,
    terminal: vt100::Parser,
    size: Size,
    bytes: usize,
}

impl Emulator {
    pub(super) fn new(size: Size) -> Self {
        SIZE.set(size);
        let (rows, columns) = (to_u16(size.rows), to_u16(size.columns));
        Self {
            markdown: Markdown::new(|| SIZE.get(), Theme::Dark),
            terminal: vt100::Parser::new(rows, columns, 100_000),
            size,
            bytes: 0,
        }
    }

    /// Adds a piece of the answer and draws all that came.
    pub(super) fn push(&mut self, text: &str) {
        let mut out = Vec::new();
        self.markdown.push(text, &mut out);
        self.markdown.draw(&mut out);
        self.show(&out);
    }

    /// Ends the answer; what is on the terminal then.
    pub(super) fn end(&mut self) -> Rows {
        let mut out = Vec::new();
        self.markdown.end(&mut out);
        self.show(&out);
        self.rows()
    }

    /// Resizes the terminal.
    pub(super) fn resize(&mut self, size: Size) {
        SIZE.set(size);
        self.size = size;
        let (rows, columns) = (to_u16(size.rows), to_u16(size.columns));
        self.terminal.screen_mut().set_size(rows, columns);
    }

    /// How many bytes were sent to the terminal.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sends bytes as the kernel passes them on: a line feed goes to the beginning of the next row.
    fn show(&mut self, out: &[u8]) {
        self.bytes += out.len();
        let mut rest = out;
        while let Some(at) = rest.windows(3).position(|start| start == b"\x1b[J") {
            self.process(&rest[..at]);
            let place = self.terminal.screen().cursor_position();
            assert_ne!(
                place,
                (0, 0),
                "tmux keeps a screen that is erased from its beginning"
            );
            self.process(&rest[at..at + 3]);
            rest = &rest[at + 3..];
        }
        self.process(rest);
    }

    fn process(&mut self, out: &[u8]) {
        // The emulator leaves out the character that stands for what is none; terminals draw one.
        let out = std::str::from_utf8(out).unwrap().replace('\u{fffd}', "?");
        for line in out.split_inclusive('\n') {
            self.terminal
                .process(line.strip_suffix('\n').unwrap_or(line).as_bytes());
            if line.ends_with('\n') {
                self.terminal.process(b"\r\n");
            }
        }
    }

    /// Everything on the terminal, what has scrolled away first.
    pub(super) fn rows(&mut self) -> Rows {
        let columns = to_u16(self.size.columns);
        let screen = self.terminal.screen_mut();
        let mut rows = Rows::default();
        screen.set_scrollback(usize::MAX);
        let above = screen.scrollback();
        for at in (0..=above).rev() {
            screen.set_scrollback(at);
            let take = if at == 0 { usize::MAX } else { 1 };
            let text = screen.rows(0, columns).take(take);
            let formatted = screen.rows_formatted(0, columns).take(take);
            rows.rows.extend(text.zip(formatted));
        }
        while rows.rows.last().is_some_and(|(text, _)| text.trim().is_empty()) {
            rows.rows.pop();
        }
        rows
    }
}

fn to_u16(number: usize) -> u16 {
    u16::try_from(number).unwrap()
}

/// Draws a text that comes in tokens of so many characters.
pub(super) fn stream(source: &str, size: Size, token: usize) -> Rows {
    let mut emulator = Emulator::new(size);
    let mut rest = source;
    while !rest.is_empty() {
        let end = rest.char_indices().nth(token).map_or(rest.len(), |(at, _)| at);
        emulator.push(&rest[..end]);
        rest = &rest[end..];
    }
    emulator.end()
}
