//! The line of the terminal that a bar is drawn on.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::TermLike;

/// Columns that are left free at the right: what is drawn is filled up to its width, and the `^C` that a terminal shows
/// of itself has to stay on the line to be wiped with it.
const FREE: u16 = 6;
/// The width where the terminal does not know its own.
const USUAL: u16 = 80;

/// Standard error, a little narrower than it is. What is written goes out in one piece, so that nothing flickers.
#[derive(Debug, Default)]
pub(super) struct Strip(Mutex<Vec<u8>>);

impl Strip {
    fn put(&self, text: &str) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(text.as_bytes());
    }

    fn move_by(&self, count: usize, direction: char) {
        if count > 0 {
            self.put(&format!("\x1b[{count}{direction}"));
        }
    }
}

impl TermLike for Strip {
    fn width(&self) -> u16 {
        let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr());
        let columns = size.map_or(0, |size| size.ws_col);
        let columns = if columns == 0 { USUAL } else { columns };
        columns.saturating_sub(FREE).max(1)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_by(n, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_by(n, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_by(n, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_by(n, 'D');
        Ok(())
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.put(s);
        self.put("\r\n");
        Ok(())
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.put(s);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.put("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = io::stderr().write_all(&written);
        written.clear();
        outcome
    }
}
