//! The one error type that reaches the user: what to say, what to type next, how to exit.

use std::error::Error;
use std::fmt;

use crate::exit::Exit;

/// What a tool's `run` returns: the exit of an answered question, or a failure to report.
pub type Outcome = Result<Exit, Failure>;

/// Something typeable that may help, printed on a `hint:` line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint(pub String);

/// A failure at the edge: every module's own error is lifted into this before it leaves the library.
///
/// `message` names place and fault, in lower case, without a full stop, its subject in single quotes. It may hold
/// text from a server or a file as it came: [`crate::out::Talk`] makes it harmless when it prints. It may never
/// hold a secret.
#[derive(Debug)]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// The error line, without the program's name.
    pub message: String,
    /// The cause, shown with `--verbose`.
    pub source: Option<Box<dyn Error + Send + Sync>>,
    /// What to type next, most useful first.
    pub hints: Vec<Hint>,
}

impl Failure {
    /// Makes a failure without cause and hints.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            source: None,
            hints: Vec::new(),
        }
    }

    /// Adds a hint line.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(Hint(hint.into()));
        self
    }

    /// Adds the cause. The cause's own text is shown with `--verbose` only.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}

/// Says what an operating-system error means without Rust's `(os error N)`.
#[must_use]
pub fn io_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let plain = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = plain.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
