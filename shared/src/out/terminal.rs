//! Questions to the person at the terminal.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};

use zeroize::{Zeroize, Zeroizing};

use super::hidden;
use crate::exit::Exit;
use crate::failure::{Failure, io_reason};
use crate::secret::Secret;

/// The controlling terminal, opened by its own name: it works while stdin and stdout are pipes.
#[derive(Debug)]
pub struct Terminal {
    writer: File,
    reader: BufReader<File>,
}

impl Terminal {
    /// Opens the terminal; `None` where the process has none (cron, CI, a service).
    #[must_use]
    pub fn open() -> Option<Self> {
        let writer = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        let reader = BufReader::new(writer.try_clone().ok()?);
        Some(Self { writer, reader })
    }

    /// Prints text as it is. The caller vouches for it: outside text goes through [`crate::text::one_line`] first.
    ///
    /// # Errors
    /// Exit 74 when the terminal has gone.
    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.writer
            .write_all(text.as_bytes())
            .map_err(|error| gone(&error))
    }

    /// Asks on one line and returns the answer without its line end, trimmed. Keys that move the cursor, and the marks
    /// that a terminal puts around pasted text, are not part of it.
    ///
    /// # Errors
    /// Exit 74 when the terminal has gone, also at end of file (Ctrl-D).
    pub fn ask(&mut self, question: &str) -> Result<String, Failure> {
        self.print(question)?;
        let mut answer = Vec::new();
        match self.reader.read_until(b'\n', &mut answer) {
            Ok(0) => self.no_answer(),
            Ok(_) => Ok(typed(&answer)),
            Err(error) => Err(gone(&error)),
        }
    }

    /// Asks for a secret: what is typed is not shown. Otherwise as [`Terminal::ask`].
    ///
    /// Ctrl-C ends the program and Ctrl-Z stops it as always; both find the echo restored.
    ///
    /// # Errors
    /// As [`Terminal::ask`].
    pub fn ask_hidden(&mut self, question: &str) -> Result<Secret<String>, Failure> {
        self.print(question)?;
        let Self { writer, reader } = self;
        let mut again = || {
            let _ = (&*writer).write_all(question.as_bytes());
        };
        let line = hidden::read_line(writer, reader, &mut again).map_err(|error| gone(&error))?;
        match line {
            None => self.no_answer(),
            Some(line) => {
                self.print("\n")?;
                Ok(Secret::new(typed(&line)))
            }
        }
    }

    fn no_answer<T>(&mut self) -> Result<T, Failure> {
        self.print("\n")?;
        Err(Failure::new(Exit::Io, "no answer on the terminal"))
    }

    /// Returns the width in columns; 80 when the terminal does not say.
    #[must_use]
    pub fn columns(&self) -> u16 {
        self.size().0
    }

    /// Returns width and height, in columns and rows; 80 and 24 where the terminal does not say.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        let size = rustix::termios::tcgetwinsize(&self.writer).ok();
        let or = |said: Option<u16>, usual| said.filter(|&cells| cells > 0).unwrap_or(usual);
        (
            or(size.map(|size| size.ws_col), 80),
            or(size.map(|size| size.ws_row), 24),
        )
    }
}

/// Makes of the bytes of a line what the person meant: without escape sequences, other controls, and blanks around.
fn typed(bytes: &[u8]) -> String {
    let text = Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
    let mut meant = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut rest),
            c if c.is_control() => {}
            c => meant.push(c),
        }
    }
    let trimmed = meant.trim().to_owned();
    meant.zeroize();
    trimmed
}

/// Skips what follows an escape: `[`, parameters and a final letter (ECMA-48, section 5.4), `O` and a letter, or one
/// character.
fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => {
            let _ = rest.find(|c| matches!(c, '@'..='~'));
        }
        Some('O') => {
            let _ = rest.next();
        }
        _ => {}
    }
}

fn gone(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Io, format!("cannot use the terminal: {}", io_reason(error)))
}

#[cfg(test)]
mod tests {
    use super::typed;

    #[test]
    fn a_line_is_what_the_person_meant() {
        for (bytes, meant) in [
            (&b"  gpt-4o \n"[..], "gpt-4o"),
            (b"\x1b[200~sk-pasted\x1b[201~\n", "sk-pasted"),
            (b"\x1b[201~next\r\n", "next"),
            (b"a\x1b[Ab\x1bOCc\x1b[1;5Dd", "abcd"),
            (b"a\x07\x00b", "ab"),
            (b"\xffx", "\u{fffd}x"),
            (b"\x1b", ""),
            ("mödel 漢".as_bytes(), "mödel 漢"),
        ] {
            assert_eq!(typed(bytes), meant);
        }
    }
}
