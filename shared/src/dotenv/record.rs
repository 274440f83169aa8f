//! What earlier calls exported, as the environment itself remembers it: names, digests and origins, no values.
//!
//! `QWEN_ENV_EXPORTED` consists of items with a `+` between them, in characters that no shell gives a meaning to, so that
//! it is safe wherever the environment goes:
//!
//! - `key:ID` names the key of the digests that follow;
//! - `file:STANDING:PATH` is a file that variables came from: `home`, `trusted` or `project`, and its percent-encoded path;
//! - `NAME@DIGEST:FILE` is a variable: the digest of name and value, empty without a key, and the number of its file, from
//!   0, none for what came from `qwen-token`;
//! - `call:running` says that a running call of `qwen-env` gave the variables, not the shell around it;
//! - `said:DIGEST` is a notice or a question that was given, its first half being about what; `seen:DIGEST` the state of the files that was last evaluated, with `:TIME`
//!   where that is to be done anew at that time (Unix, in seconds).
//!
//! A digest is the beginning of an HMAC-SHA-256 under a random key, which is in a private file and never in the
//! environment: without it, a log that shows the environment gives no short value away. Older records are
//! `NAME@DIGEST+…` with a plain SHA-256.

mod key;
mod reader;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use self::key::RecordKey;
use self::reader::decode;
use self::writer::{FILE_ITEM, encode, length_of};
use super::policy::RECORD;
use super::trust::Trust;
use crate::process::VARIABLE_LIMIT;
use crate::text::hex;

/// What stands in `OPENAI_API_KEY` for an endpoint that asks for no key: clients insist on having one.
pub const NO_KEY: &str = "none";

/// How many notices are remembered.
const NOTICE_LIMIT: usize = 16;

/// How long the state of the files counts at most where it does not count for ever, in seconds: a clock that is set back
/// makes it count no longer.
const LONGEST: u64 = 3600;

/// 16 hexadecimal digits.
type Digest16 = String;

/// How an exported value can be recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Proof {
    /// By the digest under the key.
    Keyed(Digest16),
    /// By the digest of an older record.
    Plain(Digest16),
    /// Not at all: the digest was made with the key of this name, which is gone or another user's. The origin still
    /// counts; nothing is taken back.
    Foreign { digest: Digest16, key: String },
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
    /// The names of the keys of digests that cannot be checked.
    foreign: BTreeSet<String>,
    /// The length of the text of the entries, each with the sign before it.
    entries_length: usize,
    /// Standing and encoded path.
    files: Vec<(&'static str, String)>,
    said: Vec<Digest16>,
    /// The state of the files, and until when it counts.
    seen: Option<(Digest16, Option<u64>)>,
    /// An older record, without origins.
    older: bool,
    /// It is of a running call of `qwen-env`: the shell around it has none of these variables.
    of_call: bool,
}

impl Record {
    /// Starts a record that keeps what `before` knows of notices, and what is [`Record::unproven`].
    #[must_use]
    pub fn after(before: &Self, key: Option<RecordKey>) -> Self {
        Self {
            key: key.or_else(|| before.key.clone()),
            said: before.said.clone(),
            ..before.unproven()
        }
    }

    /// Returns what stays in the record whatever is exported or taken back: variables that are there, and whose digests
    /// were made with another key, so that nobody can tell whether they are what was exported.
    #[must_use]
    pub fn unproven(&self) -> Self {
        let mut record = Self::default();
        for (name, entry) in &self.entries {
            if matches!(entry.proof, Proof::Foreign { .. }) && std::env::var_os(name).is_some() {
                let file = entry.file.and_then(|number| self.files.get(number)).cloned();
                let file = file.map(|file| record.number_of(file));
                let proof = entry.proof.clone();
                record.insert_entry(name, Entry { proof, file });
            }
        }
        record
    }

