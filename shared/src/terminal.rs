//! The controlling terminal: questions, hidden input, and the modes that are put back whatever ends the program.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::thread;

use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};
use zeroize::{Zeroize, Zeroizing};

use super::exit::{Exit, Failure, io_reason};
use super::secret::Secret;
use super::signal::{self, Caught, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};

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

    /// True when this process is in the foreground of the terminal: what it asks is seen, and it may read.
    #[must_use]
    pub fn is_foreground(&self) -> bool {
        tcgetpgrp(&self.writer).is_ok_and(|group| group == rustix::process::getpgrp())
    }

    /// Prints text unchanged. Pass text from outside through [`super::text::one_line`] first.
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
        let line = read_line(writer, reader, &mut again).map_err(|error| gone(&error))?;
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

/// The longest secret that is read, in bytes. The terminal's own line mode would cut at 4,095.
const LIMIT: usize = 64 << 10;

/// Reads a line with echo off; `None` when the terminal ends (Ctrl-D on an empty line).
///
/// Whatever ends or stops the program meanwhile finds the terminal as it was: the signal waits until the modes are
/// restored, then does what it does. After a stop (Ctrl-Z) `again` is called and reading begins anew.
pub(super) fn read_line(
    tty: &File,
    reader: &mut BufReader<File>,
    again: &mut dyn FnMut(),
) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(4096));
    loop {
        // Dropped last: a signal that came and was not taken finds the terminal restored.
        let signals = signal::catch(&[SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP])?;
        let came = {
            let _hidden = Modes::hide_input(tty)?;
            type_into(&mut line, tty, reader, &signals)?
        };
        match came {
            Came::Line => return Ok(Some(line)),
            Came::End => return Ok(None),
            Came::Signal(number) => {
                signal::default_action(number)?;
                // Nobody remembers which part of a secret they typed unseen before the stop.
                line.clear();
                again();
            }
        }
    }
}

/// What ended a stretch of typing.
enum Came {
    Line,
    End,
    Signal(i32),
}

fn type_into(
    line: &mut Vec<u8>,
    tty: &File,
    reader: &mut BufReader<File>,
    signals: &Caught,
) -> io::Result<Came> {
    loop {
        if reader.buffer().is_empty() {
            if let Some(signal) = signals.or_readable(&tty)? {
                return Ok(Came::Signal(signal));
            }
            if reader.fill_buf()?.is_empty() {
                return Ok(Came::End);
            }
        }
        while let Some(&byte) = reader.buffer().first() {
            reader.consume(1);
            match byte {
                b'\n' | b'\r' => return Ok(Came::Line),
                0x04 if line.is_empty() => return Ok(Came::End),
                0x08 | 0x7f => rub_out(line),
                0x15 => line.clear(),
                _ if line.len() < LIMIT => line.push(byte),
                _ => return Err(io::Error::other("the line is too long")),
            }
        }
    }
}

/// Takes the last character away, all of its bytes.
fn rub_out(line: &mut Vec<u8>) {
    while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

/// The modes of a terminal, which are put back when this is dropped.
struct Modes<Tty: AsFd> {
    tty: Tty,
    before: Termios,
}

impl<Tty: AsFd> Modes<Tty> {
    /// Notes the modes as they are.
    fn of(tty: Tty) -> io::Result<Self> {
        let before = tcgetattr(&tty)?;
        Ok(Self { tty, before })
    }

    /// Takes echo and line mode away.
    fn hide_input(tty: Tty) -> io::Result<Self> {
        let noted = Self::of(tty)?;
        let mut modes = noted.before.clone();
        modes
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON);
        modes.local_modes.insert(LocalModes::ISIG);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&noted.tty, OptionalActions::Now, &modes)?;
        Ok(noted)
    }
}

impl<Tty: AsFd> Drop for Modes<Tty> {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.tty, OptionalActions::Now, &self.before);
    }
}

/// Ends the marks around pasted text, which a line editor asks the terminal for (xterm, private mode 2004).
const NO_PASTE_MARKS: &[u8] = b"\x1b[?2004l";

/// Sees to it that a signal that ends this program leaves the terminal as it is now: a line editor takes echo and line
/// mode away while it reads, and gives them back only when it returns. Ctrl-C is the editor's own.
///
/// # Errors
/// Standard input is no terminal, or the system gives no descriptors or no thread.
pub fn keep_terminal_modes() -> io::Result<()> {
    let modes = Modes::of(stdin())?;
    let signals = signal::catch(&[SIGHUP, SIGQUIT, SIGTERM])?;
    thread::Builder::new()
        .name("terminal".to_owned())
        .spawn(move || {
            if let Ok(number) = signals.wait() {
                drop(modes);
                let _ = rustix::io::write(stdout(), NO_PASTE_MARKS);
                let _ = signal::end_by_signal(number);
            }
        })?;
    Ok(())
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
