//! Statements for every shell: how to set and unset variables so that an **unquoted** `eval $(qwen-env)` is safe.
//!
//! Between the program's output and the eval a shell splits it into words at `IFS` and expands each word as a pattern
//! of file names; the eval joins the words with blanks. So the statements are written such that neither changes them:
//! no two blanks side by side, no pattern characters, no comment, no character that an `IFS` in use is likely to hold
//! but blank, tab and newline (facts: `.env`, section 2, has the measurements behind each encoding).

mod csh;
mod detect;
mod elvish;
mod fish;
mod limits;
mod nu;
mod posix;
mod pwsh;
mod xonsh;

pub use detect::of_process;
pub use limits::Unsupported;

/// A shell whose statements can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// Any POSIX shell, also one that is not known.
    Sh,
    /// Debian's `/bin/sh`.
    Dash,
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// AT&T's Korn shell 93.
    Ksh,
    /// The MirBSD Korn shell.
    Mksh,
    /// The `ash` of BusyBox.
    Busybox,
    /// Yet another shell.
    Yash,
    /// The policy-compliant ordinary shell.
    Posh,
    /// The friendly interactive shell.
    Fish,
    /// The C shell with editing.
    Tcsh,
    /// Berkeley's C shell.
    Csh,
    /// Elvish.
    Elvish,
    /// Xonsh.
    Xonsh,
    /// Nushell.
    Nu,
    /// PowerShell.
    Pwsh,
}

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

/// Something to do to the environment of a shell.
#[derive(Clone, Copy)]
pub enum Change<'a> {
    /// Export this variable with this value.
    Set(&'a str, &'a str),
    /// Remove this variable.
    Unset(&'a str),
}

impl<'a> Change<'a> {
    /// Returns the variable's name.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        match self {
            Self::Set(name, _) | Self::Unset(name) => name,
        }
    }
}

impl Shell {
    /// Every shell, in the order of the manual.
    pub const ALL: [Self; 16] = [
        Self::Sh,
        Self::Dash,
        Self::Bash,
        Self::Zsh,
        Self::Ksh,
        Self::Mksh,
        Self::Busybox,
        Self::Yash,
        Self::Posh,
        Self::Fish,
        Self::Tcsh,
        Self::Csh,
        Self::Elvish,
        Self::Xonsh,
        Self::Nu,
        Self::Pwsh,
    ];

    /// Returns the name that `--shell` takes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sh => "sh",
            Self::Dash => "dash",
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Ksh => "ksh",
            Self::Mksh => "mksh",
            Self::Busybox => "busybox",
            Self::Yash => "yash",
            Self::Posh => "posh",
            Self::Fish => "fish",
            Self::Tcsh => "tcsh",
            Self::Csh => "csh",
            Self::Elvish => "elvish",
            Self::Xonsh => "xonsh",
            Self::Nu => "nu",
            Self::Pwsh => "pwsh",
        }
    }

    /// Returns the shell of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shell| shell.name() == name)
    }

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

    /// Returns the statement that makes an eval fail, for the shells in which a failed program inside `$(…)` goes
    /// unnoticed; the others tell by themselves.
    #[must_use]
    pub const fn failing(self) -> &'static str {
        match self.family() {
            Family::Ansi | Family::Posix | Family::Fish | Family::Tcsh | Family::Csh => "false;\n",
            Family::Elvish | Family::Xonsh | Family::Nu | Family::Pwsh => "",
        }
    }

    /// Returns whether the statements for this shell may need helper variables, which keep clear of the names in use.
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
            Family::Ansi => Some(crate::shell::posix::word(text)),
            Family::Fish => Some(crate::shell::fish::word(text)),
            Family::Elvish => Some(crate::shell::elvish::word(text)),
            Family::Nu => Some(crate::shell::nu::word(text)),
            Family::Posix | Family::Tcsh | Family::Csh | Family::Xonsh | Family::Pwsh => None,
        }
    }

    /// Writes the statements for these changes, each of which the shell can hold.
    ///
    /// `taken` are further names in use, which helper variables keep clear of; nobody else asks for them.
    #[must_use]
    pub fn script<'a>(self, changes: &[Change<'a>], taken: impl Iterator<Item = &'a str>) -> String {
        match self.family() {
            Family::Ansi => crate::shell::posix::ansi(self, changes),
            Family::Posix => crate::shell::posix::plain(self, changes, taken),
            Family::Fish => crate::shell::fish::script(changes),
            Family::Tcsh => crate::shell::csh::tcsh(changes),
            Family::Csh => crate::shell::csh::csh(changes),
            Family::Elvish => crate::shell::elvish::script(changes),
            Family::Xonsh => crate::shell::xonsh::script(changes),
            Family::Nu => crate::shell::nu::script(changes),
            Family::Pwsh => crate::shell::pwsh::script(changes),
        }
    }
}

/// True for a name that any shell can export.
#[must_use]
pub fn is_shell_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// True for a byte that no shell here gives a meaning to, at any place of a word.
const fn is_inert(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'.' | b'+' | b'@' | b'%' | b'-')
}
