//! Qwen Code's settings files, in each of which one start of a program looks once: they are shared, not owned.

use std::cell::OnceCell;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
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

/// A project's file, read whoever owns it: it came with a clone, and counts as far as the user's answer about its content goes.
#[derive(Debug)]
pub struct ProjectFile {
    /// Where it is.
    pub path: PathBuf,
    /// What a consent is about.
    pub bytes: Vec<u8>,
    /// Nobody but the user and root can have written it.
    pub is_own: bool,
    members: OnceCell<Result<Members, SettingsFault>>,
}

impl ProjectFile {
    /// Returns the path of the file of a directory.
    #[must_use]
    pub fn path_in(directory: &Path) -> PathBuf {
        directory.join(".qwen/settings.json")
    }

    /// Reads the file of a directory; `None` where there is none that can be read, and where it is the user's own.
    fn read(
        directory: &Path,
        users: Option<&Path>,
        of_home: impl FnOnce() -> Option<PathBuf>,
    ) -> Option<Self> {
        let path = Self::path_in(directory);
        // Nearly always there is none, and whose it would be need not be found out.
        let found = path.metadata().ok()?;
        let of_home = of_home().filter(|of_home| Some(of_home.as_path()) != users);
        let mut own = users.into_iter().chain(of_home.as_deref());
        if own.any(|own| is_at(own, &found)) {
            return None;
        }
        let (file, is_own) = match fs::open_own(&path, Links::Follow) {
            Ok(file) => (file?, true),
            Err(_) => (fs::options(Links::Follow).read(true).open(&path).ok()?, false),
        };
        Some(Self {
            bytes: fs::read_regular(file, LIMIT).ok()?,
            path,
            is_own,
            members: OnceCell::new(),
        })
    }

    /// Returns what the file says.
    ///
    /// # Errors
    /// It does not hold an object.
    pub fn members(&self) -> Result<&Members, &SettingsFault> {
        self.members.get_or_init(|| parse(&self.bytes)).as_ref()
    }
}

/// True when a path leads to this file.
fn is_at(path: &Path, file: &Metadata) -> bool {
    let there = path.metadata();
    there.is_ok_and(|there| (there.dev(), there.ino()) == (file.dev(), file.ino()))
}

/// The files that count in a directory.
#[derive(Debug, Default)]
pub struct SettingsFiles {
    /// The directory whose project's file counts.
    start: Option<PathBuf>,
    /// The user's home directory.
    home: Option<PathBuf>,
    project: OnceCell<Option<ProjectFile>>,
    /// The machine's, which go before the user's.
    pub system: Option<SettingsFile>,
    /// The user's.
    pub user: Option<SettingsFile>,
    /// The machine's defaults, which come last.
    pub defaults: Option<SettingsFile>,
}

impl SettingsFiles {
    /// Names the files of this process, which started in `start`, by the home directory and Qwen Code's. It looks at none of
    /// them.
    #[must_use]
    pub fn from_process(start: Option<&Path>, home: Option<&Path>, qwen_home: Option<&Path>) -> Self {
        let system = paths::system_file("QWEN_CODE_SYSTEM_SETTINGS_PATH")
            .unwrap_or_else(|| PathBuf::from("/etc/qwen-code/settings.json"));
        let defaults = paths::system_file("QWEN_CODE_SYSTEM_DEFAULTS_PATH")
            .unwrap_or_else(|| system.with_file_name("system-defaults.json"));
        let user = qwen_home.map(|directory| directory.join("settings.json"));
        Self {
            start: start.map(Path::to_path_buf),
            home: home.map(Path::to_path_buf),
            project: OnceCell::new(),
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

    /// Returns the project's file, read when it is first asked for; `None` where there is none, or it is the user's own.
    #[must_use]
    pub fn project(&self) -> Option<&ProjectFile> {
        let of_home = || self.home.as_deref().map(ProjectFile::path_in);
        let read = || ProjectFile::read(self.start.as_deref()?, self.user_path(), of_home);
        self.project.get_or_init(read).as_ref()
    }

    /// Iterates over the files that count whatever the project, the strongest first.
    pub fn all(&self) -> impl Iterator<Item = &SettingsFile> {
        [&self.system, &self.user, &self.defaults].into_iter().flatten()
    }
}

fn read(path: &Path) -> Result<Members, SettingsFault> {
    let file = fs::open_own(path, Links::Follow).map_err(SettingsFault::Unread)?;
    let bytes = file.map(|file| fs::read_regular(file, LIMIT)).transpose();
    bytes
        .map_err(SettingsFault::Unread)?
        .map_or(Ok(None), |bytes| parse(&bytes))
}

/// Reads JSON with comments and trailing commas, as Qwen Code writes it.
fn parse(bytes: &[u8]) -> Result<Members, SettingsFault> {
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
