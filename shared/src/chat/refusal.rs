//! An answer whose status says no: what it means, what to do.

use std::time::Duration;

use super::error::ApiError;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{clip, one_line};

/// What a refusal is about. Exit code and retries follow from it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The credential is refused.
    Auth,
    /// The quota or the balance is used up: waiting a minute will not help.
    Quota,
    /// No such model or path.
    Missing,
    /// Too many requests just now.
    RateLimit,
    /// The server fails, or is too busy.
    Busy,
    /// The request is at fault.
    Request,
    /// A redirect, which is never followed: it would carry the secret along.
    Redirect,
    /// Nothing that a chat endpoint would say.
    Strange,
}

/// Words in a code or type that mean a used-up quota. `insufficient_quota` is OpenAI's and DashScope's, `Arrearage` and
/// `AllocationQuota.FreeTierOnly` DashScope's, `insufficient_balance` DeepSeek's.
const QUOTA_CODES: [&str; 7] = [
    "insufficient_quota",
    "insufficient_balance",
    "insufficient_credits",
    "billing",
    "arrearage",
    "freetieronly",
    "quota_exceeded",
];
/// The same, in a message without a code (Qwen's OAuth endpoint).
const QUOTA_WORDS: [&str; 3] = [
    "insufficient_quota",
    "free allocated quota exceeded",
    "insufficient balance",
];
const MODEL_CODES: [&str; 7] = [
    "model_not_found",
    "modelnotfound",
    "model_not_exist",
    "model_not_supported",
    "invalid_model",
    "model_not_available",
    "deploymentnotfound",
];
const MISSING_WORDS: [&str; 7] = [
    "does not exist",
    "not exist",
    "not found",
    "unknown model",
    "not a valid model",
    "no such model",
    "not supported",
];
const AUTH_CODES: [&str; 5] = [
    "invalid_api_key",
    "invalidapikey",
    "authentication",
    "unauthorized",
    "permission_denied",
];
const RATE_CODES: [&str; 4] = ["rate_limit", "ratelimit", "throttling", "too_many_requests"];
const BUSY_CODES: [&str; 7] = [
    "server_error",
    "internal_error",
    "internalerror",
    "overloaded",
    "unavailable",
    "timeout",
    "bad_gateway",
];

impl Kind {
    /// Tells what a status and an error object mean together. Without a status the object decides alone.
    #[must_use]
    pub fn of(status: Option<u16>, error: Option<&ApiError>) -> Self {
        let lower = |text: Option<&String>| text.map(|text| text.to_ascii_lowercase()).unwrap_or_default();
        let code = lower(error.map(|error| &error.code));
        let kind = lower(error.map(|error| &error.kind));
        let message = lower(error.map(|error| &error.message));
        let coded = |words: &[&str]| {
            words
                .iter()
                .any(|word| code.contains(word) || kind.contains(word))
        };
        let said = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if status == Some(402) || coded(&QUOTA_CODES) || said(&QUOTA_WORDS) {
            return Self::Quota;
        }
        if coded(&MODEL_CODES) {
            return Self::Missing;
        }
        match status {
            Some(401 | 403) => Self::Auth,
            Some(404 | 405 | 410) => Self::Missing,
            Some(400 | 422) if error.is_some_and(misses_model) => Self::Missing,
            Some(429) => Self::RateLimit,
            Some(408 | 409 | 425 | 500..=599) => Self::Busy,
            Some(300..=399) => Self::Redirect,
            Some(400..=499) => Self::Request,
            _ if coded(&RATE_CODES) => Self::RateLimit,
            _ if coded(&BUSY_CODES) => Self::Busy,
            _ if coded(&AUTH_CODES) => Self::Auth,
            _ => Self::Strange,
        }
    }

    /// True when the same request may succeed a little later.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::RateLimit | Self::Busy)
    }

    const fn exit(self) -> Exit {
        match self {
            Self::Auth => Exit::NoAuth,
            Self::Quota | Self::Missing => Exit::Unavailable,
            Self::RateLimit | Self::Busy => Exit::TryAgain,
            Self::Request => Exit::Data,
            Self::Redirect | Self::Strange => Exit::Protocol,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Auth => "the credential was refused",
            Self::Quota => "the quota is used up",
            Self::Missing => "no such model or path",
            Self::RateLimit => "too many requests",
            Self::Busy => "the server failed",
            Self::Request => "the request was refused",
            Self::Redirect => "refused to follow a redirect",
            Self::Strange => "unexpected status",
        }
    }
}

/// True when the words say that there is no such model, and not that the model lacks something: what is missing comes
/// after the word `model`, or is named as the parameter at fault. "'max_tokens' is not supported with this model" is
/// about the request.
fn misses_model(error: &ApiError) -> bool {
    let message = error.message.to_ascii_lowercase();
    MISSING_WORDS.iter().any(|words| {
        message.find(words).is_some_and(|at| match error.param.as_str() {
            "" => message[..at + words.len()].contains("model"),
            param => param == "model",
        })
    })
}

/// A refusal, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What it is about.
    pub kind: Kind,
    /// What the server says, when it says it in JSON.
    pub error: Option<ApiError>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// In place of an error object: a short plain text, or what else the body is. Never HTML.
    aside: Option<String>,
}

