//! The user's answers about files, by path **and** content: one changed byte ends an answer.
//!
//! The store is `trust.json` in the state directory: an object whose `files` maps an absolute path to the SHA-256 of
//! the content and the answer. (An older form has the digest alone, which is a yes.) It is read only when a project's
//! file was found, and the content is hashed only when the store knows the path.

use std::cell::OnceCell;
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::chain::command_about;
use super::search::EnvError;
use crate::exit::{Exit, Failure, io_exit, io_reason};
use crate::fs::{self, Lock, NotOwn};
use crate::text::{hex, shell_word};

/// The largest store that is read, in bytes.
const LIMIT: u64 = 16 * 1024 * 1024;

/// How long to wait for another process that changes the store: it needs a few milliseconds.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// How far a file is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It lies in the user's home directory or in Qwen Code's.
    Home,
    /// A project's file that the user consented to, with this content.
    TrustedProject,
    /// A project's file: it came with a clone.
    UntrustedProject,
}

impl Trust {
    /// Returns the words for it in `--explain`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::TrustedProject => "trusted project",
            Self::UntrustedProject => "untrusted project",
        }
    }
}

/// What the user said about a file with its present content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may set what it sets.
    Yes,
    /// It may not, and this is not to be asked again.
    No,
}

impl Answer {
    /// Returns the word for it in the store.
    const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
        }
    }
}

/// The answers, as the store held them when it was read.
#[derive(Debug, Default)]
pub struct TrustStore {
    files: Map<String, Value>,
}

impl TrustStore {
    /// Reads the store; an absent one holds no answer.
    ///
    /// # Errors
    /// A store that somebody else could have written, that cannot be read, or that is not what this module writes.
    pub fn load(store: &Path) -> Result<Self, EnvError> {
        let damaged = |reason: &str| EnvError::TrustStore(damaged(store, reason));
        let read = fs::read_private(store, LIMIT).map_err(|error| match NotOwn::of(&error) {
            Some(not_own) => EnvError::TrustStore(not_own.failure()),
            None if error.raw_os_error().is_some() && !fs::is_link_error(&error) => io_fault(store, &error),
            None => damaged(&io_reason(&error)),
        })?;
        let Some(read) = read else {
            return Ok(Self::default());
        };
        let copy = || Some(fs::read_private(&fs::whole_copy(store), LIMIT).ok()??.bytes);
        let whole = |error| fs::whole_json(&read.bytes, copy).ok_or(error);
        let value: Value = serde_json::from_slice(&read.bytes)
            .or_else(|error| serde_json::from_slice(&whole(error)?))
            .map_err(|error| {
                damaged(if error.is_eof() {
                    "it ends in the middle"
                } else {
                    "it is not JSON"
                })
            })?;
        match value.get("files") {
            Some(Value::Object(files)) => Ok(Self { files: files.clone() }),
            _ => Err(damaged("'files' is not an object")),
        }
    }

    /// Returns the answer about this file with exactly this content.
    #[must_use]
    pub fn answer(&self, path: &Path, content: &[u8]) -> Option<Answer> {
        let (known, answer) = self.entry(path)?;
        (known == digest(content)).then_some(answer)
    }

    /// Returns whether the user consented to this file with exactly this content.
    #[must_use]
    pub fn holds(&self, path: &Path, content: &[u8]) -> bool {
        self.answer(path, content) == Some(Answer::Yes)
    }

    /// Returns whether there is a yes about this path, for whatever content.
    pub(super) fn may_consent(&self, path: &Path) -> bool {
        self.entry(path).is_some_and(|(_, answer)| answer == Answer::Yes)
    }

    fn entry(&self, path: &Path) -> Option<(&str, Answer)> {
        if self.files.is_empty() {
            return None;
        }
        let entry = self.files.get(&key(path))?;
        if let Some(digest) = entry.as_str() {
            return Some((digest, Answer::Yes));
        }
        let answer = match entry.get("answer")?.as_str()? {
            "yes" => Answer::Yes,
            "no" => Answer::No,
            _ => return None,
        };
        Some((entry.get("digest")?.as_str()?, answer))
    }
}

/// The store of one start, which is read once: when an answer is first asked for.
#[derive(Debug, Default)]
pub struct TrustFile {
    path: Option<PathBuf>,
    read: OnceCell<(TrustStore, Option<EnvError>)>,
}

