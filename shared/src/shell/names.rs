//! The shells, their names, and which one started this process.

use std::path::Path;
use std::sync::OnceLock;

use clap::ValueEnum;

/// A shell whose statements can be written, in the order of the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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

impl Shell {
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
}

/// Returns the shell that is the parent of this process; [`Shell::Sh`] when the parent is not a known shell.
///
/// `SHELL` names the login shell, so it is not used. The parent's program file is the surest sign: it is the same for
/// `sh` that is bash and for a login shell `-bash`. Where it is an interpreter, or cannot be read, the name of the process
/// is used. Looked up once.
#[must_use]
pub fn parent_shell() -> Shell {
    static PARENT: OnceLock<Shell> = OnceLock::new();
    *PARENT.get_or_init(of_parent)
}

fn of_parent() -> Shell {
    let Some(parent) = rustix::process::getppid() else {
        return Shell::Sh;
    };
    let directory = format!("/proc/{}", parent.as_raw_nonzero());
    let file = std::fs::read_link(format!("{directory}/exe")).ok();
    let by_file = file.as_deref().and_then(by_program);
    let shell = by_file.unwrap_or_else(|| {
        let name = std::fs::read_to_string(format!("{directory}/comm")).unwrap_or_default();
        by_name(name.trim_end()).unwrap_or(Shell::Sh)
    });
    // Process 1 is the parent of whoever has lost theirs, as what `$(… &)` starts has: another shell may read what is printed.
    match parent.is_init() && shell.has_dollar_quotes() {
        true => Shell::Sh,
        false => shell,
    }
}

/// Returns what tells the parent of this process from the programs that it starts, and is the same for its subshells:
/// where the kernel laid out its memory, which a fork inherits and an exec draws anew. Empty where the system does not
/// tell.
#[must_use]
pub fn parent_layout() -> String {
    /// `startstack`, `start_data` and `env_start` of proc_pid_stat(5), counted from the field after the program's name.
    const FIELDS: [usize; 3] = [25, 42, 47];
    let parent = rustix::process::getppid().map(|parent| parent.as_raw_nonzero());
    let stat = parent.and_then(|parent| std::fs::read(format!("/proc/{parent}/stat")).ok());
    let stat = String::from_utf8_lossy(stat.as_deref().unwrap_or_default()).into_owned();
    let after_name: Vec<&str> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_ascii_whitespace()
        .collect();
    FIELDS
        .map(|field| after_name.get(field).copied().unwrap_or_default())
        .join(" ")
}

fn by_program(file: &Path) -> Option<Shell> {
    let name = file.file_name()?.to_str()?;
    // The kernel marks a program that was replaced while it runs.
    by_name(name.strip_suffix(" (deleted)").unwrap_or(name))
}

/// Also recognises a name with a version or a variant: `zsh-5.9`, `bash5`, `ksh93`, `busybox.static`.
fn by_name(name: &str) -> Option<Shell> {
    let name = name.trim_start_matches('-');
    let end = name
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(name.len());
    match &name[..end] {
        "ash" => Some(Shell::Busybox),
        "lksh" => Some(Shell::Mksh),
        "rbash" => Some(Shell::Bash),
        "bsd" if name == "bsd-csh" => Some(Shell::Csh),
        "powershell" => Some(Shell::Pwsh),
        known => Shell::from_str(known, false).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::Shell;
    use super::by_name;
    use super::by_program;
    use std::path::Path;

    #[test]
    fn a_program_is_known_by_its_name_without_version_or_variant() {
        for (name, shell) in [
            ("bash", Some(Shell::Bash)),
            ("-bash", Some(Shell::Bash)),
            ("zsh-5.9", Some(Shell::Zsh)),
            ("zsh5-static", Some(Shell::Zsh)),
            ("ksh93", Some(Shell::Ksh)),
            ("mksh-static", Some(Shell::Mksh)),
            ("bsd-csh", Some(Shell::Csh)),
            ("busybox", Some(Shell::Busybox)),
            ("sh", Some(Shell::Sh)),
            ("nu", Some(Shell::Nu)),
            ("python3.11", None),
            ("make", None),
            ("bashful", None),
            ("", None),
        ] {
            assert_eq!(by_name(name), shell, "{name}");
        }
        let replaced = Path::new("/usr/bin/zsh (deleted)");
        assert_eq!(by_program(replaced), Some(Shell::Zsh));
    }
}
