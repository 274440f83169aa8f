//! Which shell started this process. `SHELL` names the login shell, not the one at work, so it is not asked.

use std::path::Path;
use std::sync::OnceLock;

use super::Shell;

/// Returns the shell that is the parent of this process; [`Shell::Sh`] when the parent is none that is known.
///
/// The program file tells most surely: it is the same for `sh` that is bash and for a login shell `-bash`. Where it is
/// an interpreter, or may not be read, the name of the process tells. It is asked once.
#[must_use]
pub fn of_process() -> Shell {
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
    by_file.unwrap_or_else(|| {
        let name = std::fs::read_to_string(format!("{directory}/comm")).unwrap_or_default();
        by_name(name.trim_end()).unwrap_or(Shell::Sh)
    })
}

fn by_program(file: &Path) -> Option<Shell> {
    let name = file.file_name()?.to_str()?;
    // The kernel marks a program that was replaced while it runs.
    by_name(name.strip_suffix(" (deleted)").unwrap_or(name))
}

/// Knows `zsh-5.9`, `bash5`, `ksh93` and `busybox.static` too: a name and a version or a variant.
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
        known => Shell::named(known),
    }
}

#[cfg(test)]
mod tests {
    use super::by_name;
    use super::by_program;
    use crate::shell::Shell;
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
