//! The exit codes, one table for every program (`man qwen-exit`), and the failure that ends a program with one of them.

use std::error::Error;
use std::fmt;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use rustix::io::Errno;

/// How a program ends, as its caller sees it.
///
/// The numbers are those of `sysexits.h` where it has one, and the shell's own 126 and 127. A number, once
/// shipped, keeps its meaning: scripts branch on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// A well-asked question with a negative answer.
    No = 1,
    /// Wrong flags or operands.
    Usage = 64,
    /// Malformed input.
    Data = 65,
    /// A named file is missing or unreadable.
    NoInput = 66,
    /// The endpoint knows no such model or path, or the quota is used up.
    Unavailable = 69,
    /// An invariant of ours broke.
    Bug = 70,
    /// A local read or write failed.
    Io = 74,
    /// It may work later: network, time-out, rate limit, locked keyring.
    TryAgain = 75,
    /// The server's answer broke the protocol or ended early.
    Protocol = 76,
    /// No credential, or one that is refused or expired for good.
    NoAuth = 77,
    /// A setting is invalid, contradictory, or would send a secret where it does not belong.
    Config = 78,
    /// A command to run was found but cannot be run.
    NotRunnable = 126,
    /// A command to run was not found.
    NotFound = 127,
}

impl Exit {
    /// Every exit, in ascending order: what the manual's table is proven against.
    pub const ALL: [Self; 14] = [
        Self::Ok,
        Self::No,
        Self::Usage,
        Self::Data,
        Self::NoInput,
        Self::Unavailable,
        Self::Bug,
        Self::Io,
        Self::TryAgain,
        Self::Protocol,
        Self::NoAuth,
        Self::Config,
        Self::NotRunnable,
        Self::NotFound,
    ];

    /// Returns the number that the parent process sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Returns the exit with this number; `None` for a number that no tool exits with, and for a signal.
    pub fn from_code(code: impl Into<Option<i32>>) -> Option<Self> {
        let code = code.into()?;
        Self::ALL.into_iter().find(|exit| i32::from(exit.code()) == code)
    }

    /// Returns the name that the manual and the JSON errors use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::No => "no",
            Self::Usage => "usage",
            Self::Data => "data",
            Self::NoInput => "no-input",
            Self::Unavailable => "unavailable",
            Self::Bug => "bug",
            Self::Io => "io",
            Self::TryAgain => "try-again",
            Self::Protocol => "protocol",
            Self::NoAuth => "no-auth",
            Self::Config => "config",
            Self::NotRunnable => "not-runnable",
            Self::NotFound => "not-found",
        }
    }
}

/// What a tool's `run` returns: the exit of an answered question, or a failure to report.
pub type Outcome = Result<Exit, Failure>;

/// Something typeable that may help, printed on a `hint:` line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint(pub String);

/// A failure at the edge: every module's own error is lifted into this before it leaves the library.
///
/// `message` names place and fault, in lower case, without a full stop, its subject in single quotes. It may hold
/// text from a server or a file unchanged: [`super::output::Reporter`] removes control characters when it prints. It may never
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

    /// Adds a hint line. An alternative to nothing loses its `or`.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        let mut hint = hint.into();
        if self.hints.is_empty()
            && let Some(alone) = hint.strip_prefix("or ")
        {
            hint = alone.to_owned();
        }
        self.hints.push(Hint(hint));
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

/// Returns how a program ends because of an operating-system error: to be tried again where a limit is reached on
/// descriptors, processes or memory, which may be free in a while; else as `otherwise` says.
#[must_use]
pub fn io_exit(error: &std::io::Error, otherwise: Exit) -> Exit {
    match errno_of(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => Exit::TryAgain,
        _ => otherwise,
    }
}

fn errno_of(error: &std::io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}

/// Returns the failure of starting a thread or a process, exit 75 where their number is limited.
#[must_use]
pub fn cannot_start(what: &str, error: &std::io::Error) -> Failure {
    if errno_of(error) != Some(Errno::AGAIN) {
        let message = format!("cannot start {what}: {}", io_reason(error));
        return Failure::new(io_exit(error, Exit::Io), message);
    }
    // The limit may also be the container's.
    let limit = with_limit("too many processes", limit_of(Resource::RLIMIT_NPROC), "", "-u");
    Failure::new(Exit::TryAgain, format!("cannot start {what}: {limit}"))
}

fn with_limit(what: &str, limit: Option<u64>, unit: &str, option: &str) -> String {
    match limit {
        Some(limit) => format!("{what}: limit {limit}{unit} (ulimit {option})"),
        None => what.to_owned(),
    }
}

/// Returns a limit of this process; `None` where there is none, or the kernel does not say.
fn limit_of(resource: Resource) -> Option<u64> {
    let (limit, _) = getrlimit(resource).ok()?;
    (limit != RLIM_INFINITY).then_some(limit)
}

/// Says what an operating-system error means without Rust's `(os error N)`; of a limit, what it is.
#[must_use]
pub fn io_reason(error: &std::io::Error) -> String {
    match errno_of(error) {
        Some(Errno::MFILE) => {
            return with_limit("too many open files", limit_of(Resource::RLIMIT_NOFILE), "", "-n");
        }
        Some(Errno::NFILE) => return "too many open files on this machine".to_owned(),
        Some(Errno::NOMEM) => return "out of memory".to_owned(),
        Some(Errno::FBIG) => {
            let limit = limit_of(Resource::RLIMIT_FSIZE);
            return with_limit("file too large", limit, " bytes", "-f");
        }
        _ => {}
    }
    let text = error.to_string();
    let plain = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = plain.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_ascend_and_names_differ() {
        for pair in Exit::ALL.windows(2) {
            assert!(pair[0].code() < pair[1].code());
            assert_ne!(pair[0].name(), pair[1].name());
        }
    }
}
