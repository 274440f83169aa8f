//! What earlier calls exported, as the environment itself remembers it: names and digests, no values.
//!
//! `QWEN_ENV_EXPORTED` is `NAME@DIGEST+NAME@DIGEST…`: characters that no shell gives a meaning to, so the record is
//! safe wherever the environment goes. A digest is the first 64 bits of a SHA-256, enough to see that a user changed a
//! variable since, and no help in finding its value.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use sha2::{Digest, Sha256};

use super::chain::VARIABLE_LIMIT;
use super::policy::RECORD;
use crate::shell::is_shell_name;
use crate::text::hex;

/// The variables that earlier calls exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    digests: BTreeMap<String, String>,
    length: usize,
}

impl Record {
    /// Reads a record; `None` when the text is not one that this module wrote. Such a text names nothing, lest it
    /// smuggle a statement or take away a variable that was never exported.
    #[must_use]
    pub fn parse(text: &OsStr) -> Option<Self> {
        let mut record = Self::default();
        let text = text.to_str()?;
        for item in text.split('+').filter(|_| !text.is_empty()) {
            let (name, digest) = item.split_once('@')?;
            let known = is_shell_name(name) && digest.len() == 16;
            if !known || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            record.insert_digest(name, digest.to_owned());
        }
        Some(record)
    }

    /// Returns whether `value` is what was exported under that name.
    #[must_use]
    pub fn holds(&self, name: &str, value: &OsStr) -> bool {
        self.digests
            .get(name)
            .is_some_and(|known| *known == digest(name, value.as_bytes()))
    }

    /// Adds a variable; returns false, and adds nothing, when the record's text would be longer than `limit` bytes or
    /// than any variable may be.
    pub fn insert(&mut self, name: &str, value: &str, limit: usize) -> bool {
        let longer = self.length + name.len() + 18;
        if longer > limit || RECORD.len() + longer > VARIABLE_LIMIT {
            return false;
        }
        self.insert_digest(name, digest(name, value.as_bytes()));
        true
    }

    fn insert_digest(&mut self, name: &str, digest: String) {
        if self.digests.insert(name.to_owned(), digest).is_none() {
            self.length += name.len() + 18;
        }
    }

    /// Iterates over the names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.digests.keys().map(String::as_str)
    }

    /// True when it names nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Returns the value of `QWEN_ENV_EXPORTED`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.length);
        for (name, digest) in &self.digests {
            if !text.is_empty() {
                text.push('+');
            }
            let _ = write!(text, "{name}@{digest}");
        }
        text
    }
}

fn digest(name: &str, value: &[u8]) -> String {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update("=")
        .chain_update(value)
        .finalize();
    hex(&hash[..8])
}

#[cfg(test)]
mod tests {
    use super::Record;
    use crate::dotenv::chain::VARIABLE_LIMIT;
    use std::ffi::OsStr;

    #[test]
    fn a_record_knows_its_variables_until_they_change() {
        let mut record = Record::default();
        assert!(record.insert("A", "1", usize::MAX) && record.insert("B", "", usize::MAX));
        let again = Record::parse(OsStr::new(&record.text())).unwrap();
        assert_eq!(again, record);
        assert!(again.holds("A", OsStr::new("1")) && again.holds("B", OsStr::new("")));
        assert!(!again.holds("A", OsStr::new("2")) && !again.holds("C", OsStr::new("")));
        assert!(Record::parse(OsStr::new("")).unwrap().is_empty());
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
            "A@0123456789abcdef+",
            "+A@0123456789abcdef",
            "$(id)@0123456789abcdef",
            "A@0123456789abcdef B",
        ] {
            assert_eq!(Record::parse(OsStr::new(text)), None, "{text}");
        }
    }

    #[test]
    fn a_record_never_outgrows_a_variable() {
        let mut record = Record::default();
        let names: Vec<String> = (0..20_000).map(|number| format!("NAME_{number}")).collect();
        let kept = names
            .iter()
            .filter(|name| record.insert(name, "", usize::MAX))
            .count();
        assert!(kept > 4000 && kept < names.len());
        assert!("QWEN_ENV_EXPORTED=".len() + record.text().len() <= VARIABLE_LIMIT);
        assert!(!Record::default().insert("A", "", 18));
    }
}
