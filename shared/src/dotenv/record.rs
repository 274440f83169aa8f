//! What earlier calls exported, as the environment itself remembers it: names, digests and origins, no values.
//!
//! `QWEN_ENV_EXPORTED` consists of items with a `+` between them, in characters that no shell gives a meaning to, so that
//! it is safe wherever the environment goes:
//!
//! - `key:ID` names the key of the digests;
//! - `file:STANDING:PATH` is a file that variables came from: `home`, `trusted` or `project`, and its percent-encoded path;
//! - `NAME@DIGEST:FILE` is a variable: the digest of name and value, empty without a key, and the number of its file, from
//!   0, none for what came from `qwen-token`;
//! - `said:DIGEST` is a notice or a question that was given, its first half being about what; `seen:DIGEST` the state of the files that was last evaluated, with `:TIME`
//!   where that is to be done anew at that time (Unix, in seconds).
//!
//! A digest is the beginning of an HMAC-SHA-256 under a random key, which is in a private file and never in the
//! environment: without it, a log that shows the environment gives no short value away. Older records are
//! `NAME@DIGEST+…` with a plain SHA-256.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::chain::VARIABLE_LIMIT;
use super::policy::RECORD;
use super::trust::Trust;
use crate::fs;
use crate::paths;
use crate::shell::is_shell_name;
use crate::text::hex;

/// What stands in `OPENAI_API_KEY` for an endpoint that asks for no key: clients insist on having one.
pub const NO_KEY: &str = "none";

/// The longest path that is written down, percent-encoded. A longer one leaves the standing alone.
const PATH_LIMIT: usize = 4096;

/// How many notices are remembered.
const NOTICE_LIMIT: usize = 16;

/// The length of the key: a block of the hash, as the HMAC takes it.
const KEY_LENGTH: usize = 64;

/// The key of the digests.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordKey {
    bytes: [u8; KEY_LENGTH],
    /// A name for the key, to tell another user's record from one's own.
    id: String,
}

impl std::fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordKey")
    }
}

impl RecordKey {
    fn new(bytes: [u8; KEY_LENGTH]) -> Self {
        let mut key = Self {
            bytes,
            id: String::new(),
        };
        key.id = key.digest(&[b"key"])[..8].to_owned();
        key
    }

    /// Reads the key of this user; `None` where there is none that only the user could read and write.
    #[must_use]
    pub fn load() -> Option<Self> {
        Self::read(&key_path()?).ok()?
    }

    /// As [`RecordKey::load`], making the key where there is none, and a new one where others could have read it.
    #[must_use]
    pub fn load_or_create() -> Option<Self> {
        let path = key_path()?;
        match Self::read(&path) {
            Ok(Some(key)) => return Some(key),
            Ok(None) => {}
            // It is somebody else's, or cannot be read.
            Err(_) => return None,
        }
        let mut bytes = [0; KEY_LENGTH];
        let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok()?;
        if filled < bytes.len() {
            return None;
        }
        fs::create_private_dir(path.parent()?).ok()?;
        match fs::create_private(&path, &bytes) {
            Ok(_) => Some(Self::new(bytes)),
            // Another process was first, and what is there is the key of both; or it is of no use.
            Err(_) => Self::load().or_else(|| {
                fs::write_private(&path, &bytes).ok()?;
                Self::load()
            }),
        }
    }

    /// Reads the file; `None` when there is none, or it is of no use.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let Some(file) = fs::read_private(path, KEY_LENGTH as u64)? else {
            return Ok(None);
        };
        let is_private = !file.is_loose();
        let bytes = file.bytes.try_into().ok().filter(|_| is_private);
        Ok(bytes.map(Self::new))
    }

    fn digest(&self, parts: &[&[u8]]) -> Digest16 {
        let mut mac = Hmac::<Sha256>::new(&self.bytes.into());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        hex(&whole[..8])
    }
}

fn key_path() -> Option<PathBuf> {
    Some(paths::state_dir()?.join("record.key"))
}

/// 16 hexadecimal digits.
type Digest16 = String;

/// How an exported value can be recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Proof {
    /// By the digest under the key.
    Keyed(Digest16),
    /// By the digest of an older record.
    Plain(Digest16),
    /// By the name alone.
    Name,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    proof: Proof,
    /// The number of the file.
    file: Option<usize>,
}

/// Where an exported variable came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// True when that was a project's file without consent, or is not known.
    pub project: bool,
    /// The file, where it is known.
    pub file: Option<PathBuf>,
    /// True when the value is what was exported; false where the name alone tells, since the key of the digests is not at hand.
    pub proven: bool,
}

