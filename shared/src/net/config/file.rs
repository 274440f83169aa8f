//! `config.json`: read, validated, and edited under a lock.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::document::Document;
use super::fault::{Fault, Severity, position};
use super::faults::{faults, remedy_of, value_of};
use super::json_fault;
use super::known::{self, Theme};
use super::mask::may_hold_secret;
use super::members::{Meant, UnknownMember, unknown_members};
use super::profile::Profile;
use crate::exit::{Exit, Failure, Hint};
use crate::fs::{self, Lock, PreparedWrite, cannot_read, cannot_write, lock_path};
use crate::paths;

/// How long a writer waits for another one.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// How long a command waits for another one, which may have to ask a keyring.
const PROFILES_LOCK_LIMIT: Duration = Duration::from_secs(60);

/// How much longer the file may become by a change, in bytes.
const ROOM: u64 = 4 << 10;

/// The configuration; empty when there is no file.
#[derive(Debug, Default)]
pub struct Config {
    /// The profile in use when neither a flag nor a variable names one.
    pub default_profile: Option<String>,
    /// The profiles by name.
    pub profiles: BTreeMap<String, Profile>,
    /// The colours of answers on a terminal.
    pub theme: Option<Theme>,
    /// The names that are taken from project files without consent (`env.allow`).
    pub allow: Vec<String>,
    /// What is odd about the file.
    pub notices: Vec<String>,
}

impl Config {
    /// Reads the file that [`paths::config_file`] names.
    ///
    /// # Errors
    /// 78 with line and column for an invalid file, and for one that others can change; 66 for one that cannot be read.
    pub fn load() -> Result<Self, Failure> {
        let Some(path) = paths::config_file() else {
            return Ok(Self::default());
        };
        Ok(read_valid(&path)?.map_or_else(Self::default, |(_, config)| config))
    }

