//! Questions to the person at the terminal.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};

use crate::exit::Exit;
use crate::failure::{Failure, io_reason};

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

    /// Asks on one line and returns the answer without its line end, trimmed.
    ///
    /// # Errors
    /// Exit 74 when the terminal has gone, also at end of file (Ctrl-D).
    pub fn ask(&mut self, question: &str) -> Result<String, Failure> {
        self.print(question)?;
        let mut answer = String::new();
        match self.reader.read_line(&mut answer) {
            Ok(0) => {
                self.print("\n")?;
                Err(Failure::new(Exit::Io, "no answer on the terminal"))
            }
            Ok(_) => Ok(answer.trim().to_owned()),
            Err(error) => Err(gone(&error)),
        }
    }

    /// Returns the width in columns; 80 when the terminal does not say.
    #[must_use]
    pub fn columns(&self) -> u16 {
        rustix::termios::tcgetwinsize(&self.writer)
            .ok()
            .map(|size| size.ws_col)
            .filter(|&columns| columns > 0)
            .unwrap_or(80)
    }
}

fn gone(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Io, format!("cannot use the terminal: {}", io_reason(error)))
}
