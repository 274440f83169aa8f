//! Standard output for the result, standard error for messages.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::exit::{Exit, Failure, io_reason};
use super::signal;
use super::text::{make_visible, one_line, wrap};

/// Standard output, unbuffered: what was written is in the kernel when the call returns.
///
/// It bypasses the standard library's line buffer, which would split a streamed answer at line ends and lose the
/// error of the last write.
#[derive(Debug)]
pub struct Stdout;

impl Stdout {
    /// Returns true when a person is looking at it.
    #[must_use]
    pub fn is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Writes all bytes.
    ///
    /// A reader that went away ends this process by SIGPIPE, as it ends `cat`. An inherited non-blocking pipe that
    /// is full is waited for.
    ///
    /// # Errors
    /// Exit 74 for a full disk, `/dev/full`, or any other refusal.
    pub fn write(bytes: &[u8]) -> Result<(), Failure> {
        Self::write_or(bytes, || {})
    }

    /// As [`Stdout::write`], for lines that a person reads: on a terminal they are broken at blanks, as messages are.
    ///
    /// # Errors
    /// As [`Stdout::write`].
    pub fn write_lines(text: &str) -> Result<(), Failure> {
        match Self::columns() {
            Some(columns) => Self::write(wrap(text, columns).as_bytes()),
            None => Self::write(text.as_bytes()),
        }
    }

    /// Returns how wide the terminal is that it goes to; `None` where it goes elsewhere.
    #[must_use]
    pub fn columns() -> Option<usize> {
        columns_of(rustix::stdio::stdout())
    }

    /// As [`Stdout::write`]; `closed` is called before the end by SIGPIPE, for what must not be lost with the reader.
    ///
    /// # Errors
    /// As [`Stdout::write`].
    pub fn write_or(bytes: &[u8], closed: impl FnOnce()) -> Result<(), Failure> {
        let stdout = rustix::stdio::stdout();
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::write(stdout, rest) {
                Ok(0) => return Err(refused(&io::ErrorKind::WriteZero.into())),
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let _ = poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None);
                }
                Err(Errno::PIPE) => {
                    closed();
                    return Err(end_by_sigpipe());
                }
                Err(errno) => return Err(refused(&errno.into())),
            }
        }
        Ok(())
    }
}

/// Dies the way a filter dies when its reader has enough; a shell shows 141.
fn end_by_sigpipe() -> Failure {
    let _ = signal::default_action(signal::SIGPIPE);
    Failure::new(Exit::Io, "cannot write to standard output: closed pipe")
}

fn refused(error: &io::Error) -> Failure {
    Failure::new(
        Exit::Io,
        format!("cannot write to standard output: {}", io_reason(error)),
    )
}

/// When to colour, as typed with `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Reads `--color` from words that were not parsed to their end: it counts for help and usage errors too.
    #[must_use]
    pub fn among(typed: &[OsString]) -> Self {
        let words = typed.iter().take_while(|word| *word != "--");
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        let mut named = words.iter().enumerate().filter_map(|(at, word)| {
            word.strip_prefix("--color=")
                .or_else(|| (word == "--color").then(|| words.get(at + 1).map(|next| &**next))?)
        });
        named
            .next_back()
            .and_then(|when| Self::from_str(when, false).ok())
            .unwrap_or_default()
    }

    /// Returns the word to hand on to another tool; none for what is the default there too.
    #[must_use]
    pub const fn typed(self) -> Option<&'static str> {
        match self {
            Self::Auto => None,
            Self::Always => Some("always"),
            Self::Never => Some("never"),
        }
    }

    /// Decides for a stream that is, or is not, a terminal. `NO_COLOR` counts when it is not empty (no-color.org).
    #[must_use]
    pub fn wanted(self, is_terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                is_terminal
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb" && !term.is_empty())
            }
        }
    }
}

