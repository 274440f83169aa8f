//! What a shell cannot hold: such a variable is refused by name, never bent.

use std::fmt;

use super::{Shell, csh, is_shell_name, reserved};

/// Why a shell cannot hold a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cannot {
    /// The name is not a letter or `_`, followed by letters, digits and `_`.
    Name,
    /// The shell keeps the name for itself.
    Reserved,
    /// The shell cannot hold a line end.
    LineEnd,
    /// The shell drops a variable with an empty value.
    Empty,
    /// The shell holds shorter values only.
    Length,
    /// The shell knows no difference in case, and has another variable of that name.
    Case,
    /// The shell takes the value for a list of paths, and expands `~` and `$` in it.
    Expands,
    /// In a locale without UTF-8 the shell holds ASCII only.
    Locale,
}

impl fmt::Display for Cannot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "such a name cannot be a shell variable",
            Self::Reserved => "the shell keeps that name for itself",
            Self::LineEnd => "the shell cannot hold a line end",
            Self::Empty => "the shell cannot hold an empty value",
            Self::Length => "the shell cannot hold so long a value",
            Self::Case => "the shell takes it for another variable that differs in case only",
            Self::Expands => "the shell would expand '~' and '$' in a list of paths",
            Self::Locale => "the shell holds only ASCII in this locale",
        })
    }
}

impl Shell {
    /// Returns why this shell cannot hold a variable; `None` when it can. `utf8` says whether the locale is UTF-8.
    #[must_use]
    pub fn cannot_hold(self, name: &str, value: &str, utf8: bool) -> Option<Cannot> {
        if !is_shell_name(name) {
            return Some(Cannot::Name);
        }
        if self.keeps(name) {
            return Some(Cannot::Reserved);
        }
        if value.len() > self.longest_value() {
            return Some(Cannot::Length);
        }
        match self {
            Self::Yash | Self::Tcsh | Self::Xonsh if !utf8 && !value.is_ascii() => Some(Cannot::Locale),
            Self::Csh if value.contains(['\n', '\r']) => Some(Cannot::LineEnd),
            Self::Pwsh if value.is_empty() => Some(Cannot::Empty),
            Self::Xonsh if name.ends_with("PATH") || name.ends_with("DIRS") => {
                value.contains(['~', '$']).then_some(Cannot::Expands)
            }
            _ => None,
        }
    }

    /// Returns whether this shell keeps a name for itself: setting it or taking it away would change the shell, or fail.
    #[must_use]
    pub fn keeps(self, name: &str) -> bool {
        reserved::is(self, name)
    }

    /// Returns whether this shell keeps variables apart whose names differ in case only.
    #[must_use]
    pub const fn knows_case(self) -> bool {
        !matches!(self, Self::Nu)
    }

    /// Returns the length in bytes of the longest value that this shell can hold; the kernel's limit is another.
    #[must_use]
    pub const fn longest_value(self) -> usize {
        match self {
            Self::Csh => csh::LONGEST,
            _ => usize::MAX,
        }
    }
}