impl Refusal {
    /// Reads a refusal from its status, content type and body (or the beginning of it).
    #[must_use]
    pub fn read(status: u16, content_type: Option<&str>, body: &[u8], retry_after: Option<Duration>) -> Self {
        let text = String::from_utf8_lossy(body);
        let error = serde_json::from_str(&text)
            .ok()
            .and_then(|value| ApiError::from_json(&value));
        let aside = if error.is_some() {
            None
        } else {
            aside(content_type, &text)
        };
        Self {
            status,
            kind: Kind::of(Some(status), error.as_ref()),
            error,
            retry_after,
            aside,
        }
    }

    /// Reads a redirect.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self {
            status,
            kind: Kind::Redirect,
            error: None,
            retry_after: None,
            aside: Some(format!("to '{}'", clip(&one_line(location), 200))),
        }
    }

    /// Returns what happened, on one line: `too many requests (429): …`.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = format!("{} ({})", self.kind.words(), self.status);
        if let Some(error) = &self.error {
            words.push_str(": ");
            words.push_str(&error.words());
        } else if let Some(aside) = &self.aside {
            words.push_str(if self.kind == Kind::Redirect { " " } else { ": " });
            words.push_str(aside);
        }
        words
    }

    /// Lifts it into a failure that names the server. Hints that depend on the settings are the caller's.
    #[must_use]
    pub fn failure(&self, server: &str) -> Failure {
        let failure = Failure::new(self.kind.exit(), format!("'{server}': {}", self.words()));
        match self.kind {
            Kind::Redirect => failure.hint("check the base URL; the key goes nowhere else than there"),
            _ => failure,
        }
    }
}

/// Says what a body is that holds no error object: nothing for an empty one, the words of a short plain text, else its
/// content type. A page of HTML is named, never shown.
fn aside(content_type: Option<&str>, text: &str) -> Option<String> {
    let content_type = content_type.unwrap_or_default();
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return None;
    }
    if content_type.contains("html") || text.starts_with('<') {
        return Some("the answer is an HTML page".to_owned());
    }
    if text.contains('<') || text.starts_with(['{', '[']) {
        return Some(format!("the answer is '{}'", one_line(content_type)));
    }
    Some(clip(one_line(text).trim_end_matches('.'), 200))
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn a_refusal_ends_by_its_status_and_by_what_the_server_says() {
        for (status, body, exit, passing) in [
            (400, r#"{"error":{"message":"bad temperature"}}"#, 65, false),
            (
                400,
                r#"{"error":{"message":"The model `x` does not exist"}}"#,
                69,
                false,
            ),
            (
                400,
                r#"{"error":{"message":"'max_tokens' is not supported with this model","param":"max_tokens"}}"#,
                65,
                false,
            ),
            (
                400,
                r#"{"error":{"message":"json_schema is not supported by this model"}}"#,
                65,
                false,
            ),
            (
                422,
                r#"{"error":{"message":"no access, or it does not exist","param":"model"}}"#,
                69,
                false,
            ),
            (
                400,
                r#"{"error":{"message":"x/y is not a valid model ID"}}"#,
                69,
                false,
            ),
            (
                400,
                r#"{"error":{"code":"Arrearage","message":"pay"}}"#,
                69,
                false,
            ),
            (401, "", 77, false),
            (403, r#"{"error":{"message":"no"}}"#, 77, false),
            (
                403,
                r#"{"error":{"code":"AllocationQuota.FreeTierOnly","message":"m"}}"#,
                69,
                false,
            ),
            (
                403,
                r#"{"error":{"code":"model_not_found","message":"m"}}"#,
                69,
                false,
            ),
            (402, "", 69, false),
            (404, "", 69, false),
            (408, "", 75, true),
            (409, "", 75, true),
            (413, "", 65, false),
            (429, "", 75, true),
            (429, r#"{"error":{"code":"insufficient_quota"}}"#, 69, false),
            (
                429,
                r#"{"error":{"type":"insufficient_quota","message":"m"}}"#,
                69,
                false,
            ),
            (429, r#"{"error":{"code":"rate_limit_exceeded"}}"#, 75, true),
            (500, "<html>", 75, true),
            (503, r#"{"error":"x"}"#, 75, true),
            (529, "", 75, true),
            (307, "", 76, false),
            (204, "", 76, false),
            (600, "", 76, false),
        ] {
            let refusal = Refusal::read(status, None, body.as_bytes(), None);
            assert_eq!(refusal.failure("s").exit.code(), exit, "{status} {body}");
            assert_eq!(refusal.kind.is_passing(), passing, "{status} {body}");
        }
    }

    #[test]
    fn html_is_named_and_never_shown() {
        for (content_type, body, words) in [
            (
                Some("text/html"),
                "<h1>Bad gateway</h1>",
                "the server failed (502): the answer is an HTML page",
            ),
            (
                None,
                "\n <!DOCTYPE html>",
                "the server failed (502): the answer is an HTML page",
            ),
            (
                Some("text/plain"),
                "oops <b>x</b>",
                "the server failed (502): the answer is 'text/plain'",
            ),
            (
                Some("text/plain"),
                "upstream\x1b[2J is down.\n",
                "the server failed (502): upstream[2J is down",
            ),
            (
                Some("application/json"),
                "{\"half",
                "the server failed (502): the answer is 'application/json'",
            ),
            (None, "", "the server failed (502)"),
            (
                None,
                r#"{"error":{"message":"told"}}"#,
                "the server failed (502): told",
            ),
        ] {
            let refusal = Refusal::read(502, content_type, body.as_bytes(), None);
            assert_eq!(refusal.words(), words, "{body}");
        }
    }
}
