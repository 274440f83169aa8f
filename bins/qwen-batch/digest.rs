//! Digests: what tells one request from another, and what names a line that has no ID.

use qwen_shared::text::hex;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// How the IDs of records begin that hold the digest of their request.
const ID_START: &str = "batch_req_sha256_";

/// The first 128 bits of SHA-256 over a request's path and body. The order of members does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestDigest([u8; 16]);

impl RequestDigest {
    pub(crate) fn of(url: &str, body: &Map<String, Value>) -> Self {
        let mut hash = Sha256::new();
        add_text(&mut hash, url);
        add_object(&mut hash, body);
        Self::finish(hash)
    }

    /// Returns the digest of a line that is no request.
    pub(crate) fn of_line(line: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(line.trim_ascii());
        Self::finish(hash)
    }

    fn finish(hash: Sha256) -> Self {
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.finalize()[..16]);
        Self(digest)
    }

    /// Returns the ID of a record that answers the request.
    pub(crate) fn to_id(self) -> String {
        format!("{ID_START}{}", hex(&self.0))
    }

    /// Reads the digest from the ID of a record; `None` for an ID of a provider, or of version 0.1.
    pub(crate) fn from_id(id: &str) -> Option<Self> {
        let digits = id.strip_prefix(ID_START)?;
        if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let number = u128::from_str_radix(digits, 16).ok()?;
        Some(Self(number.to_be_bytes()))
    }

    /// Returns its first 64 bits.
    pub(crate) fn bits(self) -> u64 {
        self.0
            .iter()
            .take(8)
            .fold(0, |bits, byte| bits << 8 | u64::from(*byte))
    }

    /// Returns the name of a line without an ID, of which this is the digest. It does not depend on the line's place.
    pub(crate) fn name(self) -> String {
        format!("text-{}", hex(&self.0[..8]))
    }
}

/// Adds a text so that no other sequence of texts gives the same bytes.
fn add_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

fn add_object(hash: &mut Sha256, members: &Map<String, Value>) {
    hash.update(b"{");
    let mut members: Vec<_> = members.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    for (name, value) in members {
        add_text(hash, name);
        add_value(hash, value);
    }
    hash.update(b"}");
}

fn add_value(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update(b"n"),
        Value::Bool(true) => hash.update(b"t"),
        Value::Bool(false) => hash.update(b"f"),
        Value::Number(number) => {
            hash.update(b"#");
            add_text(hash, &number.to_string());
        }
        Value::String(text) => {
            hash.update(b"s");
            add_text(hash, text);
        }
        Value::Array(items) => {
            hash.update(b"[");
            for item in items {
                add_value(hash, item);
            }
            hash.update(b"]");
        }
        Value::Object(members) => add_object(hash, members),
    }
}

#[cfg(test)]
mod tests {
    use super::RequestDigest;

    fn digest(url: &str, body: &str) -> RequestDigest {
        RequestDigest::of(url, &serde_json::from_str(body).unwrap())
    }

    #[test]
    fn requests_are_the_same_whatever_the_order_of_their_members() {
        let first = digest("/v1/x", r#"{"a":{"b":1,"c":[null,true]},"d":"e"}"#);
        assert_eq!(first, digest("/v1/x", r#"{"d":"e","a":{"c":[null,true],"b":1}}"#));
        for (url, body) in [
            ("/v1/y", r#"{"a":{"b":1,"c":[null,true]},"d":"e"}"#),
            ("/v1/x", r#"{"a":{"b":1,"c":[true,null]},"d":"e"}"#),
            ("/v1/x", r#"{"a":{"b":"1","c":[null,true]},"d":"e"}"#),
            ("/v1/x", r#"{"a":{"b":1},"c":[null,true],"d":"e"}"#),
        ] {
            assert_ne!(first, digest(url, body), "{body}");
        }
    }

    #[test]
    fn an_id_gives_the_digest_back_and_no_other_id_does() {
        let digest = digest("/v1/x", "{}");
        assert_eq!(RequestDigest::from_id(&digest.to_id()), Some(digest));
        for id in [
            "batch_req_0123456789abcdef",
            "batch_req_sha256_12",
            "",
            "batch_req_sha256_+123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(RequestDigest::from_id(id), None, "{id}");
        }
    }

    #[test]
    fn the_name_of_a_text_is_that_of_the_text_without_blanks_around_it() {
        let name = |text: &str| RequestDigest::of_line(text.as_bytes()).name();
        assert_eq!(name("apple"), name(" apple\t"));
        assert_ne!(name("apple"), name("Apple"));
        assert_eq!(name("apple").len(), "text-".len() + 16);
    }
}
