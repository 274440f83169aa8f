//! `config.json`: read, validated, and edited under a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::members::unknown_members;
use super::profile::{Profile, ProfileName};
use crate::exit::{Exit, Failure};
use crate::fs::{self, Links, Lock, cannot_read, cannot_write, lock_path};
use crate::paths;

/// How long a writer waits for another one.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// The largest file that is read, in bytes.
const MAX_SIZE: u64 = 4 << 20;

/// Members that are not here are kept on rewrite.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object")]
struct KnownMembers {
    default_profile: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<ProfileName, Profile>,
    #[expect(dead_code, reason = "it is read to be refused when it is invalid")]
    #[serde(default)]
    env: EnvMember,
    theme: Option<Theme>,
}

/// What `qwen-env` takes from project files without consent. It reads this member by itself; here it is validated.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
struct EnvMember {
    allow: Vec<AllowedName>,
}

/// A variable's name; `*` stands for any characters.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct AllowedName;

impl TryFrom<String> for AllowedName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_name = |c: u8| c.is_ascii_alphanumeric() || b"_*.-".contains(&c);
        match !name.is_empty() && name.bytes().all(is_name) {
            true => Ok(Self),
            false => Err("a name of \"allow\" is made of letters, digits, '_' and '*'".to_owned()),
        }
    }
}

/// The colours of code and Markdown on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Theme {
    /// For a dark background.
    Dark,
    /// For a light background.
    Light,
    /// No colours.
    None,
}

/// The configuration; empty when there is no file.
#[derive(Debug, Default)]
pub struct Config {
    /// The profile in use when neither a flag nor a variable names one.
    pub default_profile: Option<String>,
    /// The profiles by name.
    pub profiles: BTreeMap<String, Profile>,
    /// The colours of answers on a terminal.
    pub theme: Option<Theme>,
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
        let Some(text) = read(&path)? else {
            return Ok(Self::default());
        };
        parse(&path, &text)
    }

    /// Checks that the file can be written, by writing another one beside it.
    ///
    /// # Errors
    /// 74 when its directory cannot be written, or it is not a regular file.
    pub fn check_writable() -> Result<(), Failure> {
        let path = target()?;
        let trial = path.with_file_name(format!(".trial-{}", std::process::id()));
        fs::write_private(&trial, b"")
            .and_then(|()| std::fs::remove_file(&trial))
            .map_err(|error| cannot_write(&path, &error))
    }

    /// Changes the raw members of the file under its lock, and writes it with mode 0600. Symbolic links are followed: a
    /// dotfile may be kept elsewhere.
    ///
    /// # Errors
    /// As [`Config::load`], also for what `change` makes of it; 74 when it cannot be written, 75 when another writer
    /// holds the lock. The file is then as before.
    pub fn edit(change: impl FnOnce(&mut Map<String, Value>)) -> Result<Self, Failure> {
        let path = target()?;
        if let Some(directory) = path.parent() {
            fs::create_private_dir(directory).map_err(|error| cannot_write(&path, &error))?;
        }
        let _lock = Lock::take(&lock_path(&path), LOCK_LIMIT)?;
        let text = read(&path)?.unwrap_or_else(|| "{}".to_owned());
        parse(&path, &text)?;
        let invalid = |error: serde_json::Error| invalid(&path, &error);
        let mut members: Map<String, Value> = serde_json::from_str(&text).map_err(invalid)?;
        change(&mut members);
        let text = serde_json::to_string_pretty(&members).map_err(invalid)? + "\n";
        let config = parse(&path, &text)?;
        fs::write_private(&path, text.as_bytes()).map_err(|error| cannot_write(&path, &error))?;
        Ok(config)
    }
}

/// Returns the path that is written, which is no symbolic link.
///
/// # Errors
/// 74 for a device or a directory, as with `QWEN_CONFIG=/dev/null`; 78 where others can replace it.
fn target() -> Result<PathBuf, Failure> {
    let path = paths::config_file().ok_or_else(paths::no_home)?;
    open(&path).map_err(|error| cannot_read(&path, &error))?;
    let path = path.canonicalize().unwrap_or(path);
    fs::check_own_directory(&path).map_err(|error| cannot_write(&path, &error))?;
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(cannot_write(&path, &io::Error::other("is not a regular file")));
    }
    Ok(path)
}

