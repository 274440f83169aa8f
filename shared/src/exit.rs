//! The exit codes, one table for every program (`man qwen-exit`).

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
