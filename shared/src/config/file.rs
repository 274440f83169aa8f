//! `config.json`: read strictly, rewritten whole, members that we do not know kept.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::profile::{Profile, check_name};
use crate::exit::Exit;
use crate::failure::{Failure, io_reason};
use crate::lock::{Lock, beside};
use crate::{file, paths};

/// How long a writer waits for another one. A rewrite takes milliseconds.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// The members that we know.
#[derive(Debug, Default, Deserialize)]
struct Known {
    default_profile: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

/// The configuration as it is on disk; empty when there is no file.
#[derive(Debug, Default)]
pub struct Config {
    /// The profile in use when nothing else is said.
    pub default_profile: Option<String>,
    /// The profiles by name.
    pub profiles: BTreeMap<String, Profile>,
}

impl Config {
    /// Reads the file that [`paths::config_file`] names.
    ///
    /// # Errors
    /// Exit 78 with line and column for a file that is not valid, 66 for one that cannot be read.
    pub fn load() -> Result<Self, Failure> {
        match paths::config_file() {
            None => Ok(Self::default()),
            Some(path) => match read(&path)? {
                None => Ok(Self::default()),
                Some(text) => parse(&path, &text),
            },
        }
    }

    /// Changes the file: takes the lock, reads it, applies `change` to the raw members, checks the result, writes it
    /// whole with mode 0600. A symbolic link (a dotfile kept elsewhere) is followed; it is the user's own.
    ///
    /// # Errors
    /// As [`Config::load`] (an invalid file is never overwritten), 74 when it cannot be written, 75 when another
    /// writer holds the lock.
    pub fn edit(change: impl FnOnce(&mut Map<String, Value>)) -> Result<Self, Failure> {
        let named = paths::config_file().ok_or_else(paths::no_home)?;
        let path = named.canonicalize().unwrap_or(named);
        let refused = |error: io::Error| {
            Failure::new(
                Exit::Io,
                format!("{}: cannot write: {}", path.display(), io_reason(&error)),
            )
        };
        if let Some(directory) = path.parent() {
            file::create_private_dir(directory).map_err(refused)?;
        }
        let _lock = Lock::take(&beside(&path), LOCK_LIMIT)?;
        let text = read(&path)?.unwrap_or_else(|| "{}".to_owned());
        parse(&path, &text)?;
        let mut members: Map<String, Value> =
            serde_json::from_str(&text).map_err(|error| invalid(&path, &error))?;
        change(&mut members);
        let mut text = serde_json::to_string_pretty(&members).map_err(|error| invalid(&path, &error))?;
        text.push('\n');
        let config = parse(&path, &text)?;
        file::write_private(&path, text.as_bytes()).map_err(refused)?;
        Ok(config)
    }

    /// Changes one profile's members, creating the profile; everything else stays as [`Config::edit`] says.
    ///
    /// # Errors
    /// As [`Config::edit`]; 78 for a name that cannot be.
    pub fn edit_profile(name: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Result<Self, Failure> {
        check_name(name)?;
        Self::edit(|members| {
            let profile = member(member(members, "profiles"), name);
            change(profile);
        })
    }
}

/// Returns a member that is an object, making it one where it is absent.
fn member<'a>(members: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let value = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("it was made an object above"),
    }
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Failure::new(
            Exit::Config,
            format!("{}: not valid UTF-8", path.display()),
        )),
        Err(error) => Err(Failure::new(
            Exit::NoInput,
            format!("{}: cannot read: {}", path.display(), io_reason(&error)),
        )),
    }
}

fn parse(path: &Path, text: &str) -> Result<Config, Failure> {
    let known: Known = if text.trim().is_empty() {
        Known::default()
    } else {
        serde_json::from_str(text).map_err(|error| invalid(path, &error))?
    };
    for name in known.profiles.keys() {
        check_name(name).map_err(|failure| Failure {
            message: format!("{}: {}", path.display(), failure.message),
            ..failure
        })?;
    }
    Ok(Config {
        default_profile: known.default_profile.filter(|name| !name.trim().is_empty()),
        profiles: known.profiles,
    })
}

fn invalid(path: &Path, error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    let fault = without_value(text.split(" at line ").next().unwrap_or(&text));
    let (path, line, column) = (path.display(), error.line(), error.column());
    Failure::new(Exit::Config, format!("{path}:{line}:{column}: {fault}")).hint(format!("edit {path}"))
}

/// Takes out of serde's words the value that it did not expect: it may be a key in the wrong place.
fn without_value(fault: &str) -> String {
    let (said, expected) = match fault.rsplit_once(", expected ") {
        Some((said, expected)) if !said.starts_with("unknown field") => (said, expected),
        _ => return fault.replace('`', "'"),
    };
    let said = said.split(['"', '`']).next().unwrap_or(said).trim_end();
    let said = said.replace("unknown variant", "unknown word");
    format!("{said}, expected {}", expected.replace('`', "'"))
}
