//! Writes a record as the text that the environment carries.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Entry, Proof, Record};

/// The longest path that is written down, percent-encoded. A longer one leaves the standing alone.
const PATH_LIMIT: usize = 4096;

impl Record {
    /// Returns the value of `QWEN_ENV_EXPORTED`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut items = self.head();
        items.extend(self.items_of(None));
        for key in &self.foreign {
            items.push(format!("key:{key}"));
            items.extend(self.items_of(Some(key)));
        }
        items.join("+")
    }

    /// The items of the variables whose digests this key made; `None` for one's own, and for those without.
    pub(super) fn items_of<'a>(&'a self, wanted: Option<&'a str>) -> impl Iterator<Item = String> + 'a {
        let entries = self.entries.iter().filter(move |(_, entry)| match &entry.proof {
            Proof::Foreign { key, .. } => wanted == Some(key),
            _ => wanted.is_none(),
        });
        entries.map(|(name, entry)| text_of(name, entry))
    }

    /// The length of the text, with a sign before each item.
    pub(super) fn length(&self) -> usize {
        let head: usize = self.head().iter().map(|item| item.len() + 1).sum();
        let foreign: usize = self.foreign.iter().map(|key| KEY_ITEM.len() + key.len()).sum();
        head + foreign + self.entries_length
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
        items.extend(self.of_call.then(|| "call:running".to_owned()));
        items.extend(self.said.iter().map(|digest| format!("said:{digest}")));
        items.extend(self.seen.iter().map(|(digest, until)| {
            let until = until.map(|until| format!(":{until}")).unwrap_or_default();
            format!("seen:{digest}{until}")
        }));
        items
    }
}

/// What a key's item has besides its name, with the sign before it.
const KEY_ITEM: &str = "+key:";

fn text_of(name: &str, entry: &Entry) -> String {
    let digest = match &entry.proof {
        Proof::Keyed(digest) | Proof::Plain(digest) | Proof::Foreign { digest, .. } => digest,
        Proof::Name => "",
    };
    let file = entry.file.map(|number| number.to_string()).unwrap_or_default();
    format!("{name}@{digest}:{file}")
}

/// What a file's item has besides standing and path, with the sign before it.
pub(super) const FILE_ITEM: &str = "+file::";

/// The length of an item and the sign before it.
pub(super) fn length_of(name: &str, entry: &Entry) -> usize {
    text_of(name, entry).len() + 1
}

/// Percent-encodes a path; a very long one is left out.
pub(super) fn encode(path: &Path) -> String {
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

pub(super) const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_')
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStringExt;
    use std::path::{Path, PathBuf};

    use super::super::RecordKey;
    use super::super::key::KEY_LENGTH;
    use super::super::reader::decode;
    use super::{Record, encode};
    use crate::dotenv::Trust;
    use crate::process::VARIABLE_LIMIT;

    #[test]
    fn the_name_of_a_key_goes_with_the_last_digest_that_it_made() {
        let text = "key:5a1b2c3d+A@0123456789abcdef:+B@0123456789abcdef:";
        let mut record = Record::parse(OsStr::new(text), None).unwrap();
        assert!(record.insert("A", "1", None, usize::MAX));
        assert_eq!(record.text(), "A@:+key:5a1b2c3d+B@0123456789abcdef:");
        assert!(record.insert("B", "1", None, usize::MAX));
        assert_eq!(record.text(), "A@:+B@:");
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
        let mut record = Record::after(&Record::default(), Some(RecordKey::new([1; KEY_LENGTH])));
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
}
