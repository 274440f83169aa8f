//! A credential, and the JSON documents that hold one.

use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::net::oauth::TokenResponse;
use crate::secret::Secret;

/// The least time for which a token should stay valid, by default.
pub(super) const DEFAULT_MIN_TTL: Duration = Duration::from_secs(60);

/// What a store holds for one profile.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// An API key.
    ApiKey(StoredKey),
    /// A login.
    Oauth(Credential),
}

/// What says where a secret may go: members of the profile that it was stored for.
pub type StoredFor = Map<String, Value>;

/// An API key.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredKey {
    /// The key.
    pub key: Secret<String>,
    /// Where it may go; `None` where it was stored without that, by an earlier version.
    pub stored_for: Option<StoredFor>,
}

impl Stored {
    /// Returns where the secret may go; `None` where that is not known.
    #[must_use]
    pub const fn stored_for(&self) -> Option<&StoredFor> {
        match self {
            Self::ApiKey(key) => key.stored_for.as_ref(),
            Self::Oauth(credential) => credential.stored_for.as_ref(),
        }
    }

    /// Says where the secret may go.
    #[must_use]
    pub fn with_stored_for(mut self, stored_for: StoredFor) -> Self {
        match &mut self {
            Self::ApiKey(key) => key.stored_for = Some(stored_for),
            Self::Oauth(credential) => credential.stored_for = Some(stored_for),
        }
        self
    }
}

/// The tokens of a login.
#[derive(Clone, PartialEq)]
pub struct Credential {
    /// The access token.
    pub access_token: Secret<String>,
    /// The refresh token. Servers that rotate it accept it once (RFC 9700, section 2.2.2).
    pub refresh_token: Option<Secret<String>>,
    /// `Bearer`, in the server's case.
    pub token_type: String,
    /// When the access token expires; `None` if the server did not say.
    pub expires_at: Option<SystemTime>,
    /// When it was issued, by this machine's clock; `None` if another program stored it.
    pub issued_at: Option<SystemTime>,
    /// Qwen's own member: the host of the API. Untrusted.
    pub resource_url: Option<String>,
    /// The granted scope.
    pub scope: Option<String>,
    /// Where it may go; `None` in Qwen Code's file, and where an earlier version stored it.
    pub stored_for: Option<StoredFor>,
    /// Unknown members, which every update keeps. They may be secret (an `id_token`).
    pub extra: Map<String, Value>,
}

impl Credential {
    /// Makes a credential of a token response that arrived at `now`.
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
            stored_for: None,
            extra: unknown_members(response.extra),
        }
    }

    /// Makes the credential after a refresh. What the response lacks stays: the `refresh_token` (RFC 6749, section 6),
    /// `resource_url`, scope and unknown members.
    #[must_use]
    pub fn refreshed(&self, response: TokenResponse, now: SystemTime) -> Self {
        let mut next = Self::from_response(response, now);
        next.refresh_token = next.refresh_token.or_else(|| self.refresh_token.clone());
        next.resource_url = next.resource_url.or_else(|| self.resource_url.clone());
        next.scope = next.scope.or_else(|| self.scope.clone());
        next.stored_for.clone_from(&self.stored_for);
        let mut extra = self.extra.clone();
        extra.extend(std::mem::take(&mut next.extra));
        next.extra = extra;
        next
    }

    /// Returns how long the access token stays valid: zero if it has expired, `None` if the server did not say.
    ///
    /// A token that was issued in the future counts as expired: the clock was changed since, so its expiry is wrong.
    #[must_use]
    pub fn expires_in(&self, now: SystemTime) -> Option<Duration> {
        if self
            .issued_at
            .is_some_and(|issued| issued > now + CLOCK_TOLERANCE)
        {
            return Some(Duration::ZERO);
        }
        let end = self.expires_at?;
        Some(end.duration_since(now).unwrap_or_default())
    }

    /// True if the access token is known to have expired.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires_in(now).is_some_and(|left| left.is_zero())
    }

    /// True if the token should be refreshed to be valid for `min_ttl`.
    ///
    /// Where the whole lifetime is no longer than the default `min_ttl`, a refresh on every call would gain nothing: such
    /// a token is refreshed after half its lifetime.
    #[must_use]
    pub fn is_due(&self, min_ttl: Duration, now: SystemTime) -> bool {
        let lifetime = match (self.issued_at, self.expires_at) {
            (Some(issued), Some(end)) => end.duration_since(issued).ok(),
            _ => None,
        };
        let min_ttl = match lifetime {
            Some(lifetime) if lifetime <= min_ttl && min_ttl <= DEFAULT_MIN_TTL => lifetime / 2,
            _ => min_ttl,
        };
        self.expires_in(now)
            .is_some_and(|left| left.is_zero() || left < min_ttl)
    }
}