/// The variables that earlier calls exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    key: Option<RecordKey>,
    entries: BTreeMap<String, Entry>,
    /// The length of the text of the entries, each with the sign before it.
    entries_length: usize,
    /// Standing and encoded path.
    files: Vec<(&'static str, String)>,
    said: Vec<Digest16>,
    /// The state of the files, and until when it counts.
    seen: Option<(Digest16, Option<u64>)>,
    /// An older record, without origins.
    older: bool,
}

impl Record {
    /// Starts an empty record that keeps what `before` knows of notices.
    #[must_use]
    pub fn after(before: &Self, key: Option<RecordKey>) -> Self {
        Self {
            key: key.or_else(|| before.key.clone()),
            said: before.said.clone(),
            ..Self::default()
        }
    }

    /// Reads the record of the environment this process was started in; an empty one when there is none, `None` when
    /// the variable holds something else.
    #[must_use]
    pub fn from_process() -> Option<Self> {
        match std::env::var_os(RECORD) {
            Some(text) => Self::parse(&text, RecordKey::load()),
            None => Some(Self::default()),
        }
    }

    /// Reads a record; `None` when the text is not one that this module wrote. Such a text names nothing, lest it
    /// smuggle a statement or take away a variable that was never exported.
    #[must_use]
    pub fn parse(text: &OsStr, key: Option<RecordKey>) -> Option<Self> {
        let text = text.to_str()?;
        let mut record = Self {
            older: text.contains('@') && !text.contains(':'),
            ..Self::default()
        };
        let mut is_own_key = false;
        for item in text.split('+').filter(|_| !text.is_empty()) {
            if let Some((name, rest)) = item.split_once('@') {
                let entry = record.read_entry(rest, is_own_key)?;
                if !is_shell_name(name) {
                    return None;
                }
                record.insert_entry(name, entry);
                continue;
            }
            match item.split_once(':')? {
                ("key", id) => is_own_key = key.as_ref().is_some_and(|key| key.id == id),
                ("file", file) => record.files.push(read_file(file)?),
                ("said", digest) => record.said.push(checked(digest)?),
                ("seen", state) => record.seen = Some(read_state(state)?),
                _ => return None,
            }
        }
        record.key = key;
        Some(record)
    }

    fn read_entry(&self, text: &str, is_own_key: bool) -> Option<Entry> {
        if self.older {
            let proof = Proof::Plain(checked(text)?);
            return Some(Entry { proof, file: None });
        }
        let (digest, file) = text.split_once(':')?;
        let file = match file {
            "" => None,
            number => Some(number.parse().ok().filter(|&number| number < self.files.len())?),
        };
        let proof = match digest {
            "" => Proof::Name,
            digest => match (checked(digest)?, is_own_key) {
                (digest, true) => Proof::Keyed(digest),
                // Made with a key that is gone, or another user's: the name is all there is to go by.
                (_, false) => Proof::Name,
            },
        };
        Some(Entry { proof, file })
    }

    /// Returns whether `value` is what was exported under that name.
    #[must_use]
    pub fn holds(&self, name: &str, value: &OsStr) -> bool {
        self.entry(name, value).is_some()
    }

    /// Returns where a variable of the environment came from; `None` when it is not what was exported: then it is the
    /// user's own.
    #[must_use]
    pub fn origin(&self, name: &str, value: &OsStr) -> Option<Exported> {
        let entry = self.entry(name, value)?;
        let Some((standing, path)) = entry.file.and_then(|number| self.files.get(number)) else {
            // What `qwen-token` gave has no file and is the user's own; an older record does not tell.
            return self.older.then_some(Exported {
                project: true,
                file: None,
                proven: true,
            });
        };
        Some(Exported {
            project: *standing == PROJECT,
            file: Some(decode(path)?).filter(|path| !path.as_os_str().is_empty()),
            proven: entry.proof != Proof::Name,
        })
    }

    /// True when a variable of the environment holds [`NO_KEY`] because `qwen-token` gave no key; in a file it is a key.
    #[must_use]
    pub fn is_no_key(&self, name: &str, value: &OsStr) -> bool {
        let entry = self.entry(name, value).filter(|_| value == OsStr::new(NO_KEY));
        entry.is_some_and(|entry| entry.file.is_none() && !self.older)
    }

