//! The journal of a refresh: what the server answered, kept before anything else is done with it.
//!
//! A server that rotates has spent the refresh token when it answers. Whatever happens from then on, the answer must not be
//! lost: it goes into a file that was created, and given room on the disk, before the request; by one write. The file is
//! removed once the store holds the new credential. Where that did not come to pass, whoever locks the store next takes the
//! credential over from the journal.
//!
//! A journal names the credential that the answer is for by a digest, so that a stale one is never taken for a newer login.
//!
//! ```text
//! qwen refresh journal 1
//! DIGEST
//! answer TIME LENGTH DIGEST
//! BYTES
//! document TIME LENGTH DIGEST
//! BYTES
//! ```
//!
//! White space fills the rest. `answer` is the body of the server's response, which came at TIME (milliseconds since 1970);
//! `document` is the whole document that the store is to hold, for a store that has to be written in place and may be left
//! with a part of it. The journal of a login ([`super::login_journal`]) has another first line, and on the second one what
//! the login is for.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::document::{self, Format, Stored, to_millis};
use crate::fs::{Links, PrivateFile, options, read_private, sync_data};
use crate::secret::Secret;

/// The first line of a refresh's journal.
const REFRESH: &str = "qwen refresh journal 1\n";

/// The room on the disk and in memory for the records, in bytes. A longer answer is written all the same.
const ROOM: usize = 16 << 10;

/// The largest journal that is read, in bytes: two records of the largest size.
pub(super) const LIMIT: u64 = 3 << 20;

/// A journal that is open for writing. It is removed when dropped, unless it is [kept](Journal::keep).
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    end: u64,
    /// The next record is made here, in memory that is there already.
    record: Zeroizing<Vec<u8>>,
    has_answer: bool,
    is_kept: bool,
}

impl Journal {
    /// Creates a journal for the refresh of a credential, in the place of any older one.
    ///
    /// # Errors
    /// The error of the system call that failed.
    pub(super) fn begin(path: &Path, current: &Stored) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Self::create(path, REFRESH, &digest_of(current))
    }

    /// Creates a journal with this first line, which ends in a line feed, and on the second line what it is for.
    ///
    /// # Errors
    /// `AlreadyExists`; else the error of the system call that failed.
    pub(super) fn create(path: &Path, first_line: &str, subject: &str) -> io::Result<Self> {
        let file = options(Links::Refuse)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let mut content = format!("{first_line}{subject}\n").into_bytes();
        let journal = Self::of(file, path, content.len() as u64);
        content.resize(content.len() + ROOM, b'\n');
        journal.file.write_all_at(&content, 0)?;
        sync_data(&journal.file)?;
        if let Some(directory) = path.parent() {
            let _ = File::open(directory).and_then(|directory| directory.sync_all());
        }
        Ok(journal)
    }

    /// Opens what [`read`] has read, to add to it.
    ///
    /// # Errors
    /// The error of the system call that failed.
    pub(super) fn open(path: &Path, found: &Found) -> io::Result<Self> {
        let file = options(Links::Refuse).write(true).open(path)?;
        let mut journal = Self::of(file, path, found.end);
        journal.is_kept = true;
        journal.has_answer = true;
        Ok(journal)
    }

    fn of(file: File, path: &Path, end: u64) -> Self {
        Self {
            file,
            path: path.to_path_buf(),
            end,
            record: Zeroizing::new(Vec::with_capacity(ROOM)),
            has_answer: false,
            is_kept: false,
        }
    }

    /// Returns the open file, to be locked.
    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// True once the server's answer is kept.
    pub(super) const fn has_answer(&self) -> bool {
        self.has_answer
    }

    /// Keeps the server's answer. An error is no reason to stop: the answer is still to be stored.
    pub(super) fn answer(&mut self, body: &[u8]) {
        self.has_answer = self.append("answer", body).is_ok();
    }

    /// Keeps the document that the store is to hold.
    pub(super) fn document(&mut self, document: &[u8]) {
        self.has_answer |= self.append("document", document).is_ok();
    }

    fn append(&mut self, kind: &str, bytes: &[u8]) -> io::Result<()> {
        self.record.clear();
        let head = Head {
            kind,
            at: to_millis(SystemTime::now()),
            length: bytes.len(),
            digest: &hex_digest(bytes),
        };
        self.record.extend_from_slice(head.line().as_bytes());
        self.record.extend_from_slice(bytes);
        self.record.push(b'\n');
        self.file.write_all_at(&self.record, self.end)?;
        self.end += self.record.len() as u64;
        sync_data(&self.file)
    }

    /// Leaves the journal for the next holder of the lock, where there is something in it; returns its path then.
    pub(super) fn keep(mut self) -> Option<PathBuf> {
        self.is_kept = self.has_answer;
        self.has_answer.then(|| self.path.clone())
    }

    /// Removes the journal: the store holds what it holds.
    pub(super) fn finish(mut self) {
        self.is_kept = false;
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.is_kept {
            remove(&self.path);
        }
    }
}

