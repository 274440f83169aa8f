//! The controlling terminal: questions, hidden input, and the modes that are put back whatever ends the program.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;
#[cfg(feature = "net")]
use std::{io::Read, time::Instant};

use nix::unistd::{getpgrp, tcgetpgrp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr, tcsetattr,
};
use zeroize::{Zeroize, Zeroizing};

use super::exit::{Exit, Failure, io_reason};
use super::secret::Secret;
use super::signal::{self, SIGHUP, SIGQUIT, SIGTERM, SIGTSTP};
use super::text::{one_line, wrap};

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
        // Nothing is read ahead: who reads next, a line editor say, finds what was typed.
        let reader = BufReader::with_capacity(1, writer.try_clone().ok()?);
        Some(Self { writer, reader })
    }

    /// True where the cursor can be moved, so that a list can be drawn anew: by `TERM`, which is `dumb` or not set in an
    /// editor's shell.
    #[must_use]
    pub fn can_draw() -> bool {
        std::env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb")
    }

    /// True when this process is in the foreground of the terminal: what it asks is seen, and it may read.
    #[must_use]
    pub fn is_foreground(&self) -> bool {
        // Both are 0 where the group's leader is outside the PID namespace; rustix takes a number for one above 0.
        tcgetpgrp(&self.writer).is_ok_and(|group| group == getpgrp())
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

    /// Prints a line, broken at blanks as [`wrap`] does. As for [`Terminal::print`].
    ///
    /// # Errors
    /// As [`Terminal::print`].
    pub fn say(&mut self, line: &str) -> Result<(), Failure> {
        let line = wrap(line, usize::from(self.columns())).into_owned();
        self.print(&format!("{line}\n"))
    }

    /// Asks on one line and returns the answer without its line end, trimmed. Keys that move the cursor, and the marks
    /// that a terminal puts around pasted text, are not part of it.
    ///
    /// # Errors
    /// Exit 74 when the terminal has gone, also at end of file (Ctrl-D).
    pub fn ask(&mut self, question: &str) -> Result<String, Failure> {
        let question = wrap(question, usize::from(self.columns())).into_owned();
        self.print(&question)?;
        let mut answer = Vec::new();
        match self.reader.read_until(b'\n', &mut answer) {
            Ok(0) => self.no_answer(),
            Ok(_) => Ok(typed(&answer)),
            Err(error) => Err(gone(&error)),
        }
    }

    /// As [`Terminal::ask`], for a question that an accident must not answer: what was typed before it was seen is
    /// discarded. Ctrl-Z does nothing: a shell that waits for this program's output, as `eval $(…)` does, could not
    /// continue it.
    ///
    /// # Errors
    /// As [`Terminal::ask`].
    pub fn ask_afresh(&mut self, question: &str) -> Result<String, Failure> {
        let stops = signal::catch(&[SIGTSTP]).map_err(|error| gone(&error))?;
        tcflush(&self.writer, QueueSelector::IFlush).map_err(|errno| gone(&errno.into()))?;
        let typed_before = self.reader.buffer().len();
        self.reader.consume(typed_before);
        let answer = self.ask(question);
        while stops.take().is_some() {}
        answer
    }

    /// Asks for a secret: of what is typed, stars are shown, and nothing where the terminal [cannot draw](Self::can_draw).
    /// The Tab key shows the secret itself, once. Otherwise as [`Terminal::ask`].
    ///
    /// Ctrl-C ends the program and Ctrl-Z stops it as always; both find the echo restored.
    ///
    /// # Errors
    /// As [`Terminal::ask`].
    pub fn ask_hidden(&mut self, question: &str) -> Result<Secret<String>, Failure> {
        loop {
            let Self { writer, reader } = self;
            let line = HiddenLine::new(writer, question).read(reader);
            let line = line.map_err(|error| gone(&error))?;
            let Some(line) = line else {
                return self.no_answer();
            };
            self.print("\n")?;
            match line {
                Typed::Line(line) => return Ok(Secret::new(typed(&line))),
                Typed::Several => {
                    self.say("several lines were pasted, and one is asked for: none of them is used")?;
                }
            }
        }
    }

    /// Returns the modes as they are.
    ///
    /// # Errors
    /// The terminal has gone.
    #[cfg(feature = "net")]
    pub fn modes(&self) -> io::Result<Termios> {
        Ok(tcgetattr(&self.writer)?)
    }

    /// Puts modes back that were noted.
    ///
    /// # Errors
    /// The terminal has gone.
    #[cfg(feature = "net")]
    pub fn set_modes(&self, modes: &Termios) -> io::Result<()> {
        Ok(tcsetattr(&self.writer, OptionalActions::Now, modes)?)
    }

    /// Asks the terminal itself, by a control sequence, and returns what it answers until that is `whole`, `limit` is over
    /// or 1,024 bytes have come. `None` where something has been typed already, which the answer would be mixed up with.
    ///
    /// # Errors
    /// The terminal has gone.
    #[cfg(feature = "net")]
    pub fn query(
        &mut self,
        question: &[u8],
        limit: Duration,
        whole: fn(&[u8]) -> bool,
    ) -> io::Result<Option<Vec<u8>>> {
        if is_readable(&self.writer, Duration::ZERO) {
            return Ok(None);
        }
        let _raw = Modes::hide_input(self.writer.try_clone()?)?;
        self.writer.write_all(question)?;
        let end = Instant::now() + limit;
        let (mut answer, mut piece) = (Vec::new(), [0; 256]);
        while !whole(&answer) && answer.len() < 1024 {
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() || !is_readable(&self.writer, rest) {
                break;
            }
            match self.writer.read(&mut piece)? {
                0 => break,
                count => answer.extend_from_slice(&piece[..count]),
            }
        }
        Ok(Some(answer))
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
        size_of(&self.writer)
    }
}