impl TrustFile {
    /// Names a store, which may not be there; `None` for one that no answer is in.
    #[must_use]
    pub const fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            read: OnceCell::new(),
        }
    }

    /// Returns where the store is, or would be.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns the answers, and why there is none where the store cannot be read.
    #[must_use]
    pub fn answers(&self) -> (&TrustStore, Option<&EnvError>) {
        let (store, fault) = self.read.get_or_init(|| {
            let loaded = self
                .path()
                .map_or_else(|| Ok(TrustStore::default()), TrustStore::load);
            match loaded {
                Ok(store) => (store, None),
                Err(fault) => (TrustStore::default(), Some(fault)),
            }
        });
        (store, fault.as_ref())
    }
}

/// Keeps the answer about a file with this content, in place of any earlier one. `notify` is called when it has to wait
/// for another process.
///
/// # Errors
/// The store cannot be read or written; it is then as it was.
pub fn keep(
    store: &Path,
    path: &Path,
    content: &[u8],
    answer: Answer,
    notify: &dyn Fn(&str),
) -> Result<(), EnvError> {
    let name = checked_key(path)?;
    change(store, notify, |files| {
        let entry = json!({ "digest": digest(content), "answer": answer.name() });
        files.insert(name, entry);
        true
    })
}

/// Keeps a yes; see [`keep`].
///
/// # Errors
/// As [`keep`].
pub fn grant(store: &Path, path: &Path, content: &[u8], notify: &dyn Fn(&str)) -> Result<(), EnvError> {
    keep(store, path, content, Answer::Yes, notify)
}

/// Keeps a no; see [`keep`].
///
/// # Errors
/// As [`keep`].
pub fn deny(store: &Path, path: &Path, content: &[u8], notify: &dyn Fn(&str)) -> Result<(), EnvError> {
    keep(store, path, content, Answer::No, notify)
}

/// Removes the answer about a file, whatever its content; returns it. `notify` as with [`keep`].
///
/// # Errors
/// The store cannot be read or written; it is then as it was.
pub fn forget(store: &Path, path: &Path, notify: &dyn Fn(&str)) -> Result<Option<Answer>, EnvError> {
    let mut answer = None;
    change(store, notify, |files| {
        let name = key(path);
        let known = TrustStore {
            files: std::mem::take(files),
        };
        answer = known.entry(path).map(|(_, answer)| answer);
        *files = known.files;
        files.shift_remove(&name).is_some()
    })?;
    Ok(answer)
}

/// Reads, changes and replaces the store under a kernel lock, so that none of several changes at once is lost.
fn change(
    store: &Path,
    notify: &dyn Fn(&str),
    edit: impl FnOnce(&mut Map<String, Value>) -> bool,
) -> Result<(), EnvError> {
    let fault = |error: &io::Error| {
        EnvError::TrustStore(match NotOwn::of(error) {
            Some(not_own) => not_own.failure(),
            None => Failure::new(io_exit(error, Exit::Io), unusable(store, &io_reason(error))),
        })
    };
    if let Some(directory) = store.parent() {
        fs::create_private_dir(directory).map_err(|error| fault(&error))?;
    }
    let _lock =
        Lock::take_with_notice(&fs::lock_path(store), LOCK_LIMIT, notify).map_err(EnvError::Locked)?;
    let mut answers = TrustStore::load(store)?;
    if !edit(&mut answers.files) {
        return Ok(());
    }
    let mut text = format!("{:#}", json!({ "files": answers.files })).into_bytes();
    text.push(b'\n');
    fs::write_private(store, &text).map_err(|error| fault(&error))
}

/// The failure of a store that is not what this module writes, exit 74.
fn damaged(store: &Path, reason: &str) -> Failure {
    let failure = Failure::new(Exit::Io, unusable(store, reason));
    let aside = store.with_extension("json.damaged");
    let command = command_about("mv", store).zip(aside.to_str().and_then(shell_word));
    match command {
        Some((command, aside)) => failure.hint(format!(
            "run '{command} {aside}' to begin a new one, and answer again about each file"
        )),
        None => failure,
    }
}

fn unusable(store: &Path, reason: &str) -> String {
    format!("{}: cannot use the trust store: {reason}", store.display())
}

/// A fault of the store, or of what it is about, that another time may not have.
fn io_fault(path: &Path, error: &io::Error) -> EnvError {
    EnvError::TrustStore(Failure {
        exit: io_exit(error, Exit::Io),
        ..fs::cannot_read(path, error)
    })
}

/// As [`key`], for an answer that is to be found again: the directory has to be there.
fn checked_key(path: &Path) -> Result<String, EnvError> {
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    let real = directory
        .canonicalize()
        .map_err(|error| io_fault(directory, &error))?;
    Ok(spelled(&real.join(path.file_name().unwrap_or_default())))
}