/// Returns `None` for a file that is missing or blank. A byte order mark is ignored (RFC 8259, section 8.1).
fn read(path: &Path) -> Result<Option<String>, Failure> {
    let shown = path.display();
    let mut bytes = Vec::with_capacity(4096);
    let read = open(path).and_then(|file| match file {
        Some(file) => file.take(MAX_SIZE + 1).read_to_end(&mut bytes),
        None => Ok(0),
    });
    match read {
        Ok(length) if length as u64 > MAX_SIZE => {
            let message = format!("{shown}: larger than {MAX_SIZE} bytes");
            return Err(Failure::new(Exit::Config, message));
        }
        Ok(_) => {}
        Err(error) => return Err(cannot_read(path, &error)),
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line_start = valid
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let line = valid[..line_start].iter().filter(|&&byte| byte == b'\n').count() + 1;
        failure_at(path, line, valid.len() - line_start + 1, "not valid UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok((!text.trim().is_empty()).then(|| text.to_owned()))
}

/// Opens a file of the user's own or a device such as `/dev/null`, but no FIFO, which could block; `None` when there is none.
fn open(path: &Path) -> io::Result<Option<File>> {
    let file = fs::open_own(path, Links::Follow)?;
    match &file {
        Some(file) if file.metadata()?.file_type().is_fifo() => {
            Err(io::Error::other("is not a regular file"))
        }
        _ => Ok(file),
    }
}

fn parse(path: &Path, text: &str) -> Result<Config, Failure> {
    let known: KnownMembers = serde_json::from_str::<Unique>(text)
        .and_then(|_| serde_json::from_str(text))
        .map_err(|error| invalid(path, &error))?;
    let members: Map<String, Value> = serde_json::from_str(text).map_err(|error| invalid(path, &error))?;
    Ok(Config {
        default_profile: known.default_profile.filter(|name| !name.trim().is_empty()),
        profiles: known
            .profiles
            .into_iter()
            .map(|(name, profile)| (name.0, profile))
            .collect(),
        theme: known.theme,
        notices: unknown_notice(path, &members).into_iter().collect(),
    })
}

/// Says in one line which member no program reads.
fn unknown_notice(path: &Path, members: &Map<String, Value>) -> Option<String> {
    let unknown = unknown_members(members);
    let first = unknown.first()?;
    let meant = first
        .nearest
        .map_or_else(String::new, |name| format!(", did you mean '{name}'?"));
    let others = match unknown.len() - 1 {
        0 => String::new(),
        count => format!(" (and {count} more)"),
    };
    let (path, member) = (path.display(), &first.path);
    Some(format!("{path}: '{member}' is not known{meant}{others}"))
}

fn invalid(path: &Path, error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    let reason = without_value(text.split(" at line ").next().unwrap_or(&text));
    failure_at(path, error.line(), error.column(), &reason)
}

/// Lines and columns count from 1; columns count bytes.
fn failure_at(path: &Path, line: usize, column: usize, reason: &str) -> Failure {
    let path = path.display();
    Failure::new(Exit::Config, format!("{path}:{line}:{column}: {reason}")).hint(format!("edit {path}"))
}

/// Removes from serde's message the unexpected value, which may be a misplaced key, and the names of Rust's types.
fn without_value(message: &str) -> String {
    let (found, expected) = match message.rsplit_once(", expected ") {
        Some((found, expected)) if !found.starts_with("unknown field") => (found, expected),
        _ => return message.replace('`', "'"),
    };
    let found = found.split(['"', '`']).next().unwrap_or(found).trim_end();
    let found = found.replace("unknown variant", "unknown word");
    let expected = match expected {
        "u32" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        words => words.replace('`', "'"),
    };
    format!("{found}, expected {expected}")
}

/// Any JSON value without duplicate members. RFC 8259, section 4, leaves open what a second one means, and a rewrite
/// would lose one of the two.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

macro_rules! accept {
    ($($visit:ident $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Unique, E> {
            Ok(Unique)
        })*
    };
}

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    accept!(visit_bool bool, visit_i64 i64, visit_u64 u64, visit_f64 f64, visit_str &str);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        while items.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unique, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format!("duplicate field `{name}`")));
            }
            names.insert(name);
            members.next_value::<Unique>()?;
        }
        Ok(Unique)
    }
}
