//! Reads a record back from the environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::key::RecordKey;
use super::writer::is_plain;
use super::{Digest16, Entry, PROJECT, Proof, Record};
use crate::shell::is_shell_name;

impl Record {
    /// Reads a record; `None` when the text is not one that this module wrote. Such a text names nothing, lest it
    /// smuggle a statement or take away a variable that was never exported.
    #[must_use]
    pub fn parse(text: &OsStr, key: Option<RecordKey>) -> Option<Self> {
        let text = text.to_str()?;
        let mut record = Self {
            older: text.contains('@') && !text.contains(':'),
            ..Self::default()
        };
        let mut key_id = "";
        for item in text.split('+').filter(|_| !text.is_empty()) {
            if let Some((name, rest)) = item.split_once('@') {
                let is_own_key = key.as_ref().is_some_and(|key| key.id == key_id);
                let entry = record.read_entry(rest, key_id, is_own_key)?;
                if !is_shell_name(name) {
                    return None;
                }
                record.insert_entry(name, entry);
                continue;
            }
            match item.split_once(':')? {
                ("key", id) => key_id = checked_id(id)?,
                ("file", file) => record.files.push(read_file(file)?),
                ("call", "running") => record.of_call = true,
                ("said", digest) => record.said.push(checked(digest)?),
                ("seen", state) => record.seen = Some(read_state(state)?),
                _ => return None,
            }
        }
        record.key = key;
        Some(record)
    }

    fn read_entry(&self, text: &str, key_id: &str, is_own_key: bool) -> Option<Entry> {
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
            // Nothing would tell which key made it.
            _ if key_id.is_empty() => return None,
            digest => match (checked(digest)?, is_own_key) {
                (digest, true) => Proof::Keyed(digest),
                (digest, false) => Proof::Foreign {
                    digest,
                    key: key_id.to_owned(),
                },
            },
        };
        Some(Entry { proof, file })
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

/// A key's name goes back into the record as it came.
fn checked_id(id: &str) -> Option<&str> {
    let is_id = id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(id)
}

fn checked(digest: &str) -> Option<Digest16> {
    let is_digest = digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| digest.to_owned())
}

pub(super) fn decode(text: &str) -> Option<PathBuf> {
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

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::super::key::KEY_LENGTH;
    use super::super::{Exported, plain_digest};
    use super::{Record, RecordKey};

    fn key() -> Option<RecordKey> {
        Some(RecordKey::new([1; KEY_LENGTH]))
    }

    #[test]
    fn older_records_are_read_and_leave_the_origin_open() {
        let text = OsStr::new("A@8a3fd3a2c8ee4b6a+B@0123456789abcdef");
        let record = Record::parse(text, key()).unwrap();
        assert_eq!(record.names().collect::<Vec<_>>(), ["A", "B"]);
        assert!(!record.holds("B", OsStr::new("1")));
        let value = OsStr::new("one");
        let plain = plain_digest("A", b"one");
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
            "A@0123456789abcdef:",
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
            assert_eq!(Record::parse(OsStr::new(text), key()), None, "{text}");
        }
    }
}
