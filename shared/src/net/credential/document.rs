//! A credential, and the JSON documents that hold one.

use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::net::oauth::TokenResponse;
use crate::secret::Secret;

/// How long a token should go on at least when nobody says otherwise.
pub(super) const DEFAULT_MIN_TTL: Duration = Duration::from_secs(60);

/// What one profile has in its store.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// A key of an OpenAI-compatible endpoint.
    ApiKey(Secret<String>),
    /// A login.
    Oauth(Credential),
}

/// A token, what renews it, and when it was made.
#[derive(Clone, PartialEq)]
pub struct Credential {
    /// The access token.
    pub access_token: Secret<String>,
    /// What renews it; servers that rotate accept it once (RFC 9700, section 2.2.2).
    pub refresh_token: Option<Secret<String>>,
    /// The token type, as the server wrote it: `Bearer` in some case.
    pub token_type: String,
    /// When the access token ends; `None` when the server did not say, which is not the same as ended.
    pub expires_at: Option<SystemTime>,
    /// When it was issued, by this machine's clock; `None` when another program stored it.
    pub issued_at: Option<SystemTime>,
    /// Qwen's own member: the host that takes this token. Untrusted input.
    pub resource_url: Option<String>,
    /// The scope that was granted, where the server said.
    pub scope: Option<String>,
    /// Members that we do not know. They survive every rewrite, and may hold secrets (an `id_token`).
    pub extra: Map<String, Value>,
}

/// How long a token goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Nobody said: it is used until a server refuses it (RFC 6749, section 5.1).
    Unknown,
    /// It ends in this time, which is more than nothing.
    For(Duration),
    /// It has ended, or its times make no sense by this clock.
    Expired,
}

impl Life {
    /// True when the token may still be used.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        !matches!(self, Self::Expired)
    }

    /// True when it is known to end before `time` has passed.
    #[must_use]
    pub fn is_below(self, time: Duration) -> bool {
        match self {
            Self::Unknown => false,
            Self::For(rest) => rest < time,
            Self::Expired => true,
        }
    }
}

impl Credential {
    /// Makes a credential of a token endpoint's answer that came at `now`.
    #[must_use]
    pub fn from_response(response: TokenResponse, now: SystemTime) -> Self {
        Self {
            access_token: response.access_token,
            refresh_token: response.refresh_token,
            token_type: response.token_type,
            expires_at: response.expires_in.and_then(|life| now.checked_add(life)),
            issued_at: Some(now),
            resource_url: response.resource_url,
            scope: response.scope,
            extra: unknown_members(response.extra),
        }
    }

    /// Makes the credential that follows this one after a refresh.
    ///
    /// A `refresh_token` that the answer lacks goes on (RFC 6749, section 6); so do a `resource_url`, which Qwen
    /// Code loses here (facts: Qwen Code, section 0), the scope, and the members that we do not know.
    #[must_use]
    pub fn renewed(&self, response: TokenResponse, now: SystemTime) -> Self {
        let mut next = Self::from_response(response, now);
        next.refresh_token = next.refresh_token.or_else(|| self.refresh_token.clone());
        next.resource_url = next.resource_url.or_else(|| self.resource_url.clone());
        next.scope = next.scope.or_else(|| self.scope.clone());
        let mut extra = self.extra.clone();
        extra.extend(std::mem::take(&mut next.extra));
        next.extra = extra;
        next
    }

    /// Returns how long the access token goes on.
    ///
    /// An issue time in the future says that the clock was stepped since: the expiry was reckoned by the wrong clock
    /// and is worth nothing, so the token counts as expired (facts: OAuth, section 6). A little is allowed for
    /// machines that share a home.
    #[must_use]
    pub fn remaining(&self, now: SystemTime) -> Life {
        if self.issued_at.is_some_and(|issued| issued > now + SKEW) {
            return Life::Expired;
        }
        match self.expires_at.map(|end| end.duration_since(now)) {
            None => Life::Unknown,
            Some(Ok(rest)) if !rest.is_zero() => Life::For(rest),
            Some(_) => Life::Expired,
        }
    }

    /// True when the token should be refreshed by someone who needs it for `min_ttl`.
    ///
    /// Where the server's tokens never live as long as is wanted by default, refreshing on every call would gain nothing
    /// and spend a refresh token each time: such a token is due in the second half of its life. Whoever asks for more
    /// than the default gets a refresh, because the server may have changed its mind.
    #[must_use]
    pub fn is_due(&self, min_ttl: Duration, now: SystemTime) -> bool {
        let whole = match (self.issued_at, self.expires_at) {
            (Some(issued), Some(end)) => end.duration_since(issued).ok(),
            _ => None,
        };
        let wanted = match whole {
            Some(whole) if whole <= min_ttl && min_ttl <= DEFAULT_MIN_TTL => whole / 2,
            _ => min_ttl,
        };
        let life = self.remaining(now);
        !life.is_alive() || life.is_below(wanted)
    }
}

impl fmt::Debug for Credential {
    /// Shows times and names, never a value that could be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("refresh_token", &self.refresh_token)
            .field("expires_at", &self.expires_at)
            .field("issued_at", &self.issued_at)
            .field("resource_url", &self.resource_url)
            .field("scope", &self.scope)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

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

/// What the clocks of machines that share a home may differ by.
pub(super) const SKEW: Duration = Duration::from_secs(60);

/// Returns a time as milliseconds since 1970; 0 for anything earlier.
pub(super) fn to_millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Reads a time; `None` when the value is none (`null`, text that is no number, not finite).
///
/// A fraction is cut, a number that comes as text is read, a time before 1970 is 1970, and one past the last date
/// that JavaScript can hold is that date.
pub(super) fn from_value(value: &Value) -> Option<SystemTime> {
    const LAST: f64 = 8.64e15;
    let millis = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    if !millis.is_finite() {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what u64 holds"
    )]
    let millis = millis.clamp(0.0, LAST) as u64;
    UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::Form;
    use super::Stored;
    use super::read;
    use super::write;

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