/// The name of a file in the store: its directory by its real path, so that a link above it changes nothing.
fn key(path: &Path) -> String {
    let real: Option<PathBuf> = path
        .parent()
        .and_then(|directory| directory.canonicalize().ok())
        .zip(path.file_name())
        .map(|(directory, name)| directory.join(name));
    spelled(&real.unwrap_or_else(|| path.to_path_buf()))
}

fn spelled(path: &Path) -> String {
    match path.to_str() {
        Some(path) => path.to_owned(),
        // Two names that are not UTF-8 must not become the same one.
        None => path
            .as_os_str()
            .as_bytes()
            .iter()
            .fold("bytes:".to_owned(), |mut key, byte| {
                let _ = write!(key, "{byte:02x}");
                key
            }),
    }
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(content)))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use super::{Answer, TrustStore, deny, digest, forget, grant, spelled};
    use crate::dotenv::EnvError;
    use crate::fs::write_private;

    fn quiet(_: &str) {}

    #[test]
    fn an_answer_is_for_one_file_with_one_content() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("state/trust.json");
        let file = directory.path().join(".env");
        assert!(TrustStore::load(&store).unwrap().answer(&file, b"A=1").is_none());
        grant(&store, &file, b"A=1", &quiet).unwrap();
        let known = TrustStore::load(&store).unwrap();
        assert!(known.holds(&file, b"A=1") && known.may_consent(&file));
        assert!(!known.holds(&file, b"A=2"));
        let other = directory.path().join(".env.local");
        assert!(!known.holds(&other, b"A=1") && !known.may_consent(&other));

        deny(&store, &file, b"A=2", &quiet).unwrap();
        let known = TrustStore::load(&store).unwrap();
        assert_eq!(known.answer(&file, b"A=2"), Some(Answer::No));
        assert_eq!(known.answer(&file, b"A=1"), None);
        assert!(!known.holds(&file, b"A=2") && !known.may_consent(&file));
    }

    #[test]
    fn a_link_above_a_file_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("trust.json");
        std::fs::create_dir(directory.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", directory.path().join("link")).unwrap();
        grant(&store, &directory.path().join("link/.env"), b"", &quiet).unwrap();
        let known = TrustStore::load(&store).unwrap();
        assert!(known.holds(&directory.path().join("real/.env"), b""));
        let nowhere = directory.path().join("nowhere/.env");
        assert!(matches!(
            grant(&store, &nowhere, b"", &quiet),
            Err(EnvError::TrustStore(_))
        ));
    }

    #[test]
    fn what_is_forgotten_is_returned_and_the_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("trust.json");
        let [one, other] = ["one", "other"].map(|name| directory.path().join(name));
        grant(&store, &one, b"", &quiet).unwrap();
        deny(&store, &other, b"", &quiet).unwrap();
        assert_eq!(forget(&store, &other, &quiet).unwrap(), Some(Answer::No));
        assert_eq!(forget(&store, &other, &quiet).unwrap(), None);
        let known = TrustStore::load(&store).unwrap();
        assert!(known.holds(&one, b"") && known.answer(&other, b"").is_none());
    }

    #[test]
    fn an_older_entry_is_a_yes_and_an_unknown_answer_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("trust.json");
        let digest = digest(b"A=1");
        let text = format!(
            r#"{{"files": {{"/p/old": "{digest}", "/p/new": {{"digest": "{digest}", "answer": "maybe"}}}}}}"#
        );
        write_private(&store, text.as_bytes()).unwrap();
        let known = TrustStore::load(&store).unwrap();
        assert_eq!(known.answer(Path::new("/p/old"), b"A=1"), Some(Answer::Yes));
        assert_eq!(known.answer(Path::new("/p/new"), b"A=1"), None);
    }

    #[test]
    fn a_damaged_store_is_an_error_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("trust.json");
        for (text, reason) in [
            ("", "it ends in the middle"),
            (r#"{"files": {"#, "it ends in the middle"),
            ("files", "it is not JSON"),
            ("{}", "'files' is not an object"),
            (r#"{"files": []}"#, "'files' is not an object"),
        ] {
            write_private(&store, text.as_bytes()).unwrap();
            match grant(&store, &directory.path().join(".env"), b"", &quiet) {
                Err(EnvError::TrustStore(failure)) => {
                    assert!(failure.message.ends_with(reason), "{text}: {}", failure.message);
                }
                other => panic!("{text}: {other:?}"),
            }
            assert_eq!(std::fs::read_to_string(&store).unwrap(), text);
        }
    }

    #[test]
    fn names_that_are_not_utf_8_stay_apart() {
        let name = |bytes: &[u8]| spelled(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(name(b"/a"), "/a");
        assert_eq!(name(b"/\xff"), "bytes:2fff");
        assert_ne!(name(b"/\xff"), name(b"/\xfe"));
    }
}