    /// Returns the number of a file, which is added where it is new.
    fn number_of(&mut self, file: (&'static str, String)) -> usize {
        let known = self.files.iter().position(|other| *other == file);
        known.unwrap_or_else(|| {
            self.files.push(file);
            self.files.len() - 1
        })
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

    /// Returns whether `value` is what was exported under that name.
    #[must_use]
    pub fn holds(&self, name: &str, value: &OsStr) -> bool {
        let entry = self.entry(name, value);
        entry.is_some_and(|entry| !matches!(entry.proof, Proof::Foreign { .. }))
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
            proven: !matches!(entry.proof, Proof::Name | Proof::Foreign { .. }),
        })
    }

    /// Returns the record for a program that this call runs on its own account.
    #[must_use]
    pub fn in_call(&self) -> Self {
        Self {
            of_call: true,
            ..self.clone()
        }
    }

    /// Returns the file from which a running call of `qwen-env` took a variable, which is not in the shell around it.
    #[must_use]
    pub fn file_in_call(&self, name: &str, value: &OsStr) -> Option<PathBuf> {
        self.origin(name, value).filter(|_| self.of_call)?.file
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
            Proof::Name | Proof::Foreign { .. } => true,
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

    /// Takes a variable out again.
    pub fn remove(&mut self, name: &str) {
        if let Some(old) = self.entries.remove(name) {
            self.entries_length -= length_of(name, &old);
        }
    }

    fn insert_entry(&mut self, name: &str, entry: Entry) {
        self.entries_length += length_of(name, &entry);
        if let Proof::Foreign { key, .. } = &entry.proof {
            self.foreign.insert(key.clone());
        }
        if let Some(old) = self.entries.insert(name.to_owned(), entry) {
            self.entries_length -= length_of(name, &old);
            if let Proof::Foreign { key, .. } = &old.proof
                && self.items_of(Some(key)).next().is_none()
            {
                self.foreign.remove(key);
            }
        }
    }

    /// Returns the record in today's form, to which can be added. What an older one names came with a project as far as one
    /// can tell.
    #[must_use]
    pub fn continued(mut self) -> Self {
        if std::mem::take(&mut self.older) {
            let file = Some(self.number_of((PROJECT, String::new())));
            let names: Vec<String> = std::mem::take(&mut self.entries).into_keys().collect();
            self.entries_length = 0;
            for name in names {
                let proof = Proof::Name;
                self.insert_entry(&name, Entry { proof, file });
            }
        }
        self
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
        let counts = |until: u64| {
            until
                .checked_sub(now)
                .is_some_and(|left| (1..=LONGEST).contains(&left))
        };
        seen.is_some_and(|(_, until)| until.is_none_or(counts))
    }

    /// Remembers the state of the files, a stamp of [`super::Search::stamp`], as evaluated `now`; it counts for so many
    /// seconds, an hour at most.
    pub fn see(&mut self, stamp: String, now: u64, counts_for: Option<u64>) {
        let until = counts_for.map(|seconds| now.saturating_add(seconds.min(LONGEST)));
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
    use super::key::KEY_LENGTH;
    use super::{Exported, Record, RecordKey};
    use crate::dotenv::Trust;
    use std::ffi::OsStr;
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

    #[test]
    fn a_state_counts_for_an_hour_at_most_and_not_at_all_once_the_clock_is_set_back() {
        let seen = |counts_for, now| {
            let mut record = record(Some(key(1)));
            record.see("0123456789abcdef".to_owned(), 100_000, counts_for);
            again(&record, Some(key(1))).has_seen("0123456789abcdef", now)
        };
        for (counts_for, now, expected) in [
            (None, 0, true),
            (None, u64::MAX, true),
            (Some(60), 100_059, true),
            (Some(60), 100_060, false),
            (Some(60), 96_460, true),
            (Some(60), 96_459, false),
            (Some(86_400), 103_599, true),
            (Some(u64::MAX), 103_600, false),
            (Some(86_400), 99_999, false),
            (Some(0), 100_000, false),
        ] {
            assert_eq!(seen(counts_for, now), expected, "{counts_for:?} {now}");
        }
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
        for (made, read, is_held) in [
            (Some(key(1)), Some(key(2)), false),
            (Some(key(1)), None, false),
            (None, Some(key(1)), true),
            (None, None, true),
        ] {
            let again = again(&record(made), read);
            let changed = OsStr::new("anything");
            assert!(again.holds("A", changed) == is_held && !again.holds("X", changed));
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
