//! Responses with a status other than 2xx.

use std::time::Duration;

use super::error::{ApiError, ErrorKind};
use crate::exit::Failure;
use crate::text::{clip, one_line};

/// A response with a status other than 2xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What it is about.
    pub kind: ErrorKind,
    /// The error object, when there is one.
    pub error: Option<ApiError>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// Without an error object: a short plain text, or what the body is. Never HTML.
    detail: Option<String>,
}

impl Refusal {
    /// Reads a refusal from its status, content type and body (or the beginning of it).
    #[must_use]
    pub fn read(status: u16, content_type: Option<&str>, body: &[u8], retry_after: Option<Duration>) -> Self {
        let text = String::from_utf8_lossy(body);
        let error = ApiError::parse(&text);
        let detail = if error.is_some() {
            None
        } else {
            describe_body(content_type, &text)
        };
        Self {
            status,
            kind: ErrorKind::classify(Some(status), error.as_ref()),
            error,
            retry_after,
            detail,
        }
    }

    /// Reads a redirect.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self {
            status,
            kind: ErrorKind::Redirect,
            error: None,
            retry_after: None,
            detail: Some(format!("to '{}'", clip(&one_line(location), 200))),
        }
    }

    /// Returns what happened, on one line: `too many requests (429): …`.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut words = format!("{} ({})", self.kind.describe(), self.status);
        if let Some(error) = &self.error {
            words.push_str(": ");
            words.push_str(&error.describe());
        } else if let Some(detail) = &self.detail {
            words.push_str(if self.kind == ErrorKind::Redirect {
                " "
            } else {
                ": "
            });
            words.push_str(detail);
        }
        words
    }

    /// Turns it into a failure that names the server. Hints that depend on the settings are the caller's.
    #[must_use]
    pub fn failure(&self, server: &str) -> Failure {
        let failure = Failure::new(self.kind.exit(), format!("'{server}': {}", self.describe()));
        match self.kind {
            ErrorKind::Redirect => failure.hint("check the base URL; the key goes nowhere else than there"),
            _ => failure,
        }
    }
}

/// Describes a body without an error object: nothing for an empty one, a short plain text itself, else its
/// content type. A page of HTML is named, never shown.
fn describe_body(content_type: Option<&str>, text: &str) -> Option<String> {
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
        for (status, body, exit, transient) in [
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
            assert_eq!(refusal.kind.is_transient(), transient, "{status} {body}");
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
            assert_eq!(refusal.describe(), words, "{body}");
        }
    }
}