/// Removes a journal, if there is one.
pub(super) fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// What a journal holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The second line: what the journal is for.
    pub(super) subject: String,
    /// The body of the server's answer, and when it came.
    pub(super) answer: Option<(Secret<Vec<u8>>, SystemTime)>,
    /// The document that was to be stored.
    pub(super) document: Option<Secret<Vec<u8>>>,
    end: u64,
}

impl Found {
    /// True when the journal is that of a refresh of this credential.
    pub(super) fn is_of(&self, stored: &Stored) -> bool {
        self.subject == digest_of(stored)
    }

    /// Parses a journal with this first line; `None` for anything else.
    pub(super) fn parse(bytes: &[u8], first_line: &str) -> Option<Self> {
        let mut rest = bytes.strip_prefix(first_line.as_bytes())?;
        let mut found = Self {
            subject: str::from_utf8(line_of(&mut rest)?).ok()?.to_owned(),
            ..Self::default()
        };
        loop {
            found.end = (bytes.len() - rest.len()) as u64;
            // A record that was cut off is none.
            let Some((kind, at, content)) = record_of(&mut rest) else {
                return Some(found);
            };
            let content = Secret::new(content.to_vec());
            match kind {
                "answer" => found.answer = Some((content, at)),
                "document" => found.document = Some(content),
                _ => return Some(found),
            }
        }
    }
}

/// Reads a journal; `None` where there is none, or one that says nothing.
pub(super) fn read(path: &Path) -> Option<Found> {
    let PrivateFile { bytes, .. } = read_private(path, LIMIT).ok()??;
    let bytes = Zeroizing::new(bytes);
    Found::parse(&bytes, REFRESH).filter(|found| found.answer.is_some() || found.document.is_some())
}

/// The line before a record's bytes.
struct Head<'a> {
    kind: &'a str,
    at: u64,
    length: usize,
    digest: &'a str,
}

impl Head<'_> {
    fn line(&self) -> String {
        format!("{} {} {} {}\n", self.kind, self.at, self.length, self.digest)
    }
}

fn line_of<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let (line, after) = rest.split_at(end);
    *rest = &after[1..];
    Some(line)
}

/// Takes a record whose bytes are those that were written.
fn record_of<'a>(rest: &mut &'a [u8]) -> Option<(&'a str, SystemTime, &'a [u8])> {
    let mut after = *rest;
    let mut words = str::from_utf8(line_of(&mut after)?).ok()?.split(' ');
    let kind = words.next()?;
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(words.next()?.parse().ok()?))?;
    let length: usize = words.next()?.parse().ok()?;
    let content = after.get(..length)?;
    if words.next()? != hex_digest(content) {
        return None;
    }
    *rest = after.get(length + 1..)?;
    Some((kind, at, content))
}

/// Names a credential. Equal ones have equal names, whatever file they are in.
fn digest_of(stored: &Stored) -> String {
    hex_digest(document::write(stored, Format::Own).expose())
}

pub(super) fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Found, Journal, REFRESH, Stored, read};
    use crate::net::credential::StoredKey;
    use crate::secret::Secret;

    fn stored(key: &str) -> Stored {
        Stored::ApiKey(StoredKey {
            key: Secret::new(key.to_owned()),
            stored_for: None,
        })
    }

    #[test]
    fn what_was_kept_is_found_and_only_for_the_credential_that_it_is_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut journal = Journal::begin(&path, &stored("old")).unwrap();
        assert!(read(&path).is_none(), "nothing has been answered");
        journal.answer(b"{\"a\":\n1}");
        journal.document(&[b'x'; 100_000]);
        assert_eq!(journal.keep().as_ref(), Some(&path));
        let found = read(&path).unwrap();
        assert!(found.is_of(&stored("old")) && !found.is_of(&stored("new")));
        assert_eq!(found.answer.as_ref().unwrap().0.expose(), b"{\"a\":\n1}");
        assert_eq!(found.document.as_ref().unwrap().expose().len(), 100_000);
        let mut journal = Journal::open(&path, &found).unwrap();
        journal.document(b"later");
        drop(journal);
        let found = read(&path).unwrap();
        assert_eq!(found.document.unwrap().expose(), b"later");
        assert!(found.answer.is_some());
        Journal::open(&path, &read(&path).unwrap()).unwrap().finish();
        assert!(!path.exists());
    }

    #[test]
    fn a_journal_cut_at_any_byte_gives_whole_records_or_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut journal = Journal::begin(&path, &stored("old")).unwrap();
        journal.answer(b"an answer");
        journal.keep();
        let whole = fs::read(&path).unwrap();
        let end = Found::parse(&whole, REFRESH).unwrap().end as usize;
        for cut in 0..whole.len().min(end + 10) {
            let mut torn = whole[..cut].to_vec();
            torn.resize(whole.len(), 0);
            let found = Found::parse(&torn, REFRESH).and_then(|found| found.answer);
            assert_eq!(found.is_some(), cut >= end - 1, "{cut}");
        }
    }

    #[test]
    fn an_empty_journal_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        assert_eq!(Journal::begin(&path, &stored("old")).unwrap().keep(), None);
        assert!(!path.exists());
    }
}