/// How the program's name looks before what went wrong, what could be typed, and everything else (ECMA-48 §8.3.117): bold,
/// the first two red and cyan.
const ERROR: &str = "1;31";
const HINT: &str = "1;36";
const NOTICE: &str = "1";

/// The reporter of one program: the only writer to standard error.
///
/// Every line begins with the program's name. Control characters in text from servers and files are removed here.
#[derive(Clone, Debug)]
pub struct Reporter {
    program: String,
    quiet: bool,
    verbose: bool,
    color: Color,
    /// The profile that was named on the command line.
    profile: Option<String>,
    held: Arc<Mutex<Held>>,
    /// What [`Reporter::notice_once`] has said.
    said: Arc<Mutex<BTreeSet<String>>>,
}

/// What is said once the terminal is this program's again.
#[derive(Debug, Default)]
struct Held {
    is_on: bool,
    lines: Vec<String>,
    /// How many more there were.
    more: usize,
}

/// The most different lines that are held.
const MOST_HELD: usize = 50;

impl Held {
    /// Takes a line, the same one once.
    fn push(&mut self, line: &str) {
        if self.lines.iter().any(|held| held == line) {
            return;
        }
        match self.lines.len() < MOST_HELD {
            true => self.lines.push(line.to_owned()),
            false => self.more += 1,
        }
    }
}

impl Reporter {
    /// Makes the reporter of `program`.
    #[must_use]
    pub fn new(program: &str, quiet: bool, verbose: bool, color: Color) -> Self {
        Self {
            program: program.to_owned(),
            quiet,
            verbose,
            color,
            profile: None,
            held: Arc::default(),
            said: Arc::default(),
        }
    }

    /// Has every hint at `qwen-login` name this profile: without it, what is typed would change another one.
    #[must_use]
    pub fn for_profile(mut self, name: Option<&str>) -> Self {
        self.profile = name.map(str::to_owned);
        self
    }

    /// Holds all lines back from now on, those of its clones too: the terminal is another program's. Of equal lines one is
    /// held, and of different ones the first 50.
    pub fn hold(&self) {
        self.held().is_on = true;
    }

    /// Says what was held back, and no longer holds anything back.
    pub fn release(&self) {
        let held = std::mem::take(&mut *self.held());
        for line in held.lines {
            self.emit(&line);
        }
        if held.more > 0 {
            self.notice(&format!("{} more messages are left out", held.more));
        }
    }

    /// True while lines are held back: nobody can be asked anything.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held().is_on
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the program's name.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Returns what was typed with `--color`.
    #[must_use]
    pub const fn color(&self) -> Color {
        self.color
    }

    /// True with `--quiet`.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// True with `--verbose`.
    #[must_use]
    pub const fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// True when a person is looking at standard error.
    #[must_use]
    pub fn is_seen() -> bool {
        io::stderr().is_terminal()
    }

    /// Says something the user ought to know though the work goes on. Silent with `--quiet`.
    pub fn notice(&self, text: &str) {
        if !self.quiet {
            self.line("", text, NOTICE);
        }
    }

    /// As [`Reporter::notice`], for what several steps of one program find: only the first says it, clones included.
    pub fn notice_once(&self, text: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.insert(text.to_owned()) {
            self.notice(text);
        }
    }

    /// Says what could be typed next. Silent with `--quiet`.
    pub fn hint(&self, text: &str) {
        if !self.quiet {
            self.hint_line(text);
        }
    }

    fn hint_line(&self, text: &str) {
        self.line("hint: ", &self.hint_text(text), HINT);
    }

    /// Returns a hint as it is printed, for what shows it elsewhere than on standard error.
    #[must_use]
    pub fn hint_text(&self, hint: &str) -> String {
        hint_for_profile(hint, self.profile.as_deref())
    }