    /// Returns a profile's members as they are written; `None` where there is no such profile.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn members_of(profile: &str) -> Result<Option<Map<String, Value>>, Failure> {
        let Some(path) = paths::config_file() else {
            return Ok(None);
        };
        let Some((text, _)) = read_valid(&path)? else {
            return Ok(None);
        };
        let members: Map<String, Value> =
            serde_json::from_str(&text).map_err(|error| invalid(&path, &text, &error))?;
        let profiles = members.get("profiles").and_then(Value::as_object);
        let members = profiles.and_then(|profiles| profiles.get(profile)?.as_object());
        Ok(members.cloned())
    }

    /// Checks that the file can be written, by trying every step of that but the last. Call it before anything is changed
    /// that belongs to the change of the file.
    ///
    /// # Errors
    /// 74 when neither the file nor its directory can be written, or it is not a regular file.
    pub fn check_writable() -> Result<(), Failure> {
        let path = target()?;
        let room = path.metadata().map_or(0, |file| file.len()) + ROOM;
        PreparedWrite::begin(&path, usize::try_from(room).unwrap_or(usize::MAX))
            .map(drop)
            .map_err(|error| cannot_write(&path, &error))
    }

    /// Keeps other commands from changing profiles, with what is stored for them, until the lock is dropped. Each change of
    /// the file has a lock of its own besides.
    ///
    /// # Errors
    /// 74 when the directory cannot be written, 75 when another command holds the lock for long.
    pub fn lock_profiles() -> Result<Lock, Failure> {
        let path = target()?;
        if let Some(directory) = path.parent() {
            fs::create_private_dir(directory).map_err(|error| cannot_write(&path, &error))?;
        }
        lock(&path.with_file_name("profiles"), PROFILES_LOCK_LIMIT)
    }

    /// Changes the raw members of the file under its lock. A new file has mode 0600, and one with members that may hold a
    /// secret; else whoever may read the old one may read the new one. What is not changed stays as it is written. Symbolic
    /// links are followed: a dotfile may be kept elsewhere.
    ///
    /// # Errors
    /// As [`Config::load`], also for what `change` makes of it; 74 when it cannot be written, 75 when another writer
    /// holds the lock. The file is then as before.
    pub fn edit(change: impl FnOnce(&mut Map<String, Value>)) -> Result<Self, Failure> {
        Self::try_edit(|members| {
            change(members);
            Ok(())
        })
    }

    /// As [`Config::edit`], for a change that may be refused.
    ///
    /// # Errors
    /// As [`Config::edit`], and that of `change`.
    pub fn try_edit(
        change: impl FnOnce(&mut Map<String, Value>) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        Self::replace(|path, text| {
            let text = text.unwrap_or("{}\n");
            parse(path, text)?;
            let mut members = members_of(path, text)?;
            change(&mut members)?;
            let mut document = Document::new(text.to_owned());
            document.update(&members);
            Ok(document.into_text())
        })
    }

    /// Gives a profile another name, in its place, under the lock of the file. `change` may change other members after that.
    ///
    /// # Errors
    /// As [`Config::edit`].
    pub fn rename_profile(
        from: &str,
        to: &str,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<Self, Failure> {
        Self::replace(|path, text| {
            let text = text.unwrap_or("{}\n");
            parse(path, text)?;
            let before = members_of(path, text)?;
            let is_there = |name| {
                before
                    .get("profiles")
                    .is_some_and(|profiles| profiles.get(name).is_some())
            };
            if !is_there(from) || is_there(to) {
                let message = "config.json was changed by another process meanwhile";
                return Err(Failure::new(Exit::TryAgain, message));
            }
            let mut document = Document::new(text.to_owned());
            document.rename(&["profiles", from], to);
            let mut members = members_of(path, document.text())?;
            change(&mut members);
            document.update(&members);
            Ok(document.into_text())
        })
    }

    /// Replaces the text of the file, `None` where there is none, by what `change` makes of it, under its lock.
    ///
    /// # Errors
    /// As [`Config::edit`], and that of `change`. A file that is not valid is given to `change` too.
    pub fn replace(
        change: impl FnOnce(&Path, Option<&str>) -> Result<String, Failure>,
    ) -> Result<Self, Failure> {
        let path = target()?;
        if let Some(directory) = path.parent() {
            fs::create_private_dir(directory).map_err(|error| cannot_write(&path, &error))?;
        }
        let _lock = lock(&path, LOCK_LIMIT)?;
        let found = read_bytes(&path)?;
        let before = found.clone().map_or(Ok(None), |bytes| text_of(&path, bytes))?;
        let text = change(&path, before.as_deref())?;
        let config = parse(&path, &text)?;
        if found.is_none_or(|found| !is_text(&found, &text)) {
            let write = match may_hold_secret(&members_of(&path, &text)?) {
                true => fs::write_private,
                false => fs::write_readable_as_before,
            };
            write(&path, text.as_bytes()).map_err(|error| cannot_write(&path, &error))?;
        }
        Ok(config)
    }

    /// Finds all that is wrong with the file; `None` where there is no file.
    ///
    /// # Errors
    /// As [`Config::load`], but for what is wrong with its text.
    pub fn check(path: &Path) -> Result<Option<Vec<Fault>>, Failure> {
        let Some(bytes) = read_bytes(path)? else {
            return Ok(None);
        };
        Ok(Some(match decode(bytes) {
            Ok(text) => text.map_or_else(Vec::new, |text| faults(&text)),
            Err(fault) => vec![fault],
        }))
    }

    /// Reads the text of the file; `None` where there is none, or a blank one.
    ///
    /// # Errors
    /// As [`Config::load`], but for a text that is no valid configuration.
    pub fn text() -> Result<Option<String>, Failure> {
        paths::config_file().map_or(Ok(None), |path| read(&path))
    }
}

fn members_of(path: &Path, text: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(text).map_err(|error| invalid(path, text, &error))
}

/// Returns the path that is written, which is no symbolic link.
///
/// # Errors
/// 74 for a device or a directory, as with `QWEN_CONFIG=/dev/null`, and for a file that is read-only; 78 where others can
/// replace it.
fn target() -> Result<PathBuf, Failure> {
    let path = paths::config_file().ok_or_else(paths::no_home)?;
    fs::open_config(&path).map_err(|error| cannot_read(&path, &error))?;
    let path = fs::linked(path.clone()).map_err(|error| cannot_read(&path, &error))?;
    fs::check_own_directory(&path).map_err(|error| cannot_write(&path, &error))?;
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(cannot_write(&path, &io::Error::other("is not a regular file")));
    }
    fs::check_not_read_only(&path)?;
    Ok(path)
}

/// Takes the lock of a file. It is beside the file itself, so that all who write that use it, by whatever link. Only in our own
/// directory does the lock file stay: a link leads to a directory of the user's, such as a repository of dotfiles.
fn lock(path: &Path, limit: Duration) -> Result<Lock, Failure> {
    let own = paths::config_dir().and_then(|own| own.canonicalize().ok());
    let is_own = own.is_some_and(|own| path.parent() == Some(own.as_path()));
    match is_own || path.parent() == paths::config_dir().as_deref() {
        true => Lock::take(&lock_path(path), limit),
        false => Lock::take_removed(&lock_path(path), limit),
    }
}

