//! Why an authorization server gave nothing.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Answer;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::http::HttpError;
use crate::text::clip;

/// Why a request to an authorization server gave no token.
#[derive(Debug)]
pub enum OauthError {
    /// An error answer with a code (RFC 6749, section 5.2; RFC 8628, section 3.5), on any status.
    Refused {
        /// The HTTP status it came with.
        status: u16,
        /// The `error` code as it came; `status 401` where a 401 has none.
        code: String,
        /// The `error_description`, as it came.
        description: Option<String>,
    },
    /// A 5xx, 429 or 408 without a code that says more: the server is not well.
    Unwell {
        /// The HTTP status.
        status: u16,
        /// When to come back, where the server said.
        retry_after: Option<Duration>,
    },
    /// An answer that is neither: HTML, a missing member, a wrong type. Says which, never quotes the body.
    Malformed(String),
    /// The device code's time ran out before anybody approved it.
    Expired,
    /// No answer.
    Http(HttpError),
}

impl OauthError {
    /// Reads an answer that is no success.
    pub(super) fn from_answer(answer: &Answer) -> Self {
        let body: Map<String, Value> = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |name: &str| {
            body.get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let status = answer.status;
        match (text("error"), status) {
            (Some(code), _) if is_passing(&code) => Self::unwell(answer),
            (Some(code), _) => Self::Refused {
                status,
                code,
                description: text("error_description"),
            },
            (None, 408 | 429 | 500..) => Self::unwell(answer),
            (None, 401) => Self::Refused {
                status,
                code: "status 401".to_owned(),
                description: None,
            },
            (None, 300..=399) => {
                Self::Malformed(format!("a redirect (status {status}), which is not followed"))
            }
            (None, _) => Self::Malformed(format!("status {status} without an error code")),
        }
    }

    pub(super) const fn unwell(answer: &Answer) -> Self {
        Self::Unwell {
            status: answer.status,
            retry_after: answer.retry_after,
        }
    }

    /// True when the same request may succeed later, and nothing says that the credential is bad.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unwell { .. } | Self::Http(_))
    }

    /// Returns how a program ends because of it, where nothing else is known.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused { code, .. } => match code.as_str() {
                "invalid_client" | "unauthorized_client" | "unsupported_grant_type" | "invalid_scope" => {
                    Exit::Config
                }
                "slow_down" => Exit::TryAgain,
                _ => Exit::NoAuth,
            },
            Self::Unwell { .. } => Exit::TryAgain,
            Self::Malformed(_) => Exit::Protocol,
            Self::Expired => Exit::NoAuth,
            Self::Http(error) => error.exit(),
        }
    }

    /// Lifts it into a failure that names the server.
    #[must_use]
    pub fn failure(&self, server: &str) -> Failure {
        match self {
            // No flag raises the limits of these requests.
            Self::Http(error) if !matches!(error, HttpError::Timeout(..)) => error.failure(server),
            other => Failure::new(other.exit(), format!("'{server}': {other}")),
        }
    }
}

/// True for the codes by which a server says that it is not well.
fn is_passing(code: &str) -> bool {
    matches!(code, "temporarily_unavailable" | "server_error")
}

/// Keeps what `error` and `error_description` may hold (RFC 6749, section 5.2): printable ASCII without the double
/// quote and the backslash; and no more of it than a person reads.
fn allowed(text: &str) -> String {
    let kept: String = text
        .chars()
        .filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'))
        .collect();
    clip(kept.trim(), 300)
}

impl fmt::Display for OauthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused {
                code, description, ..
            } => match description
                .as_deref()
                .map(allowed)
                .filter(|text| !text.is_empty())
            {
                Some(text) => write!(f, "{}: {text}", allowed(code)),
                None => f.write_str(&allowed(code)),
            },
            Self::Unwell { status, retry_after } => {
                write!(f, "the server answers with status {status}")?;
                match retry_after {
                    Some(wait) => write!(f, " and asks to wait {} s", wait.as_secs()),
                    None => Ok(()),
                }
            }
            Self::Malformed(reason) => write!(f, "the server's answer is not what OAuth says: {reason}"),
            Self::Expired => f.write_str("the code expired before it was approved"),
            Self::Http(error) => error.fmt(f),
        }
    }
}

impl Error for OauthError {}

#[cfg(test)]
mod tests {
    use super::OauthError;
    use crate::exit::Exit;
    use crate::oauth::Answer;

    fn read(status: u16, body: &str) -> OauthError {
        OauthError::from_answer(&Answer {
            status,
            content_type: None,
            retry_after: None,
            date: None,
            body: body.as_bytes().to_vec(),
        })
    }

    #[test]
    fn errors_are_read_on_every_status_and_end_as_they_should() {
        for (status, body, shown, exit) in [
            (
                400,
                r#"{"error":"invalid_grant","error_description":"gone"}"#,
                "invalid_grant: gone",
                Exit::NoAuth,
            ),
            (
                401,
                r#"{"error":"invalid_client"}"#,
                "invalid_client",
                Exit::Config,
            ),
            (
                400,
                r#"{"error":"unauthorized_client"}"#,
                "unauthorized_client",
                Exit::Config,
            ),
            (
                400,
                r#"{"error":"unsupported_grant_type"}"#,
                "unsupported_grant_type",
                Exit::Config,
            ),
            (
                400,
                r#"{"error":"access_denied","error_description":null}"#,
                "access_denied",
                Exit::NoAuth,
            ),
            (
                418,
                r#"{"error":"teapot","error_description":7}"#,
                "teapot",
                Exit::NoAuth,
            ),
            (401, "<html>", "status 401", Exit::NoAuth),
            (
                400,
                "<html>",
                "the server's answer is not what OAuth says: status 400 without an error code",
                Exit::Protocol,
            ),
            (
                404,
                "",
                "the server's answer is not what OAuth says: status 404 without an error code",
                Exit::Protocol,
            ),
            (
                307,
                "",
                "the server's answer is not what OAuth says: a redirect (status 307), which is not followed",
                Exit::Protocol,
            ),
            (
                502,
                "<html>bad gateway</html>",
                "the server answers with status 502",
                Exit::TryAgain,
            ),
            (
                503,
                r#"{"error":"temporarily_unavailable"}"#,
                "the server answers with status 503",
                Exit::TryAgain,
            ),
            (429, "", "the server answers with status 429", Exit::TryAgain),
            (408, "", "the server answers with status 408", Exit::TryAgain),
            (
                400,
                r#"{"error":{"message":"x"}}"#,
                "the server's answer is not what OAuth says: status 400 without an error code",
                Exit::Protocol,
            ),
        ] {
            let error = read(status, body);
            assert_eq!(
                (error.to_string().as_str(), error.exit()),
                (shown, exit),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn descriptions_show_only_what_the_standard_allows() {
        let hostile = "a\u{1b}]52;c;AA\u{7}b\u{202e}c \\\"d\u{9b}31m ü";
        let body = serde_json::json!({"error": "x\u{1b}[2J", "error_description": hostile}).to_string();
        assert_eq!(read(400, &body).to_string(), "x[2J: a]52;c;AAbc d31m");
        let body = serde_json::json!({"error": "x", "error_description": "y".repeat(5000)}).to_string();
        assert!(read(400, &body).to_string().len() < 400);
    }
}
