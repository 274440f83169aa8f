//! The JSON documents of the stores: ours, and the one that Qwen Code reads.

use std::io::Write;

use serde::Serialize;
use serde_json::{Map, Value};

use super::clock::{from_value, to_millis};
use super::model::{Credential, Stored};
use crate::secret::Secret;

/// Every member that a document of ours or of Qwen Code's gives a meaning to.
const KNOWN: [&str; 10] = [
    "method",
    "api_key",
    "access_token",
    "refresh_token",
    "token_type",
    "expires_at",
    "expiry_date",
    "issued_at",
    "resource_url",
    "scope",
];

/// Drops the members that have a meaning here, so that what a server adds cannot stand in for one of them.
pub(super) fn unknown_members(mut members: Map<String, Value>) -> Map<String, Value> {
    members.retain(|name, _| !KNOWN.contains(&name.as_str()) && name != "expires_in");
    members
}

/// Whose document it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `method` says what it holds; times are `expires_at` and `issued_at`.
    Ours,
    /// `expiry_date`, no trailing newline, nothing but a login (facts: Qwen Code, section 2).
    QwenCode,
}

/// Writes what is stored as a document.
pub(super) fn write(stored: &Stored, form: Form) -> Secret<Vec<u8>> {
    match (stored, form) {
        (Stored::ApiKey(key), _) => pretty(&KeyDocument {
            method: "api-key",
            api_key: key.expose(),
        }),
        (Stored::Oauth(credential), Form::Ours) => pretty(&OurDocument::of(credential)),
        (Stored::Oauth(credential), Form::QwenCode) => pretty(&QwenCodeDocument::of(credential)),
    }
}

#[derive(Serialize)]
struct KeyDocument<'a> {
    method: &'static str,
    api_key: &'a str,
}

#[derive(Serialize)]
struct OurDocument<'a> {
    method: &'static str,
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    token_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

impl<'a> OurDocument<'a> {
    fn of(credential: &'a Credential) -> Self {
        Self {
            method: "oauth",
            access_token: credential.access_token.expose(),
            refresh_token: credential
                .refresh_token
                .as_ref()
                .map(|token| token.expose().as_str()),
            token_type: &credential.token_type,
            expires_at: credential.expires_at.map(to_millis),
            issued_at: credential.issued_at.map(to_millis),
            resource_url: credential.resource_url.as_deref(),
            scope: credential.scope.as_deref(),
            extra: &credential.extra,
        }
    }
}

/// The order is Qwen Code's own at login. `issued_at` is ours: Qwen Code ignores it and drops it when it writes,
/// which is right, because then it is no longer true.
#[derive(Serialize)]
struct QwenCodeDocument<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    token_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_date: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

impl<'a> QwenCodeDocument<'a> {
    fn of(credential: &'a Credential) -> Self {
        Self {
            access_token: credential.access_token.expose(),
            refresh_token: credential
                .refresh_token
                .as_ref()
                .map(|token| token.expose().as_str()),
            token_type: &credential.token_type,
            resource_url: credential.resource_url.as_deref(),
            expiry_date: credential.expires_at.map(to_millis),
            issued_at: credential.issued_at.map(to_millis),
            scope: credential.scope.as_deref(),
            extra: &credential.extra,
        }
    }
}

/// Writes two-space JSON into a buffer that is zeroed when it is dropped.
fn pretty(document: &impl Serialize) -> Secret<Vec<u8>> {
    // Room enough from the start: a buffer that grows leaves copies of its content behind.
    let mut bytes = Vec::with_capacity(16 << 10);
    // Neither strings, whole numbers nor a vector can refuse.
    let _ = serde_json::to_writer_pretty(bytes.by_ref(), document);
    Secret::new(bytes)
}