    /// Says how something was decided. Printed with `--verbose` only; never a secret.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.line("", text, NOTICE);
        }
    }

    /// Prints a line exactly for a person to copy, without the program's name (a URL, a code). Not silenced.
    pub fn plain(&self, text: &str) {
        self.emit(&one_line(text));
    }

    /// Prints a line for a person to read, without the program's name. Not silenced.
    pub fn say(&self, text: &str) {
        self.emit(&wrapped(&one_line(text)));
    }

    /// Passes on a piece of a long text, such as a model's reasoning: no program name, no line end of its own, everything
    /// but line feeds and tabs made visible. Silent with `--quiet`, and dropped while lines are held back.
    pub fn flow(&self, text: &str) {
        if !self.quiet && !text.is_empty() && !self.held().is_on {
            let mut shown = String::with_capacity(text.len());
            make_visible(text, &mut shown);
            let _ = io::stderr().lock().write_all(shown.as_bytes());
        }
    }

    /// Reports a failure: the error line, with `--verbose` the chain of causes, then the hints.
    pub fn failure(&self, failure: &Failure) {
        self.line("", &failure.message, ERROR);
        if self.verbose {
            let mut cause = std::error::Error::source(failure);
            while let Some(error) = cause {
                self.line("caused by: ", &error.to_string(), ERROR);
                cause = error.source();
            }
        }
        for hint in &failure.hints {
            self.hint_line(&hint.0);
        }
    }

    fn line(&self, label: &str, text: &str, color: &str) {
        let text = wrapped(&format!("{}: {label}{}", self.program, one_line(text)));
        let name = format!("{}:", self.program);
        match text.strip_prefix(&name) {
            Some(rest) if self.color.wanted(io::stderr().is_terminal()) => {
                self.emit(&format!("\x1b[{color}m{name}\x1b[0m{rest}"));
            }
            _ => self.emit(&text),
        }
    }

    /// Writes one line in one call, so that lines of processes that share a terminal do not mix. A closed or full
    /// standard error is not an error: nothing can be reported then.
    fn emit(&self, line: &str) {
        let mut held = self.held();
        if held.is_on {
            return held.push(line);
        }
        drop(held);
        let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
    }
}

/// Breaks a line as [`wrap`] does for the terminal that standard error is, if it is one.
fn wrapped(line: &str) -> String {
    match columns_of(rustix::stdio::stderr()) {
        Some(columns) => wrap(line, columns).into_owned(),
        None => line.to_owned(),
    }
}

/// Returns how wide a terminal is; `None` where it does not say, and for what is no terminal.
fn columns_of(stream: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// True for a name that is typed as it is.
fn is_word(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(is_plain)
}

/// Returns a hint in which every `qwen-login` names this profile, if there is one.
#[must_use]
pub fn hint_for_profile(hint: &str, profile: Option<&str>) -> String {
    match profile.filter(|name| is_word(name)) {
        Some(name) => with_profile(hint, name),
        None => hint.to_owned(),
    }
}

/// Adds `--profile NAME` to the commands in a hint that run `qwen-login` for no profile of their own.
fn with_profile(hint: &str, name: &str) -> String {
    let mut parts = hint.split('\'');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('\'');
        text.push_str(part);
        let mut words = part.split(' ');
        let is_login = words.next() == Some("qwen-login");
        if is_login && !words.any(|word| ["--profile", "--help"].contains(&word)) {
            text.push_str(" --profile ");
            text.push_str(name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_hint_at_a_login_names_the_profile_that_was_named() {
        for (hint, said) in [
            ("run 'qwen-login'", "run 'qwen-login --profile work'"),
            (
                "set KEY, or run 'qwen-login --api-key' to store one",
                "set KEY, or run 'qwen-login --api-key --profile work' to store one",
            ),
            ("run 'qwen-login --profile lab'", "run 'qwen-login --profile lab'"),
            ("run 'qwen-login --help'", "run 'qwen-login --help'"),
            ("run 'qwen-auth list'", "run 'qwen-auth list'"),
            ("qwen-login's own", "qwen-login's own"),
        ] {
            assert_eq!(super::with_profile(hint, "work"), said);
        }
    }
}