impl fmt::Debug for Credential {
    /// Shows of the unknown members only their names.
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

/// The members that one of the formats defines.
const KNOWN: [&str; 11] = [
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
    "stored_for",
];

/// Drops known members, so that a server cannot set one of them.
pub(super) fn unknown_members(mut members: Map<String, Value>) -> Map<String, Value> {
    members.retain(|name, _| !KNOWN.contains(&name.as_str()) && name != "expires_in");
    members
}

/// The format of a stored document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Keys and logins; times are `expires_at` and `issued_at`.
    Own,
    /// Logins; the expiry is `expiry_date`, and there is no final newline.
    QwenCode,
}

/// Writes what is stored as JSON.
pub(super) fn write(stored: &Stored, format: Format) -> Secret<Vec<u8>> {
    let is_own = format == Format::Own;
    match stored {
        Stored::ApiKey(key) => pretty(&KeyDocument {
            method: "api-key",
            api_key: key.key.expose(),
            stored_for: key.stored_for.as_ref(),
        }),
        Stored::Oauth(credential) => pretty(&LoginDocument {
            method: is_own.then_some("oauth"),
            access_token: credential.access_token.expose(),
            refresh_token: credential.refresh_token.as_ref().map(Secret::expose),
            token_type: &credential.token_type,
            resource_url: credential.resource_url.as_deref(),
            expires_at: credential.expires_at.filter(|_| is_own).map(to_millis),
            expiry_date: credential.expires_at.filter(|_| !is_own).map(to_millis),
            issued_at: credential.issued_at.map(to_millis),
            scope: credential.scope.as_deref(),
            stored_for: credential.stored_for.as_ref().filter(|_| is_own),
            extra: &credential.extra,
        }),
    }
}

#[derive(Serialize)]
struct KeyDocument<'a> {
    method: &'static str,
    api_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored_for: Option<&'a StoredFor>,
}

/// The order is Qwen Code's. It ignores `issued_at`, and drops it with its next refresh.
#[derive(Serialize)]
struct LoginDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a String>,
    token_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_date: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored_for: Option<&'a StoredFor>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

fn pretty(document: &impl Serialize) -> Secret<Vec<u8>> {
    // A buffer that grows would leave copies of the tokens in memory.
    let mut bytes = Vec::with_capacity(16 << 10);
    // Cannot fail: strings and integers, into a vector.
    let _ = serde_json::to_writer_pretty(bytes.by_ref(), document);
    Secret::new(bytes)
}

/// Parses a document.
///
/// # Errors
/// What is wrong with it, to be appended to the place's name. It quotes no content.
pub(super) fn read(bytes: &[u8], format: Format) -> Result<Stored, String> {
    let mut members: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            ": not a JSON object".to_owned()
        } else {
            format!(":{}:{}: not valid JSON", error.line(), error.column())
        }
    })?;
    let is_own = format == Format::Own;
    let stored_for = match members.shift_remove("stored_for") {
        Some(Value::Object(members)) if is_own => Some(members),
        _ => None,
    };
    if is_own && members.get("method").and_then(Value::as_str) == Some("api-key") {
        let key = text(&mut members, "api_key").ok_or_else(|| missing("api_key"))?;
        let key = Secret::new(key);
        return Ok(Stored::ApiKey(StoredKey { key, stored_for }));
    }
    let access_token = text(&mut members, "access_token").ok_or_else(|| missing("access_token"))?;
    let expiry = match format {
        Format::Own => "expires_at",
        Format::QwenCode => "expiry_date",
    };
    Ok(Stored::Oauth(Credential {
        access_token: Secret::new(access_token),
        refresh_token: text(&mut members, "refresh_token").map(Secret::new),
        token_type: text(&mut members, "token_type").unwrap_or_else(|| "Bearer".to_owned()),
        expires_at: members.get(expiry).and_then(from_value),
        issued_at: members.get("issued_at").and_then(from_value),
        resource_url: text(&mut members, "resource_url"),
        scope: text(&mut members, "scope"),
        stored_for,
        extra: unknown_members(members),
    }))
}

fn missing(member: &str) -> String {
    format!(": no '{member}'")
}

/// Removes a string; a blank one counts as absent.
fn text(members: &mut Map<String, Value>, name: &str) -> Option<String> {
    match members.shift_remove(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => Some(text),
        _ => None,
    }
}