/// Reads a document.
///
/// # Errors
/// Where it is broken, or which member is missing, to stand behind the place's name; never what it holds.
pub(super) fn read(bytes: &[u8], form: Form) -> Result<Stored, String> {
    let mut members: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            ": not a JSON object".to_owned()
        } else {
            format!(":{}:{}: not valid JSON", error.line(), error.column())
        }
    })?;
    let is_key = members.get("method").and_then(Value::as_str) == Some("api-key");
    if form == Form::Ours && is_key {
        return text(&mut members, "api_key")
            .map(|key| Stored::ApiKey(Secret::new(key)))
            .ok_or_else(|| lacks("api_key"));
    }
    let access_token = text(&mut members, "access_token").ok_or_else(|| lacks("access_token"))?;
    let expiry = match form {
        Form::Ours => "expires_at",
        Form::QwenCode => "expiry_date",
    };
    Ok(Stored::Oauth(Credential {
        access_token: Secret::new(access_token),
        refresh_token: text(&mut members, "refresh_token").map(Secret::new),
        token_type: text(&mut members, "token_type").unwrap_or_else(|| "Bearer".to_owned()),
        expires_at: members.get(expiry).and_then(from_value),
        issued_at: members.get("issued_at").and_then(from_value),
        resource_url: text(&mut members, "resource_url"),
        scope: text(&mut members, "scope"),
        extra: unknown_members(members),
    }))
}

fn lacks(member: &str) -> String {
    format!(": no '{member}'")
}

/// Takes a text member out; blank counts as absent.
fn text(members: &mut Map<String, Value>, name: &str) -> Option<String> {
    match members.shift_remove(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, read, write};
    use crate::credential::Stored;

    #[test]
    fn a_document_survives_being_read_and_written_in_either_form() {
        let ours = "{\n  \"method\": \"oauth\",\n  \"access_token\": \"a\",\n  \"refresh_token\": \"r\",\n  \
            \"token_type\": \"bearer\",\n  \"expires_at\": 1800000000123,\n  \"issued_at\": 1700000000000,\n  \
            \"resource_url\": \"portal.qwen.ai\",\n  \"scope\": \"openid\",\n  \"id_token\": \"i\",\n  \"deep\": {\n    \
            \"x\": [\n      1\n    ]\n  }\n}";
        let theirs = "{\n  \"access_token\": \"a\",\n  \"refresh_token\": \"r\",\n  \"token_type\": \"Bearer\",\n  \
            \"resource_url\": \"portal.qwen.ai\",\n  \"expiry_date\": 1800000000123,\n  \"added\": true\n}";
        let key = "{\n  \"method\": \"api-key\",\n  \"api_key\": \"sk-1\"\n}";
        for (form, text) in [(Form::Ours, ours), (Form::QwenCode, theirs), (Form::Ours, key)] {
            let stored = read(text.as_bytes(), form).unwrap();
            assert_eq!(String::from_utf8_lossy(write(&stored, form).expose()), text);
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_content() {
        for (text, reason) in [
            ("", ":1:0: not valid JSON"),
            ("{\"access_token\": \"sec", ":1:21: not valid JSON"),
            ("[\"secret\"]", ": not a JSON object"),
            ("{}", ": no 'access_token'"),
            ("{\"access_token\": \" \"}", ": no 'access_token'"),
            ("{\"access_token\": 7}", ": no 'access_token'"),
            ("{\"method\": \"api-key\"}", ": no 'api_key'"),
        ] {
            assert_eq!(read(text.as_bytes(), Form::Ours).unwrap_err(), reason, "{text}");
        }
    }

    #[test]
    fn an_expiry_of_any_kind_is_read_or_counts_as_unknown() {
        for (value, millis) in [
            ("1800000000000", Some(1_800_000_000_000)),
            ("1800000000000.9", Some(1_800_000_000_000)),
            ("\"1800000000000\"", Some(1_800_000_000_000)),
            ("-5", Some(0)),
            ("1e300", Some(8_640_000_000_000_000)),
            ("null", None),
            ("\"soon\"", None),
            ("\"inf\"", None),
            ("[]", None),
        ] {
            let text = format!("{{\"access_token\": \"a\", \"expiry_date\": {value}}}");
            let Stored::Oauth(credential) = read(text.as_bytes(), Form::QwenCode).unwrap() else {
                panic!("not a login");
            };
            assert_eq!(credential.expires_at.map(super::to_millis), millis, "{value}");
        }
    }
}
