//! Error responses of an authorization server.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::transport::HttpResponse;
use crate::exit::{Exit, Failure};
use crate::net::http::HttpError;
use crate::secret::Secret;
use crate::text::clip;

/// Why a request to an authorization server failed.
#[derive(Debug)]
pub enum OauthError {
    /// An error response (RFC 6749, section 5.2; RFC 8628, section 3.5), whatever the status.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `error` as sent; `status 401` for a 401 without one.
        code: String,
        /// The `error_description` as sent.
        description: Option<String>,
    },
    /// A 408, 429 or 5xx without a standard error code.
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`.
        retry_after: Option<Duration>,
        /// The server's own `error` and `error_description`, as sent.
        error: Option<(String, Option<String>)>,
    },
    /// A response that is neither a success nor an error. The reason never quotes the body.
    Malformed(String),
    /// The device code expired before it was approved.
    Expired,
    /// There was no complete response.
    Http(HttpError),
}

impl OauthError {
    /// Reads a response that is not a success.
    #[must_use]
    pub fn from_response(response: &HttpResponse) -> Self {
        let body: Map<String, Value> = serde_json::from_slice(&response.body).unwrap_or_default();
        let text = |name: &str| {
            body.get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let status = response.status;
        let is_busy = matches!(status, 408 | 429 | 500..);
        match (text("error"), status) {
            (Some(code), _) if is_server_failure(&code) || (is_busy && !is_standard(&code)) => {
                Self::Unavailable {
                    status,
                    retry_after: response.retry_after,
                    error: Some((code, text("error_description"))),
                }
            }
            (Some(code), _) => Self::Refused {
                status,
                code,
                description: text("error_description"),
            },
            (None, _) if is_busy => Self::unavailable(response),
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

    pub(super) const fn unavailable(response: &HttpResponse) -> Self {
        Self::Unavailable {
            status: response.status,
            retry_after: response.retry_after,
            error: None,
        }
    }

    /// Removes a token from the description: some servers repeat what they were sent.
    #[must_use]
    pub fn without(mut self, token: &Secret<String>) -> Self {
        if let Self::Refused {
            description: Some(text),
            ..
        } = &mut self
            && !token.expose().is_empty()
        {
            *text = text.replace(token.expose().as_str(), "***");
        }
        self
    }

    /// Returns the exit code for it.
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
            Self::Unavailable { .. } => Exit::TryAgain,
            Self::Malformed(_) => Exit::Protocol,
            Self::Expired => Exit::NoAuth,
            Self::Http(error) => error.exit(),
        }
    }

    /// Returns the failure, which names the server.
    #[must_use]
    pub fn failure(&self, server: &str) -> Failure {
        match self {
            // A timeout has a hint about flags, which do not apply here.
            Self::Http(error) if !matches!(error, HttpError::Timeout(..)) => error.failure(server),
            other => {
                let failure = Failure::new(other.exit(), format!("'{server}': {other}"));
                match other {
                    Self::Refused { .. } if failure.exit == Exit::Config => {
                        failure.hint("check \"client_id\" and \"scope\" of the profile's \"oauth\"")
                    }
                    _ => failure,
                }
            }
        }
    }
}

/// True for the codes of RFC 6749, section 4.1.2.1, that stand for a 5xx.
fn is_server_failure(code: &str) -> bool {
    matches!(code, "temporarily_unavailable" | "server_error")
}

/// True for the codes of RFC 6749, section 5.2, and RFC 8628, section 3.5. They count whatever the status, as with
/// Qwen's `slow_down` on 429; any other code on a 408, 429 or 5xx is a failure of the server.
fn is_standard(code: &str) -> bool {
    matches!(
        code,
        "invalid_request"
            | "invalid_client"
            | "invalid_grant"
            | "unauthorized_client"
            | "unsupported_grant_type"
            | "invalid_scope"
            | "authorization_pending"
            | "slow_down"
            | "access_denied"
            | "expired_token"
    )
}

fn describe(code: &str, description: Option<&str>) -> String {
    match description.map(printable).filter(|text| !text.is_empty()) {
        Some(text) => format!("{}: {text}", printable(code)),
        None => printable(code),
    }
}

/// Drops what `error` and `error_description` must not contain (RFC 6749, section 5.2): all but printable ASCII, double
/// quotes and backslashes.
fn printable(text: &str) -> String {
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
            } => f.write_str(&describe(code, description.as_deref())),
            Self::Unavailable {
                status,
                retry_after,
                error,
            } => {
                write!(f, "the server responded with status {status}")?;
                if let Some((code, description)) = error {
                    write!(f, ", {}", describe(code, description.as_deref()))?;
                }
                match retry_after {
                    Some(wait) => write!(f, " and asks to retry after {} s", wait.as_secs()),
                    None => Ok(()),
                }
            }
            Self::Malformed(reason) => write!(f, "invalid OAuth response: {reason}"),
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
    use crate::net::oauth::HttpResponse;

    fn read(status: u16, body: &str) -> OauthError {
        OauthError::from_response(&HttpResponse {
            status,
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
                "invalid OAuth response: status 400 without an error code",
                Exit::Protocol,
            ),
            (
                404,
                "",
                "invalid OAuth response: status 404 without an error code",
                Exit::Protocol,
            ),
            (
                307,
                "",
                "invalid OAuth response: a redirect (status 307), which is not followed",
                Exit::Protocol,
            ),
            (
                502,
                "<html>bad gateway</html>",
                "the server responded with status 502",
                Exit::TryAgain,
            ),
            (
                503,
                r#"{"error":"temporarily_unavailable"}"#,
                "the server responded with status 503, temporarily_unavailable",
                Exit::TryAgain,
            ),
            (
                500,
                r#"{"error":"internal_error","error_description":"see log 7"}"#,
                "the server responded with status 500, internal_error: see log 7",
                Exit::TryAgain,
            ),
            (
                429,
                r#"{"error":"too_many_requests"}"#,
                "the server responded with status 429, too_many_requests",
                Exit::TryAgain,
            ),
            (429, r#"{"error":"slow_down"}"#, "slow_down", Exit::TryAgain),
            (500, r#"{"error":"access_denied"}"#, "access_denied", Exit::NoAuth),
            (429, "", "the server responded with status 429", Exit::TryAgain),
            (408, "", "the server responded with status 408", Exit::TryAgain),
            (
                400,
                r#"{"error":{"message":"x"}}"#,
                "invalid OAuth response: status 400 without an error code",
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
