//! Qwen Code's settings files, in each of which one start of a program looks once: they are shared, not owned.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::fs::{self, Links, parse_jsonc};
use crate::paths;

/// The largest file that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// The members of a file; `None` where there is no file, or nothing in it.
pub type Members = Option<Rc<Map<String, Value>>>;

/// Why a file says nothing.
#[derive(Debug)]
pub enum SettingsFault {
    /// It cannot be read, or somebody else could have written it.
    Unread(io::Error),
    /// It holds something else: line and column, and what is there.
    Invalid(String),
}

/// A file that is the user's own or the system's. It is read when it is first asked for.
#[derive(Debug)]
pub struct SettingsFile {
    /// Where it is, or would be.
    pub path: PathBuf,
    members: OnceCell<Result<Members, SettingsFault>>,
}

impl SettingsFile {
    /// Names a file, which may not be there.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self {
            path,
            members: OnceCell::new(),
        }
    }

    /// Returns what the file says.
    ///
    /// # Errors
    /// It cannot be read, or does not hold an object.
    pub fn members(&self) -> Result<&Members, &SettingsFault> {
        self.members.get_or_init(|| read(&self.path)).as_ref()
    }
}

/// The files that count whatever the project.
#[derive(Debug, Default)]
pub struct SettingsFiles {
    /// The machine's, which go before the user's.
    pub system: Option<SettingsFile>,
    /// The user's.
    pub user: Option<SettingsFile>,
    /// The machine's defaults, which come last.
    pub defaults: Option<SettingsFile>,
}

impl SettingsFiles {
    /// Names the files of this process. It looks at none of them.
    #[must_use]
    pub fn from_process() -> Self {
        let system = paths::system_file("QWEN_CODE_SYSTEM_SETTINGS_PATH")
            .unwrap_or_else(|| PathBuf::from("/etc/qwen-code/settings.json"));
        let defaults = paths::system_file("QWEN_CODE_SYSTEM_DEFAULTS_PATH")
            .unwrap_or_else(|| system.with_file_name("system-defaults.json"));
        let user = paths::qwen_home().map(|home| home.join("settings.json"));
        Self {
            system: Some(SettingsFile::new(system)),
            user: user.map(SettingsFile::new),
            defaults: Some(SettingsFile::new(defaults)),
        }
    }

    /// Returns the path of the user's file.
    #[must_use]
    pub fn user_path(&self) -> Option<&Path> {
        self.user.as_ref().map(|file| file.path.as_path())
    }

    /// Iterates over the files, the strongest first.
    pub fn all(&self) -> impl Iterator<Item = &SettingsFile> {
        [&self.system, &self.user, &self.defaults].into_iter().flatten()
    }
}

fn read(path: &Path) -> Result<Members, SettingsFault> {
    let opened = fs::open_own(path, Links::Follow).and_then(read_all);
    match opened.map_err(SettingsFault::Unread)? {
        Some(bytes) => parse(&bytes),
        None => Ok(None),
    }
}

/// Reads an open file to its end.
///
/// # Errors
/// The error of the machine, and for what is no regular file or a large one.
pub(crate) fn read_all(file: Option<File>) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = file else {
        return Ok(None);
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("is not a regular file"));
    }
    let mut bytes = Vec::new();
    if file.take(LIMIT + 1).read_to_end(&mut bytes)? as u64 > LIMIT {
        return Err(io::Error::other("is larger than 1 MiB"));
    }
    Ok(Some(bytes))
}

/// Reads JSON with comments and trailing commas, as Qwen Code writes it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Members, SettingsFault> {
    match parse_jsonc(&String::from_utf8_lossy(bytes)) {
        Ok(Value::Object(members)) => Ok(Some(Rc::new(members))),
        Ok(Value::Null) => Ok(None),
        Ok(_) => Err(SettingsFault::Invalid("1:1: expected an object".to_owned())),
        Err(fault) => Err(SettingsFault::Invalid(format!(
            "{}:{}: {}",
            fault.line_display(),
            fault.column_display(),
            fault.kind().to_string().to_lowercase()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{SettingsFault, SettingsFile};

    #[test]
    fn a_file_is_read_once_and_what_is_no_object_is_a_fault() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("settings.json");
        for (text, expected) in [
            ("\u{feff}{\"a\": 1,} // mine", Ok(1)),
            ("{}", Ok(0)),
            ("", Ok(0)),
            ("null", Ok(0)),
            ("[]", Err("1:1: expected an object")),
            (
                "{\n\"a\" 1}",
                Err("2:5: expected colon after the string or word in object property"),
            ),
        ] {
            fs::write(&path, text).unwrap();
            let file = SettingsFile::new(path.clone());
            let count = |file: &SettingsFile| match file.members() {
                Ok(members) => Ok(members.as_ref().map_or(0, |members| members.len())),
                Err(SettingsFault::Invalid(fault)) => Err(fault.clone()),
                Err(SettingsFault::Unread(error)) => Err(error.to_string()),
            };
            assert_eq!(count(&file), expected.map_err(str::to_owned), "{text}");
            fs::remove_file(&path).unwrap();
            assert_eq!(count(&file), expected.map_err(str::to_owned), "{text}");
        }
        let none = SettingsFile::new(directory.path().join("none"));
        assert!(matches!(none.members(), Ok(None)));
        let other = SettingsFile::new(directory.path().to_path_buf());
        assert!(matches!(other.members(), Err(SettingsFault::Unread(_))));
    }
}