    fn entry(&self, name: &str, value: &OsStr) -> Option<&Entry> {
        let entry = self.entries.get(name)?;
        let is_same = match &entry.proof {
            Proof::Keyed(known) => {
                let key = self.key.as_ref()?;
                *known == key.digest(&[name.as_bytes(), value.as_bytes()])
            }
            Proof::Plain(known) => *known == plain_digest(name, value.as_bytes()),
            Proof::Name => true,
        };
        is_same.then_some(entry)
    }

    /// Adds a variable and its file; returns false, and adds nothing, when the record's text would be longer than `limit`
    /// bytes or than any variable may be.
    pub fn insert(&mut self, name: &str, value: &str, file: Option<(&Path, Trust)>, limit: usize) -> bool {
        let file = file.map(|(path, trust)| (standing(trust), encode(path)));
        let known = file
            .as_ref()
            .and_then(|file| self.files.iter().position(|other| other == file));
        let new = file.filter(|_| known.is_none());
        let proof = self.key.as_ref().map_or(Proof::Name, |key| {
            Proof::Keyed(key.digest(&[name.as_bytes(), value.as_bytes()]))
        });
        let number = known.or_else(|| new.as_ref().map(|_| self.files.len()));
        let entry = Entry { proof, file: number };
        let added = new.as_ref().map_or(0, |(standing, path)| {
            FILE_ITEM.len() + standing.len() + path.len()
        });
        let longer = self.length() + added + length_of(name, &entry);
        if longer > limit || RECORD.len() + longer > VARIABLE_LIMIT {
            return false;
        }
        self.files.extend(new);
        self.insert_entry(name, entry);
        true
    }

    fn insert_entry(&mut self, name: &str, entry: Entry) {
        self.entries_length += length_of(name, &entry);
        if let Some(old) = self.entries.insert(name.to_owned(), entry) {
            self.entries_length -= length_of(name, &old);
        }
    }

    /// The length of the text, with a sign before each item.
    fn length(&self) -> usize {
        let head: usize = self.head().iter().map(|item| item.len() + 1).sum();
        head + self.entries_length
    }

    /// The items before the variables.
    fn head(&self) -> Vec<String> {
        let mut items = Vec::new();
        if let Some(key) = &self.key {
            items.push(format!("key:{}", key.id));
        }
        items.extend(
            self.files
                .iter()
                .map(|(standing, path)| format!("file:{standing}:{path}")),
        );
        items.extend(self.said.iter().map(|digest| format!("said:{digest}")));
        items.extend(self.seen.iter().map(|(digest, until)| {
            let until = until.map(|until| format!(":{until}")).unwrap_or_default();
            format!("seen:{digest}{until}")
        }));
        items
    }

    /// Makes the key that digests need, where there is none yet.
    pub fn ensure_key(&mut self) {
        if self.key.is_none() {
            self.key = RecordKey::load_or_create();
        }
    }

    /// Returns whether this notice is not what was last said about the subject, as it is from now on.
    ///
    /// `secret` is content that must not be guessed from the record; it counts only where there is a key.
    pub fn says(&mut self, subject: &str, notice: &str, secret: &[u8]) -> bool {
        self.ensure_key();
        let digest = self.half_digest(subject, b"") + &self.half_digest(notice, secret);
        let is_new = !self.said.contains(&digest);
        if is_new {
            self.unsay(subject);
            self.said.push(digest);
            let surplus = self.said.len().saturating_sub(NOTICE_LIMIT);
            self.said.drain(..surplus);
        }
        is_new
    }

    /// Forgets what was said about the subject.
    pub fn unsay(&mut self, subject: &str) {
        if !self.said.is_empty() {
            let subject = self.half_digest(subject, b"");
            self.said.retain(|digest| !digest.starts_with(&subject));
        }
    }

    /// Half a digest: of two texts that differ, few enough are alike.
    fn half_digest(&self, text: &str, secret: &[u8]) -> String {
        let mut digest = match &self.key {
            Some(key) => key.digest(&[b"said", text.as_bytes(), secret]),
            None => plain_digest("said", text.as_bytes()),
        };
        digest.truncate(digest.len() / 2);
        digest
    }

    /// Returns whether this is the state of the files that was last evaluated, and still counts `now` (Unix time).
    #[must_use]
    pub fn has_seen(&self, stamp: &str, now: u64) -> bool {
        let seen = self.seen.as_ref().filter(|(seen, _)| seen == stamp);
        seen.is_some_and(|(_, until)| until.is_none_or(|until| now < until))
    }

    /// Remembers the state of the files, a stamp of [`super::Search::stamp`], as evaluated, `until` that time at most.
    pub fn see(&mut self, stamp: String, until: Option<u64>) {
        self.seen = Some((stamp, until));
    }