/// The difference between the clocks of machines that share a home directory.
pub(super) const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// Returns the milliseconds since 1970; 0 for anything earlier.
pub(super) fn to_millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Reads a time in milliseconds since 1970, which may be a string. Times before 1970 and after the last date of
/// JavaScript are clamped; `None` if it is not a finite number.
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
    use std::time::{Duration, SystemTime};

    use super::{Credential, Format, Stored, read, write};

    #[test]
    fn a_document_survives_being_read_and_written_in_either_form() {
        let ours = "{\n  \"method\": \"oauth\",\n  \"access_token\": \"a\",\n  \"refresh_token\": \"r\",\n  \
            \"token_type\": \"bearer\",\n  \"resource_url\": \"portal.qwen.ai\",\n  \"expires_at\": 1800000000123,\n  \
            \"issued_at\": 1700000000000,\n  \"scope\": \"openid\",\n  \
            \"stored_for\": {\n    \"base_url\": \"https://a.example/v1\"\n  },\n  \"id_token\": \"i\",\n  \"deep\": {\n    \
            \"x\": [\n      1\n    ]\n  }\n}";
        let theirs = "{\n  \"access_token\": \"a\",\n  \"refresh_token\": \"r\",\n  \"token_type\": \"Bearer\",\n  \
            \"resource_url\": \"portal.qwen.ai\",\n  \"expiry_date\": 1800000000123,\n  \"added\": true\n}";
        let key = "{\n  \"method\": \"api-key\",\n  \"api_key\": \"sk-1\"\n}";
        let bound = "{\n  \"method\": \"api-key\",\n  \"api_key\": \"sk-1\",\n  \"stored_for\": {\n    \
            \"provider\": \"openai\"\n  }\n}";
        for (format, text) in [
            (Format::Own, ours),
            (Format::QwenCode, theirs),
            (Format::Own, key),
            (Format::Own, bound),
        ] {
            let stored = read(text.as_bytes(), format).unwrap();
            assert_eq!(String::from_utf8_lossy(write(&stored, format).expose()), text);
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
            assert_eq!(read(text.as_bytes(), Format::Own).unwrap_err(), reason, "{text}");
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
            let Stored::Oauth(credential) = read(text.as_bytes(), Format::QwenCode).unwrap() else {
                panic!("not a login");
            };
            assert_eq!(credential.expires_at.map(super::to_millis), millis, "{value}");
        }
    }

    /// A login with these times, in seconds before and after `now`.
    fn login(now: SystemTime, issued_ago: Option<i32>, left: Option<i32>) -> Credential {
        let Stored::Oauth(mut credential) = read(b"{\"access_token\": \"a\"}", Format::Own).unwrap() else {
            panic!("not a login");
        };
        let at = |seconds: i32| match u64::try_from(seconds) {
            Ok(after) => now + Duration::from_secs(after),
            Err(_) => now - Duration::from_secs(seconds.unsigned_abs().into()),
        };
        credential.issued_at = issued_ago.map(|ago| at(-ago));
        credential.expires_at = left.map(at);
        credential
    }

    #[test]
    fn a_token_is_valid_to_its_end_unless_the_clock_was_set_back() {
        let now = SystemTime::now();
        for (issued_ago, left, valid) in [
            (Some(10), Some(30), Some(30)),
            (None, Some(30), Some(30)),
            (Some(10), None, None),
            (Some(60), Some(0), Some(0)),
            (Some(60), Some(-5), Some(0)),
            (Some(-60), Some(90), Some(90)),
            (Some(-61), Some(90), Some(0)),
            (Some(-61), None, Some(0)),
        ] {
            let credential = login(now, issued_ago, left);
            let valid = valid.map(Duration::from_secs);
            assert_eq!(credential.expires_in(now), valid, "{issued_ago:?} {left:?}");
            assert_eq!(
                credential.is_expired(now),
                valid == Some(Duration::ZERO),
                "{issued_ago:?} {left:?}"
            );
        }
    }

    #[test]
    fn a_token_is_due_before_its_end_and_a_short_one_after_half_its_life() {
        let now = SystemTime::now();
        for (issued_ago, left, min_ttl, is_due) in [
            (Some(0), Some(3600), 60, false),
            (Some(3540), Some(60), 60, false),
            (Some(3541), Some(59), 60, true),
            (None, Some(59), 60, true),
            (None, Some(60), 60, false),
            (None, None, 60, false),
            (Some(10), Some(-1), 0, true),
            (Some(10), Some(0), 0, true),
            // Of a life of a minute the half is enough, unless more than usual is asked for.
            (Some(20), Some(40), 60, false),
            (Some(31), Some(29), 60, true),
            (Some(20), Some(40), 61, true),
            (Some(0), Some(100), 120, true),
            // A life that is longer than what is asked for is no short one.
            (Some(1), Some(49), 30, false),
            (Some(25), Some(25), 30, true),
        ] {
            let min_ttl = Duration::from_secs(min_ttl);
            let credential = login(now, issued_ago, left);
            assert_eq!(
                credential.is_due(min_ttl, now),
                is_due,
                "{issued_ago:?} {left:?} {min_ttl:?}"
            );
        }
    }
}
