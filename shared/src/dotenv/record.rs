//! What earlier calls exported, as the environment itself remembers it: names, digests and origins, no values.
//!
//! `QWEN_ENV_EXPORTED` consists of items with a `+` between them, in characters that no shell gives a meaning to, so that
//! it is safe wherever the environment goes:
//!
//! - `key:ID` names the key of the digests;
//! - `file:STANDING:PATH` is a file that variables came from: `home`, `trusted` or `project`, and its percent-encoded path;
//! - `NAME@DIGEST:FILE` is a variable: the digest of name and value, empty without a key, and the number of its file, from
//!   0, none for what came from `qwen-token`;
//! - `said:DIGEST` is a notice that was given, `seen:DIGEST` the state of the files that was last evaluated, with `:TIME`
//!   where that is to be done anew at that time (Unix, in seconds).
//!
//! A digest is the beginning of an HMAC-SHA-256 under a random key, which is in a private file and never in the
//! environment: without it, a log that shows the environment gives no short value away. Older records are
//! `NAME@DIGEST+…` with a plain SHA-256.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
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

/// The longest path that is written down, percent-encoded. A longer one leaves the standing alone.
const PATH_LIMIT: usize = 4096;

/// How many notices are remembered.
const NOTICE_LIMIT: usize = 16;

/// The length of the key: a block of the hash, as the HMAC takes it.
const KEY_LENGTH: u64 = 64;

/// The key of the digests.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordKey([u8; 64]);

impl std::fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordKey")
    }
}

impl RecordKey {
    /// Reads the key of this user; `None` where there is none that only the user could read and write.
    #[must_use]
    pub fn load() -> Option<Self> {
        let file = fs::read_private(&key_path()?, KEY_LENGTH).ok()??;
        let is_private = !file.is_loose();
        let bytes = file.bytes.try_into().ok().filter(|_| is_private)?;
        Some(Self(bytes))
    }

    /// As [`RecordKey::load`], making the key where there is none.
    #[must_use]
    pub fn load_or_create() -> Option<Self> {
        if let Some(key) = Self::load() {
            return Some(key);
        }
        let path = key_path()?;
        let mut bytes = [0; 64];
        let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok()?;
        if filled < bytes.len() {
            return None;
        }
        fs::create_private_dir(path.parent()?).ok()?;
        // Another process may have been first: what is there then is the key of both.
        let _ = fs::create_private(&path, &bytes);
        Self::load()
    }

    fn digest(&self, parts: &[&[u8]]) -> Digest16 {
        let mut mac = Hmac::<Sha256>::new(&self.0.into());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        hex(&whole[..8])
    }

    /// A name for the key, to tell another user's record from one's own.
    fn id(&self) -> String {
        self.digest(&[b"key"])[..8].to_owned()
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
                ("key", id) => is_own_key = key.as_ref().is_some_and(|key| key.id() == id),
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
            });
        };
        Some(Exported {
            project: *standing == PROJECT,
            file: Some(decode(path)?).filter(|path| !path.as_os_str().is_empty()),
        })
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
            items.push(format!("key:{}", key.id()));
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

    /// Returns whether this notice was given in this shell, and remembers it from now on.
    ///
    /// `secret` is content that must not be guessed from the record; it counts only where there is a key.
    pub fn says(&mut self, notice: &str, secret: &[u8]) -> bool {
        if self.key.is_none() {
            self.key = RecordKey::load_or_create();
        }
        let digest = match &self.key {
            Some(key) => key.digest(&[b"said", notice.as_bytes(), secret]),
            None => plain_digest("said", notice.as_bytes()),
        };
        let is_new = !self.said.contains(&digest);
        if is_new {
            self.said.push(digest);
            let surplus = self.said.len().saturating_sub(NOTICE_LIMIT);
            self.said.drain(..surplus);
        }
        is_new
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