fn size_of(tty: &File) -> (u16, u16) {
    let size = rustix::termios::tcgetwinsize(tty).ok();
    let or = |said: Option<u16>, usual| said.filter(|&cells| cells > 0).unwrap_or(usual);
    (
        or(size.map(|size| size.ws_col), 80),
        or(size.map(|size| size.ws_row), 24),
    )
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

/// True when something can be read within a limit, of which the part below a second counts.
fn is_readable(terminal: &File, limit: Duration) -> bool {
    let limit = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&limit)).is_ok_and(|count| count > 0)
}

fn gone(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Io, format!("cannot use the terminal: {}", io_reason(error)))
}

/// How long is waited for the next piece of pasted text: a person does not type that fast.
const PASTE_GAP: Duration = Duration::from_millis(20);

/// The longest secret that is read, in bytes. The terminal's own line mode would cut at 4,095.
const LIMIT: usize = 64 << 10;

/// A line that is typed with echo off.
struct HiddenLine<'a> {
    tty: &'a File,
    question: &'a str,
    /// The question as it is drawn, broken for the terminal's width.
    drawn: String,
    /// How many characters are shown as stars, at most: as many as stand on the question's line.
    stars: usize,
}

impl<'a> HiddenLine<'a> {
    fn new(tty: &'a File, question: &'a str) -> Self {
        let mut line = Self {
            tty,
            question,
            drawn: String::new(),
            stars: 0,
        };
        line.lay_out();
        line
    }

    /// Breaks the question for the width that the terminal has now.
    fn lay_out(&mut self) {
        let width = usize::from(size_of(self.tty).0);
        self.drawn = wrap(self.question, width).into_owned();
        let last_line = self.drawn.rsplit('\n').next().unwrap_or_default();
        let at = last_line.chars().count() % width.max(1);
        self.stars = match Terminal::can_draw() {
            true => width.saturating_sub(at + 1),
            false => 0,
        };
    }

    /// Reads it; `None` when the terminal ends (Ctrl-D on an empty line).
    ///
    /// Whatever ends or stops the program meanwhile finds the terminal as it was: the signal waits until the modes are
    /// restored, then does what it does. After a stop (Ctrl-Z) the question is shown again, and reading begins anew.
    fn read(&mut self, reader: &mut BufReader<File>) -> io::Result<Option<Typed>> {
        let mut line = Zeroizing::new(Vec::with_capacity(4096));
        self.draw(self.drawn.as_bytes());
        loop {
            // Dropped last: a signal that came and was not taken finds the terminal restored.
            let watch = Watch::start()?;
            let came = {
                let _hidden = Modes::hide_input(self.tty)?;
                match self.type_into(&mut line, reader, &watch)? {
                    Came::Line if self.is_followed(reader)? => return Ok(Some(Typed::Several)),
                    came => came,
                }
            };
            match came {
                Came::Line => return Ok(Some(Typed::Line(line))),
                Came::End => return Ok(None),
                Came::Signal(number) => {
                    signal::default_action(number)?;
                    // Nobody remembers which part of a secret they typed unseen before the stop.
                    line.clear();
                    self.lay_out();
                    self.draw(self.drawn.as_bytes());
                }
            }
        }
    }