    /// Iterates over the names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// True when there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.said.is_empty() && self.seen.is_none()
    }

    /// Returns the value of `QWEN_ENV_EXPORTED`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut items = self.head();
        items.extend(self.entries.iter().map(|(name, entry)| text_of(name, entry)));
        items.join("+")
    }
}

fn text_of(name: &str, entry: &Entry) -> String {
    let digest = match &entry.proof {
        Proof::Keyed(digest) | Proof::Plain(digest) => digest,
        Proof::Name => "",
    };
    let file = entry.file.map(|number| number.to_string()).unwrap_or_default();
    format!("{name}@{digest}:{file}")
}

/// What a file's item has besides standing and path, with the sign before it.
const FILE_ITEM: &str = "+file::";

/// The length of an item and the sign before it.
fn length_of(name: &str, entry: &Entry) -> usize {
    text_of(name, entry).len() + 1
}

/// The standing of an unconsented project file.
const PROJECT: &str = "project";

const fn standing(trust: Trust) -> &'static str {
    match trust {
        Trust::Home => "home",
        Trust::TrustedProject => "trusted",
        Trust::UntrustedProject => PROJECT,
    }
}

fn read_state(text: &str) -> Option<(Digest16, Option<u64>)> {
    let Some((digest, until)) = text.split_once(':') else {
        return Some((checked(text)?, None));
    };
    Some((checked(digest)?, Some(until.parse().ok()?)))
}

fn read_file(text: &str) -> Option<(&'static str, String)> {
    let (standing, path) = text.split_once(':')?;
    let standing = ["home", "trusted", PROJECT]
        .into_iter()
        .find(|&known| known == standing)?;
    decode(path)?;
    Some((standing, path.to_owned()))
}

fn checked(digest: &str) -> Option<Digest16> {
    let is_digest = digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| digest.to_owned())
}