/// Returns the text that counts; `None` for a file that is missing or blank.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    read_bytes(path)?.map_or(Ok(None), |bytes| text_of(path, bytes))
}

/// Reads the file and parses it; `None` for one that is missing or blank.
fn read_valid(path: &Path) -> Result<Option<(String, Config)>, Failure> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    let config = parse(path, &text)?;
    Ok(Some((text, config)))
}

fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    fs::read_config(path).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => Failure::new(Exit::Config, format!("{}: {error}", path.display())),
        _ => cannot_read(path, &error),
    })
}

/// Makes a text of what was read, or of what was to be written there where a write in place was cut short.
fn text_of(path: &Path, bytes: Vec<u8>) -> Result<Option<String>, Failure> {
    let bytes = fs::whole_config(path, &bytes).unwrap_or(bytes);
    decode(bytes).map_err(|fault| {
        let mut failure = failure_at(path, fault.line, fault.column, &fault.words);
        failure.hints.splice(0..0, fault.remedy.map(Hint));
        failure
    })
}

/// True for the bytes of a text, a byte order mark or none before it.
fn is_text(bytes: &[u8], text: &str) -> bool {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) == text.as_bytes()
}

/// Makes a text of the file's bytes; `None` for a blank one. A byte order mark is ignored (RFC 8259, section 8.1).
fn decode(bytes: Vec<u8>) -> Result<Option<String>, Fault> {
    let is_utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let (line, column) = position(&String::from_utf8_lossy(valid), valid.len());
        let remedy = match is_utf16 {
            true => "it is UTF-16: save it as UTF-8",
            false => "save it as UTF-8",
        };
        Fault {
            line,
            column,
            path: Vec::new(),
            words: "not valid UTF-8".to_owned(),
            remedy: Some(remedy.to_owned()),
            severity: Severity::Invalid,
        }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok((!text.trim().is_empty()).then(|| text.to_owned()))
}

fn parse(path: &Path, text: &str) -> Result<Config, Failure> {
    let known = known::read(text).map_err(|error| invalid(path, text, &error))?;
    let members = members_of(path, text)?;
    let unknown = unknown_members(&members);
    if let Some(list) = unknown.iter().find(|member| member.meant == Meant::Object) {
        let names: Vec<&str> = list.path.iter().map(String::as_str).collect();
        let (line, column) = position(text, value_of(text, &names));
        let words = format!("'{}' is not an object", names.join("."));
        return Err(failure_at(path, line, column, &words));
    }
    Ok(Config {
        default_profile: known.default_profile.filter(|name| !name.trim().is_empty()),
        profiles: known
            .profiles
            .into_iter()
            .map(|(name, profile)| (name.0, profile))
            .collect(),
        theme: known.theme,
        allow: known.env.allow.into_iter().map(|name| name.0).collect(),
        notices: unknown_notices(path, unknown),
    })
}

/// The most members that are named.
const NAMED: usize = 5;

/// Says which members no program reads, one line each.
fn unknown_notices(path: &Path, unknown: Vec<UnknownMember>) -> Vec<String> {
    let rest = unknown.len().saturating_sub(NAMED);
    let mut notices: Vec<String> = unknown
        .into_iter()
        .take(NAMED)
        .map(|member| {
            let remedy = match &member.meant {
                Meant::Nothing => String::new(),
                meant => format!(", {}", remedy_of(&member.path, meant)),
            };
            format!(
                "{}: '{}' is not known{remedy}",
                path.display(),
                member.path.join(".")
            )
        })
        .collect();
    if let (Some(last), 1..) = (notices.last_mut(), rest) {
        last.push_str(&format!(" (and {rest} more)"));
    }
    notices
}

fn invalid(path: &Path, text: &str, error: &serde_json::Error) -> Failure {
    let described = json_fault::describe(text, error);
    let (line, column) = position(text, described.at);
    let mut failure = failure_at(path, line, column, &described.words);
    if let Some(remedy) = described.remedy {
        failure.hints.insert(0, Hint(remedy));
    }
    failure
}

/// Lines and columns count from 1; columns count bytes.
fn failure_at(path: &Path, line: usize, column: usize, reason: &str) -> Failure {
    let path = path.display();
    Failure::new(Exit::Config, format!("{path}:{line}:{column}: {reason}")).hint(format!("edit {path}"))
}