    fn type_into(
        &mut self,
        line: &mut Vec<u8>,
        reader: &mut BufReader<File>,
        watch: &Watch,
    ) -> io::Result<Came> {
        loop {
            if reader.buffer().is_empty() {
                match watch.wait(self.tty)? {
                    Woken::Typed => {}
                    Woken::Resized => {
                        self.draw_anew(line);
                        continue;
                    }
                    Woken::Signal(signal) => return Ok(Came::Signal(signal)),
                }
                if reader.fill_buf()?.is_empty() {
                    return Ok(Came::End);
                }
            }
            while let Some(&byte) = reader.buffer().first() {
                reader.consume(1);
                let before = self.shown(line);
                match byte {
                    b'\n' | b'\r' => return Ok(Came::Line),
                    0x04 if line.is_empty() => return Ok(Came::End),
                    0x08 | 0x7f => rub_out(line),
                    0x15 => line.clear(),
                    b'\t' => self.reveal(line),
                    _ if line.len() < LIMIT => line.push(byte),
                    _ => return Err(io::Error::other("the line is too long")),
                }
                self.draw_stars(before, self.shown(line));
            }
        }
    }

    /// Draws the question and the stars anew on a terminal that has another size now, which may have broken them where it is
    /// narrower.
    fn draw_anew(&mut self, line: &[u8]) {
        if !Terminal::can_draw() {
            return;
        }
        let columns = usize::from(size_of(self.tty).0).max(1);
        let mut widths = self.drawn.split('\n').rev().map(|row| row.chars().count());
        let last = widths.next().unwrap_or_default() + self.shown(line);
        let above: usize = widths.map(|width| width.div_ceil(columns).max(1)).sum();
        let back = match above + last / columns {
            0 => "\r\u{1b}[J".to_owned(),
            up => format!("\r\u{1b}[{up}A\u{1b}[J"),
        };
        self.lay_out();
        let stars = "*".repeat(self.shown(line));
        self.draw(format!("{back}{}{stars}", self.drawn).as_bytes());
    }

    /// True where more than white space comes along behind the line, as of a paste. It is taken away: the next question would
    /// show it.
    fn is_followed(&self, reader: &mut BufReader<File>) -> io::Result<bool> {
        let mut rest = Zeroizing::new(Vec::new());
        while rest.len() < LIMIT && (!reader.buffer().is_empty() || is_readable(self.tty, PASTE_GAP)) {
            let piece = reader.fill_buf()?;
            if piece.is_empty() {
                break;
            }
            rest.extend_from_slice(piece);
            let length = piece.len();
            reader.consume(length);
        }
        Ok(!Zeroizing::new(typed(&rest)).is_empty())
    }

    /// How many stars stand for the line.
    fn shown(&self, line: &[u8]) -> usize {
        let characters = line.iter().filter(|&byte| byte & 0xc0 != 0x80 && *byte >= b' ');
        characters.count().min(self.stars)
    }

    fn draw_stars(&self, before: usize, now: usize) {
        match now.checked_sub(before) {
            Some(more) => self.draw("*".repeat(more).as_bytes()),
            None => self.draw("\u{8} \u{8}".repeat(before - now).as_bytes()),
        }
    }

    /// Shows what was typed, on a line of its own, and the question again.
    fn reveal(&self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        let text = Zeroizing::new(typed(line));
        let shown = Zeroizing::new(one_line(&text));
        self.draw(b"\r\n");
        self.draw(shown.as_bytes());
        self.draw(b"\r\n");
        self.draw(self.drawn.as_bytes());
        self.draw_stars(0, self.shown(line));
    }

    /// A terminal that has gone is noticed when it is read.
    fn draw(&self, bytes: &[u8]) {
        let mut tty = self.tty;
        let _ = tty.write_all(bytes);
    }
}

/// What was typed.
enum Typed {
    Line(Zeroizing<Vec<u8>>),
    Several,
}

/// What ended a stretch of typing.
enum Came {
    Line,
    End,
    Signal(i32),
}

/// Takes the last character away, all of its bytes.
fn rub_out(line: &mut Vec<u8>) {
    while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

/// The modes of a terminal, which are put back when this is dropped.
#[derive(Debug)]
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
const NO_PASTE_MARKS: &str = "\x1b[?2004l";

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
                let _ = rustix::io::write(stdout(), NO_PASTE_MARKS.as_bytes());
                let _ = signal::end_by_signal(number);
            }
        })?;
    Ok(())
}

mod watch;
use watch::{Watch, Woken};

#[cfg(feature = "net")]
mod keys;
#[cfg(feature = "net")]
pub use keys::{Event, Key, Keys};

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