/// Percent-encodes a path; a very long one is left out.
fn encode(path: &Path) -> String {
    let mut text = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if is_plain(byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    if text.len() > PATH_LIMIT {
        String::new()
    } else {
        text
    }
}

fn decode(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(Some(first).filter(|&byte| is_plain(byte))?);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_')
}

fn plain_digest(name: &str, value: &[u8]) -> Digest16 {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update("=")
        .chain_update(value)
        .finalize();
    hex(&hash[..8])
}

#[cfg(test)]
mod tests {
    use super::{Exported, KEY_LENGTH, Record, RecordKey, decode, encode};
    use crate::dotenv::Trust;
    use crate::dotenv::chain::VARIABLE_LIMIT;
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStringExt;
    use std::path::{Path, PathBuf};

    fn key(byte: u8) -> RecordKey {
        RecordKey::new([byte; KEY_LENGTH])
    }

    /// A record with a variable of each standing.
    fn record(key: Option<RecordKey>) -> Record {
        let mut record = Record::after(&Record::default(), key);
        for (name, trust) in [
            ("A", Trust::UntrustedProject),
            ("B", Trust::TrustedProject),
            ("C", Trust::Home),
        ] {
            let path = format!("/dir of {name}/.env");
            assert!(record.insert(name, "1", Some((Path::new(&path), trust)), usize::MAX));
        }
        assert!(record.insert("T", "1", None, usize::MAX));
        record
    }

    fn again(record: &Record, key: Option<RecordKey>) -> Record {
        Record::parse(OsStr::new(&record.text()), key).unwrap()
    }

    fn file(name: &str, project: bool, proven: bool) -> Option<Exported> {
        Some(Exported {
            project,
            file: Some(PathBuf::from(format!("/dir of {name}/.env"))),
            proven,
        })
    }

    #[test]
    fn a_record_knows_its_variables_and_their_files_until_they_change() {
        let record = record(Some(key(1)));
        let again = again(&record, Some(key(1)));
        assert_eq!(again, record);
        let one = OsStr::new("1");
        assert_eq!(again.origin("A", one), file("A", true, true));
        assert_eq!(again.origin("B", one), file("B", false, true));
        assert_eq!(again.origin("C", one), file("C", false, true));
        assert!(again.holds("T", one) && again.origin("T", one).is_none());
        for name in ["A", "B", "C", "T"] {
            assert!(!again.holds(name, OsStr::new("2")) && again.origin(name, OsStr::new("2")).is_none());
        }
        assert!(!again.holds("X", one));
        assert!(Record::parse(OsStr::new(""), None).unwrap().is_empty());
    }

    #[test]
    fn without_its_key_a_record_holds_names_alone() {
        for (made, read) in [
            (Some(key(1)), Some(key(2))),
            (Some(key(1)), None),
            (None, Some(key(1))),
            (None, None),
        ] {
            let again = again(&record(made), read);
            let changed = OsStr::new("anything");
            assert!(again.holds("A", changed) && !again.holds("X", changed));
            assert_eq!(again.origin("A", changed), file("A", true, false));
        }
    }

    #[test]
    fn a_digest_is_of_no_use_without_the_key() {
        let one = record(Some(key(1))).text();
        let other = record(Some(key(2))).text();
        let digest = |text: &str, name: &str| {
            let (_, rest) = text.split_once(&format!("+{name}@")).unwrap();
            rest[..16].to_owned()
        };
        assert_ne!(digest(&one, "A"), digest(&other, "A"));
        assert_ne!(digest(&one, "A"), digest(&one, "B"));
        assert!(!record(None).text().contains("A@0"));
    }

    #[test]
    fn older_records_are_read_and_leave_the_origin_open() {
        let text = OsStr::new("A@8a3fd3a2c8ee4b6a+B@0123456789abcdef");
        let record = Record::parse(text, Some(key(1))).unwrap();
        assert_eq!(record.names().collect::<Vec<_>>(), ["A", "B"]);
        assert!(!record.holds("B", OsStr::new("1")));
        let value = OsStr::new("one");
        let plain = super::plain_digest("A", b"one");
        let record = Record::parse(OsStr::new(&format!("A@{plain}")), None).unwrap();
        let unknown = Exported {
            project: true,
            file: None,
            proven: true,
        };
        assert!(record.holds("A", value) && record.origin("A", value) == Some(unknown));
    }

    #[test]
    fn what_is_no_record_names_nothing() {
        for text in [
            "A",
            "A@",
            "A@12",
            "@0123456789abcdef",
            "A;id@0123456789abcdef",
            "A@0123456789abcdeg",
            "$(id)@0123456789abcdef",
            "A@0123456789abcdef B",
            "A@0123456789abcdef:0",
            "A@0123456789abcdef:x",
            "A@:1+file:home:/x",
            "file:root:/x+A@:0",
            "file:home:/x$(id)+A@:0",
            "file:home:%4+A@:0",
            "file:home:%zz+A@:0",
            "said:1",
            "key",
            "other:1",
        ] {
            assert_eq!(Record::parse(OsStr::new(text), Some(key(1))), None, "{text}");
        }
    }

    #[test]
    fn every_path_is_written_in_characters_without_a_meaning() {
        let every: Vec<u8> = (1..=255).collect();
        let path = PathBuf::from(OsString::from_vec([b"/".as_slice(), &every, b"/.env"].concat()));
        let text = encode(&path);
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"%/._".contains(&byte))
        );
        assert_eq!(decode(&text), Some(path));
        assert_eq!(encode(Path::new(&format!("/{}", "%".repeat(2000)))), "");
    }

    #[test]
    fn a_record_never_outgrows_a_variable() {
        let mut record = Record::after(&Record::default(), Some(key(1)));
        let names: Vec<String> = (0..20_000).map(|number| format!("NAME_{number}")).collect();
        let long = format!("/{}/.env", "%".repeat(1300));
        let kept = names
            .iter()
            .filter(|name| record.insert(name, "", Some((Path::new(&long), Trust::Home)), usize::MAX))
            .count();
        assert!(kept > 3000 && kept < names.len());
        assert!("QWEN_ENV_EXPORTED=".len() + record.text().len() <= VARIABLE_LIMIT);
        assert!(!Record::default().insert("A", "", None, 2));
        let text = record.text();
        assert!(!record.insert("B", "", None, text.len()) && record.text() == text);
    }

    #[test]
    fn what_was_last_said_of_a_subject_is_not_news_and_the_oldest_are_forgotten() {
        let mut record = Record::after(&Record::default(), Some(key(1)));
        assert!(record.says("file", "first", b"") && !record.says("file", "first", b""));
        assert!(record.says("other", "first", b"") && !record.says("file", "first", b""));
        assert!(record.says("file", "first", b"changed"));
        let mut again = again(&record, Some(key(1)));
        assert!(!again.says("file", "first", b"changed"));
        assert!(again.says("file", "second", b"") && again.says("file", "first", b"changed"));
        again.unsay("file");
        assert!(!again.says("other", "first", b"") && again.says("file", "first", b"changed"));
        for number in 0..100 {
            assert!(again.says(&number.to_string(), "first", b""));
        }
        assert!(again.text().len() < 500 && again.says("file", "first", b"changed"));
    }
}
