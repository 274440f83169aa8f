//! Removing from a server's text the secrets that the request carried: servers quote what they were sent.

use serde_json::Value;

use super::endpoint::Endpoint;
use crate::net::config::Settings;
use crate::secret::is_secret_name;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// Shorter values are no secrets, and are found in any text.
const SHORTEST: usize = 4;

/// The secrets of an endpoint's requests, longest first.
pub(super) struct Redactor(Vec<String>);

impl Redactor {
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        let settings = endpoint.settings();
        let mut secrets: Vec<String> = Vec::new();
        secrets.extend(endpoint.secret().map(|secret| secret.expose().clone()));
        for (name, value) in endpoint.headers() {
            if is_secret_name(name) {
                secrets.extend(parts_of_header(value).map(str::to_owned));
            }
        }
        for (name, value) in endpoint.chat_url().query_pairs() {
            if !is_public_parameter(settings, &name) {
                secrets.push(value.into_owned());
            }
        }
        collect_members(&settings.body, &mut secrets);
        // A value may be written in the form that it has in a URL.
        let decoded: Vec<String> = secrets.iter().map(|secret| percent_decoded(secret)).collect();
        secrets.extend(decoded);
        secrets.retain(|secret| secret.len() >= SHORTEST);
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self(secrets)
    }

    /// Removes them in every form that text, URLs, JSON and HTML give them, and what is left of one at a cut.
    pub(super) fn text(&self, mut text: String) -> String {
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), MASK);
            }
            text = without_escaped(text, secret);
        }
        text
    }

    /// Removes them from a JSON text. One that holds none is left to the byte.
    pub(super) fn json(&self, json: String) -> String {
        let Ok(mut value) = serde_json::from_str::<Value>(&json) else {
            return self.text(json);
        };
        match self.value(&mut value) {
            true => value.to_string(),
            false => json,
        }
    }

    /// True when there was something to remove.
    fn value(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => {
                let clean = self.text(text.clone());
                let has_changed = clean != *text;
                *text = clean;
                has_changed
            }
            Value::Array(items) => items
                .iter_mut()
                .fold(false, |changed, item| self.value(item) | changed),
            Value::Object(members) => {
                let mut has_changed = false;
                let old = std::mem::take(members);
                for (name, mut member) in old {
                    let clean = self.text(name.clone());
                    has_changed |= self.value(&mut member) | (clean != name);
                    members.insert(clean, member);
                }
                has_changed
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

/// Returns the credential of a header's value without its scheme (RFC 9110, section 11.4), or the values of cookies.
fn parts_of_header(value: &str) -> impl Iterator<Item = &str> {
    let value = value.trim();
    let whole = value
        .split_once(' ')
        .map_or(value, |(_, credential)| credential.trim());
    let cookies = value
        .split(';')
        .filter_map(|cookie| Some(cookie.split_once('=')?.1.trim()));
    std::iter::once(whole).chain(cookies)
}

/// True for a parameter that the catalogue names, and for the version of the API.
fn is_public_parameter(settings: &Settings, name: &str) -> bool {
    let of_provider = &settings.provider.value.query;
    name == "api-version" || of_provider.contains_key(name) && !settings.query.contains_key(name)
}

/// Collects the texts of members that are secrets by their names, at any depth.
fn collect_members(members: &serde_json::Map<String, Value>, secrets: &mut Vec<String>) {
    for (name, value) in members {
        collect(value, is_secret_name(name), secrets);
    }
}

fn collect(value: &Value, is_secret: bool, secrets: &mut Vec<String>) {
    match value {
        Value::String(text) if is_secret => secrets.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, is_secret, secrets)),
        Value::Object(members) => members
            .iter()
            .for_each(|(name, member)| collect(member, is_secret || is_secret_name(name), secrets)),
        _ => {}
    }
}

fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut at) = (Vec::new(), 0);
    while let Some(&byte) = text.as_bytes().get(at) {
        let code = (byte == b'%').then(|| hex(text, at + 1, 2)).flatten();
        bytes.push(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Replaces the secret where some of its characters are escaped, and its beginning before an ellipsis.
fn without_escaped(text: String, secret: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        match length_of_match(&text[at..], secret) {
            Some(length) => {
                clean.push_str(MASK);
                at += length;
            }
            None => {
                clean.push(c);
                at += c.len_utf8();
            }
        }
    }
    clean
}

/// Returns the length of the secret at the beginning of `text`, whatever of it is escaped.
fn length_of_match(text: &str, secret: &str) -> Option<usize> {
    let (mut at, mut matched) = (0, 0);
    while matched < secret.len() {
        let rest = &text[at..];
        if matched >= SHORTEST && rest.starts_with('…') {
            return Some(at);
        }
        let (bytes, length) = next_unit(rest)?;
        let unit = bytes.as_slice();
        let is_same = secret.as_bytes()[matched..].starts_with(unit)
            || rest.starts_with('+') && secret.as_bytes()[matched] == b' ';
        if !is_same {
            return None;
        }
        matched += unit.len();
        at += length;
    }
    Some(at)
}

/// Returns the bytes that the first character or escape of a text stands for, and its length.
fn next_unit(text: &str) -> Option<(Vec<u8>, usize)> {
    const ENTITIES: [(&str, u8); 7] = [
        ("&amp;", b'&'),
        ("&lt;", b'<'),
        ("&gt;", b'>'),
        ("&quot;", b'"'),
        ("&#39;", b'\''),
        ("&#x27;", b'\''),
        ("&apos;", b'\''),
    ];
    let first = text.chars().next()?;
    let escape = match first {
        '%' => hex(text, 1, 2)
            .and_then(|code| u8::try_from(code).ok())
            .map(|byte| (vec![byte], 3)),
        '\\' => json_escape(text),
        '&' => ENTITIES
            .iter()
            .find(|(entity, _)| text.starts_with(entity))
            .map(|(entity, byte)| (vec![*byte], entity.len())),
        _ => None,
    };
    escape.or_else(|| Some((first.to_string().into_bytes(), first.len_utf8())))
}

/// Reads an escape of a JSON string (RFC 8259, section 7).
fn json_escape(text: &str) -> Option<(Vec<u8>, usize)> {
    match text.as_bytes().get(1)? {
        byte @ (b'"' | b'\\' | b'/') => Some((vec![*byte], 2)),
        b'u' => {
            let high = hex(text, 2, 4)?;
            let low = || {
                text.get(6..8)
                    .filter(|mark| *mark == "\\u")
                    .and_then(|_| hex(text, 8, 4))
            };
            let (code, length) = match high {
                0xd800..=0xdbff => (
                    0x10000 + ((high - 0xd800) << 10) + low()?.checked_sub(0xdc00)?,
                    12,
                ),
                code => (code, 6),
            };
            Some((char::from_u32(code)?.to_string().into_bytes(), length))
        }
        _ => None,
    }
}

fn hex(text: &str, from: usize, length: usize) -> Option<u32> {
    let digits = text.get(from..from + length)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{Redactor, parts_of_header, percent_decoded};

    #[test]
    fn a_secret_is_found_in_every_form() {
        let redactor = Redactor(vec!["pä/s \"w<rd".to_owned()]);
        for text in [
            "pä/s \"w<rd",
            "pä\\/s \\\"w<rd",
            "p\\u00e4/s \\u0022w\\u003Crd",
            "p%C3%A4%2Fs%20%22w%3Crd",
            "p%c3%a4/s+%22w%3crd",
            "pä/s &quot;w&lt;rd",
        ] {
            assert_eq!(redactor.text(format!("a {text} b")), "a *** b", "{text}");
        }
        assert_eq!(redactor.text("a pä/s… b".to_owned()), "a ***… b");
        for text in ["pä/s", "p%C3%A4", "%", "\\u00", "&quot", "\\ud800\\u0000", "pä…"] {
            assert_eq!(redactor.text(text.to_owned()), text);
        }
    }

    #[test]
    fn json_without_a_secret_is_left_to_the_byte() {
        let redactor = Redactor(vec!["canary".to_owned()]);
        for (json, clean) in [
            (
                r#"{ "a": 1.0, "b":"c\u0061n" }"#,
                r#"{ "a": 1.0, "b":"c\u0061n" }"#,
            ),
            (
                r#"{"a": ["c\u0061nary"], "canary": 1}"#,
                r#"{"a":["***"],"***":1}"#,
            ),
            ("not JSON: canary", "not JSON: ***"),
        ] {
            assert_eq!(redactor.json(json.to_owned()), clean);
        }
    }

    #[test]
    fn a_header_is_known_by_its_credential_and_by_its_cookies() {
        for (value, parts) in [
            ("key", &["key"][..]),
            ("Bearer abc", &["abc"]),
            ("sid=abc; theme=dark", &["theme=dark", "abc", "dark"]),
        ] {
            assert_eq!(parts_of_header(value).collect::<Vec<_>>(), parts);
        }
        assert_eq!(percent_decoded("a%2Fb%zz%"), "a/b%zz%");
    }
}
