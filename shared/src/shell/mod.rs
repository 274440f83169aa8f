//! Statements for every shell: how to set and unset variables so that an **unquoted** `eval $(qwen-env)` is safe.
//!
//! Between the program's output and the eval a shell splits it into words at `IFS` and expands each word as a pattern
//! of file names; the eval joins the words with blanks. So the statements are written such that neither changes them:
//! no two blanks side by side, no pattern characters, no comment, no character that an `IFS` in use is likely to hold
//! but blank, tab and newline.

mod change;
mod csh;
mod elvish;
mod fish;
mod limits;
mod names;
mod nu;
mod posix;
mod pwsh;
mod xonsh;

pub use change::Change;
pub use limits::{Unsupported, is_shell_name};
pub use names::{Shell, parent_layout, parent_shell};

use change::is_inert;

/// How a shell writes values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// `export`, with `$'…'`.
    Ansi,
    /// `export`, with nothing but POSIX.
    Posix,
    Fish,
    Tcsh,
    Csh,
    Elvish,
    Xonsh,
    Nu,
    Pwsh,
}

impl Shell {
    const fn family(self) -> Family {
        match self {
            Self::Bash | Self::Zsh | Self::Ksh | Self::Mksh | Self::Busybox => Family::Ansi,
            Self::Sh | Self::Dash | Self::Yash | Self::Posh => Family::Posix,
            Self::Fish => Family::Fish,
            Self::Tcsh => Family::Tcsh,
            Self::Csh => Family::Csh,
            Self::Elvish => Family::Elvish,
            Self::Xonsh => Family::Xonsh,
            Self::Nu => Family::Nu,
            Self::Pwsh => Family::Pwsh,
        }
    }

    /// Returns the statement that makes an eval fail, for the shells that ignore the exit status of a program in `$(…)`;
    /// empty for the others.
    #[must_use]
    pub const fn failing_statement(self) -> &'static str {
        match self.family() {
            Family::Ansi | Family::Posix | Family::Fish | Family::Tcsh | Family::Csh => "false;\n",
            Family::Elvish | Family::Xonsh | Family::Nu | Family::Pwsh => "",
        }
    }

    /// True for a shell that reads `$'…'`.
    const fn has_dollar_quotes(self) -> bool {
        matches!(self.family(), Family::Ansi)
    }

    /// Returns whether the statements for this shell may use helper variables.
    #[must_use]
    pub const fn needs_helpers(self) -> bool {
        matches!(self.family(), Family::Posix)
    }

    /// Writes a text as one word of a command, for the shells that have hooks.
    #[must_use]
    pub fn word(self, text: &str) -> Option<String> {
        if !text.is_empty() && text.bytes().all(is_inert) && text.starts_with(['/', '-']) {
            return Some(text.to_owned());
        }
        match self.family() {
            Family::Ansi => Some(posix::word(text)),
            Family::Fish => Some(fish::word(text)),
            Family::Elvish => Some(elvish::word(text)),
            Family::Nu => Some(nu::word(text)),
            Family::Posix | Family::Tcsh | Family::Csh | Family::Xonsh | Family::Pwsh => None,
        }
    }

    /// Writes the statements for these changes, each of which the shell can hold.
    ///
    /// `taken` are further names in use, which helper variables must not have; see [`Shell::needs_helpers`].
    #[must_use]
    pub fn script<'a>(self, changes: &[Change<'a>], taken: impl Iterator<Item = &'a str>) -> String {
        match self.family() {
            Family::Ansi => posix::ansi(self, changes),
            Family::Posix => posix::plain(self, changes, taken),
            Family::Fish => fish::script(changes),
            Family::Tcsh => csh::tcsh(changes),
            Family::Csh => csh::csh(changes),
            Family::Elvish => elvish::script(changes),
            Family::Xonsh => xonsh::script(changes),
            Family::Nu => nu::script(changes),
            Family::Pwsh => pwsh::script(changes),
        }
    }
}
