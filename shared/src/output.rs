//! Standard output for the result, standard error for messages.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::exit::{Exit, Failure, io_reason};
use super::signal;
use super::text::{make_visible, one_line};

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
                Err(Errno::PIPE) => return Err(end_by_sigpipe()),
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
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

/// The reporter of one program: the only writer to standard error.
///
/// Every line begins with the program's name. Control characters in text from servers and files are removed here.
#[derive(Clone, Debug)]
pub struct Reporter {
    program: String,
    quiet: bool,
    verbose: bool,
    color: Color,
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
        }
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
            self.line("", text);
        }
    }

    /// Says what could be typed next. Silent with `--quiet`.
    pub fn hint(&self, text: &str) {
        if !self.quiet {
            self.line("hint: ", text);
        }
    }

    /// Says how something was decided. Printed with `--verbose` only; never a secret.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.line("", text);
        }
    }

    /// Prints a line exactly for a person to copy, without the program's name (a URL, a code). Not silenced.
    pub fn plain(&self, text: &str) {
        self.emit(&one_line(text));
    }

    /// Passes on a piece of a long text, such as a model's reasoning: no program name, no line end of its own, everything
    /// but line feeds and tabs made visible. Silent with `--quiet`.
    pub fn flow(&self, text: &str) {
        if !self.quiet && !text.is_empty() {
            let mut shown = String::with_capacity(text.len());
            make_visible(text, &mut shown);
            let _ = io::stderr().lock().write_all(shown.as_bytes());
        }
    }

    /// Reports a failure: the error line, with `--verbose` the chain of causes, then the hints.
    pub fn failure(&self, failure: &Failure) {
        self.line("", &failure.message);
        if self.verbose {
            let mut cause = std::error::Error::source(failure);
            while let Some(error) = cause {
                self.line("caused by: ", &error.to_string());
                cause = error.source();
            }
        }
        for hint in &failure.hints {
            self.line("hint: ", &hint.0);
        }
    }

    fn line(&self, label: &str, text: &str) {
        let text = one_line(text);
        if self.color.wanted(io::stderr().is_terminal()) {
            self.emit(&format!("\x1b[1m{}:\x1b[0m {label}{text}", self.program));
        } else {
            self.emit(&format!("{}: {label}{text}", self.program));
        }
    }

    /// Writes one line in one call, so that lines of processes that share a terminal do not mix. A closed or full
    /// standard error is not an error: nothing can be reported then.
    #[expect(clippy::unused_self, reason = "keeps every write behind a reporter")]
    fn emit(&self, line: &str) {
        let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
    }
}
