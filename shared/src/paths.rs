//! Where configuration, state and Qwen Code's shared files live.
//!
//! Every function answers from the environment when it is called; none touches a file but passwd(5), where `HOME` is not
//! set. A `HOME` that is not absolute counts as none: what is kept below it would be somewhere else in the next directory,
//! and a secret in a project. Other variables that name no absolute path are refused by [`check_variables`].

use std::env;
use std::path::{Path, PathBuf};

use directories::{BaseDirs, ProjectDirs};

use super::exit::{Exit, Failure};
use super::fs;

/// Returns a variable's value as a path; blank counts as absent.
fn path_from(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.to_string_lossy().trim().is_empty())
        .map(PathBuf::from)
}

/// Returns the user's home directory: `HOME`, where it is not set the password database's.
#[must_use]
pub fn home() -> Option<PathBuf> {
    home_variable()
        .or_else(home_without_variable)
        .filter(|home| home.is_absolute())
}

/// Returns `HOME`. An empty one counts as absent, as to the C library; one of blanks is set, and no path.
fn home_variable() -> Option<PathBuf> {
    env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
}

/// The C library is not asked on Linux: it loads what nsswitch.conf(5) names, which a static program does not survive, and
/// all programs are to find the same files.
fn home_without_variable() -> Option<PathBuf> {
    match cfg!(target_os = "linux") {
        true => fs::home_of_user(),
        false => BaseDirs::new().map(|base| base.home_dir().to_path_buf()),
    }
}

/// Returns a directory as `directories` gives it, which asks the C library where `HOME` is not set. Then it is the one that
/// the XDG Base Directory Specification tells.
fn own_directory(of: fn(&ProjectDirs) -> &Path, variable: &str, below_home: &str) -> Option<PathBuf> {
    let directory = if cfg!(target_os = "linux") && home_variable().is_none() {
        let named = path_from(variable).filter(|path| path.is_absolute());
        named.or_else(|| Some(home()?.join(below_home)))?.join("qwen")
    } else {
        of(&ProjectDirs::from("", "", "qwen")?).to_path_buf()
    };
    Some(directory).filter(|directory| directory.is_absolute())
}

/// Returns a variable's value as a path. A tilde that no shell saw (in a `.env` file, in a unit of systemd) stands for the
/// home directory, as it does to Qwen Code.
fn expanded_from(name: &str) -> Option<PathBuf> {
    let path = path_from(name)?;
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => Some(home.join(rest)),
        _ => Some(path),
    }
}

fn absolute_from(name: &str) -> Option<PathBuf> {
    expanded_from(name).filter(|path| path.is_absolute())
}

/// Refuses a `QWEN_HOME`, `QWEN_CONFIG` or path of Qwen Code's system settings that is not absolute: it would be another place in each directory, and in a clone
/// the clone's.
///
/// # Errors
/// 78 with the variable's name.
pub fn check_variables() -> Result<(), Failure> {
    let expanded = ["QWEN_HOME", "QWEN_CONFIG"].map(|name| (name, expanded_from(name)));
    let literal = ["QWEN_CODE_SYSTEM_SETTINGS_PATH", "QWEN_CODE_SYSTEM_DEFAULTS_PATH"];
    let literal = literal.map(|name| (name, path_from(name)));
    for (name, path) in expanded.into_iter().chain(literal) {
        if let Some(path) = path.filter(|path| !path.is_absolute()) {
            let message = format!("{name}: '{}' is not an absolute path", path.display());
            return Err(Failure::new(Exit::Config, message)
                .hint(format!("set {name} to a path from / on, or unset it")));
        }
    }
    Ok(())
}

/// Returns Qwen Code's directory: `QWEN_HOME`, else `~/.qwen`.
#[must_use]
pub fn qwen_home() -> Option<PathBuf> {
    absolute_from("QWEN_HOME").or_else(|| home().map(|home| home.join(".qwen")))
}

/// Returns the path of Qwen Code's settings for all users that a variable names, if it is absolute.
#[must_use]
pub fn system_file(name: &str) -> Option<PathBuf> {
    path_from(name).filter(|path| path.is_absolute())
}

/// Returns the toolkit's configuration directory (on Linux `$XDG_CONFIG_HOME/qwen`).
#[must_use]
pub fn config_dir() -> Option<PathBuf> {
    own_directory(ProjectDirs::config_dir, "XDG_CONFIG_HOME", ".config")
}

/// Returns the path of `config.json`: `QWEN_CONFIG`, else in [`config_dir`].
#[must_use]
pub fn config_file() -> Option<PathBuf> {
    absolute_from("QWEN_CONFIG").or_else(|| config_dir().map(|dir| dir.join("config.json")))
}

/// Says that `QWEN_CONFIG` names a file that is not there, with the one that was probably meant; `None` where it is there, and
/// where the variable is not set.
#[must_use]
pub fn missing_config() -> Option<String> {
    let path = absolute_from("QWEN_CONFIG")?;
    if path.exists() {
        return None;
    }
    let shown = path.display();
    let directory = path.parent()?;
    if !directory.is_dir() {
        return Some(format!(
            "QWEN_CONFIG: '{shown}' is not there, nor is its directory"
        ));
    }
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut others: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".json") && !name.starts_with('.'))
        .collect();
    others.sort();
    let near = match others.as_slice() {
        [only] => format!("; there is '{}'", directory.join(only).display()),
        _ => String::new(),
    };
    Some(format!("QWEN_CONFIG: '{shown}' is not there{near}"))
}

/// Says that `QWEN_HOME` names no directory that is there; `None` where it does, and where the variable is not set.
#[must_use]
pub fn missing_home() -> Option<String> {
    let path = absolute_from("QWEN_HOME")?;
    let shown = path.display();
    match path.symlink_metadata() {
        Ok(_) if path.is_dir() => None,
        Ok(_) => Some(format!("QWEN_HOME: '{shown}' is not a directory")),
        Err(_) => Some(format!("QWEN_HOME: '{shown}' is not there")),
    }
}

/// Returns the directory of stored credentials: the one that holds `config.json`.
#[must_use]
pub fn credential_dir() -> Option<PathBuf> {
    config_file().and_then(|file| file.parent().map(Path::to_path_buf))
}

/// Returns the directory of state that outlives a process: sessions, quotas, trust (on Linux `$XDG_STATE_HOME/qwen`).
#[must_use]
pub fn state_dir() -> Option<PathBuf> {
    fn of(dirs: &ProjectDirs) -> &Path {
        dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir())
    }
    own_directory(of, "XDG_STATE_HOME", ".local/state")
}

/// The failure of a program that needs a directory of its own and has no home.
#[must_use]
pub fn no_home() -> Failure {
    Failure::new(Exit::Config, "cannot tell where the home directory is")
        .hint("set HOME to the path of the home directory, from / on")
}
