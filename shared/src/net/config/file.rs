//! `config.json`: read, validated, and edited under a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::profile::{KeySetting, Profile, ProfileName};
use crate::exit::{Exit, Failure, io_reason};
use crate::fs::{self, Lock, beside};
use crate::paths;

/// How long a writer waits for another one. A rewrite takes milliseconds.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// The largest file that is read, in bytes: thousands of profiles.
const LARGEST: u64 = 4 << 20;

/// The members that we know.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object")]
struct Known {
    default_profile: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<ProfileName, Profile>,
}

/// The configuration as it is on disk; empty when there is no file.
#[derive(Debug, Default)]
pub struct Config {
    /// The profile in use when nothing else is said.
    pub default_profile: Option<String>,
    /// The profiles by name.
    pub profiles: BTreeMap<String, Profile>,
    /// What the user ought to know about the file: that others can change it, and so where keys are sent.
    pub notice: Option<String>,
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
                Some(text) => Ok(Self {
                    notice: remark(&path),
                    ..parse(&path, &text)?
                }),
            },
        }
    }

    /// Returns the names of the variables that profiles take their keys from.
    #[must_use]
    pub fn key_variables(&self) -> Vec<String> {
        let variable = |profile: &Profile| match &profile.key {
            Some(KeySetting::Env(name)) => Some(name.clone()),
            _ => None,
        };
        self.profiles.values().filter_map(variable).collect()
    }

    /// Proves that the file can be written, by writing beside it and taking that away again.
    ///
    /// # Errors
    /// 74 when its directory cannot be written, or something that is no file is in its place.
    pub fn check_writable() -> Result<(), Failure> {
        let path = written()?;
        let trial = path.with_file_name(format!(".trial-{}", std::process::id()));
        fs::write_private(&trial, b"may this be written?")
            .and_then(|()| std::fs::remove_file(&trial))
            .map_err(|error| refused(&path, &error))
    }

    /// Changes the file: takes the lock, reads it, applies `change` to the raw members, checks the result, writes it
    /// whole with mode 0600. A symbolic link (a dotfile kept elsewhere) is followed; it is the user's own.
    ///
    /// # Errors
    /// As [`Config::load`] (an invalid file is never overwritten), 74 when it cannot be written, 75 when another
    /// writer holds the lock.
    pub fn edit(change: impl FnOnce(&mut Map<String, Value>)) -> Result<Self, Failure> {
        let path = written()?;
        if let Some(directory) = path.parent() {
            fs::create_private_dir(directory).map_err(|error| refused(&path, &error))?;
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
        fs::write_private(&path, text.as_bytes()).map_err(|error| refused(&path, &error))?;
        Ok(config)
    }
}

/// Returns the file that a rewrite replaces: what the name stands for, through symbolic links.
///
/// # Errors
/// 74 for a device or a directory in its place: `QWEN_CONFIG=/dev/null` reads as no configuration, and a rewrite must not
/// put a file there.
fn written() -> Result<PathBuf, Failure> {
    let named = paths::config_file().ok_or_else(paths::no_home)?;
    let path = named.canonicalize().unwrap_or(named);
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => {
            Err(refused(&path, &io::Error::other("is not a regular file")))
        }
        _ => Ok(path),
    }
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    let (path, reason) = (path.display(), io_reason(error));
    Failure::new(Exit::Io, format!("{path}: cannot write: {reason}"))
}

/// Reads the file; `None` when there is none or it is blank. A byte order mark is no part of JSON (RFC 8259, section 8.1).
fn read(path: &Path) -> Result<Option<String>, Failure> {
    let shown = path.display();
    let mut bytes = Vec::with_capacity(4096);
    let read = open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    match read {
        Ok(length) if length as u64 > LARGEST => Err(Failure::new(
            Exit::Config,
            format!("{shown}: larger than {LARGEST} bytes"),
        )),
        Ok(_) => {
            let text = String::from_utf8(bytes).map_err(|error| {
                let valid = error.utf8_error().valid_up_to();
                not_text(path, &error.as_bytes()[..valid])
            })?;
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            Ok(Some(text.to_owned()).filter(|text| !text.trim().is_empty()))
        }
        Err(error) if fs::is_absent(&error) => Ok(None),
        Err(error) => Err(Failure::new(
            Exit::NoInput,
            format!("{shown}: cannot read: {}", io_reason(&error)),
        )),
    }
}

/// Opens the file, or a device such as `/dev/null`; a FIFO, which would be waited for, is refused.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        return Err(io::Error::other("is not a regular file"));
    }
    Ok(file)
}

fn parse(path: &Path, text: &str) -> Result<Config, Failure> {
    let known: Known = serde_json::from_str::<Unique>(text)
        .and_then(|_| serde_json::from_str(text))
        .map_err(|error| invalid(path, &error))?;
    Ok(Config {
        default_profile: known.default_profile.filter(|name| !name.trim().is_empty()),
        profiles: known
            .profiles
            .into_iter()
            .map(|(name, profile)| (name.0, profile))
            .collect(),
        notice: None,
    })
}

/// Says that everybody can change the file.
fn remark(path: &Path) -> Option<String> {
    let mode = path.metadata().ok()?.mode() & 0o7777;
    (mode & 0o002 != 0).then(|| format!("'{}' is writable by all (mode {mode:04o})", path.display()))
}

fn invalid(path: &Path, error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    let fault = without_value(text.split(" at line ").next().unwrap_or(&text));
    fault_at(path, error.line(), error.column(), &fault)
}

/// Says where a text stops to be one: behind `valid`.
fn not_text(path: &Path, valid: &[u8]) -> Failure {
    let mut lines = valid.split(|&byte| byte == b'\n');
    let column = lines.next_back().map_or(0, <[u8]>::len) + 1;
    fault_at(path, lines.count() + 1, column, "not valid UTF-8")
}

/// Lines and columns count from 1; columns count bytes.
fn fault_at(path: &Path, line: usize, column: usize, fault: &str) -> Failure {
    let path = path.display();
    Failure::new(Exit::Config, format!("{path}:{line}:{column}: {fault}")).hint(format!("edit {path}"))
}

/// Takes out of serde's words the value that it did not expect, for it may be a key in the wrong place, and Rust's names
/// of numbers.
fn without_value(fault: &str) -> String {
    let (said, expected) = match fault.rsplit_once(", expected ") {
        Some((said, expected)) if !said.starts_with("unknown field") => (said, expected),
        _ => return fault.replace('`', "'"),
    };
    let said = said.split(['"', '`']).next().unwrap_or(said).trim_end();
    let said = said.replace("unknown variant", "unknown word");
    let expected = match expected {
        "u32" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        words => words.replace('`', "'"),
    };
    format!("{said}, expected {expected}")
}

/// Any JSON value in which no object names a member twice.
///
/// RFC 8259, section 4, leaves open what a second one means; here one of the two would be lost without a word when the
/// file is rewritten.
pub(super) struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Looking)
    }
}

struct Looking;

impl<'de> Visitor<'de> for Looking {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        while items.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unique, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if seen.contains(&name) {
                return Err(A::Error::custom(format!("duplicate field `{name}`")));
            }
            seen.insert(name);
            members.next_value::<Unique>()?;
        }
        Ok(Unique)
    }
}
