//! Why an authorization server gave nothing.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Answer;
use crate::exit::{Exit, Failure};
use crate::net::http::HttpError;
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
    /// A 5xx, 429 or 408 without a code of the standards: the server is not well.
    Unwell {
        /// The HTTP status.
        status: u16,
        /// When to come back, where the server said.
        retry_after: Option<Duration>,
        /// Its own `error` and `error_description`, as they came.
        said: Option<(String, Option<String>)>,
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
    pub fn from_answer(answer: &Answer) -> Self {
        let body: Map<String, Value> = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |name: &str| {
            body.get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let status = answer.status;
        let is_busy = matches!(status, 408 | 429 | 500..);
        match (text("error"), status) {
            (Some(code), _) if is_passing(&code) || (is_busy && !is_standard(&code)) => Self::Unwell {
                status,
                retry_after: answer.retry_after,
                said: Some((code, text("error_description"))),
            },
            (Some(code), _) => Self::Refused {
                status,
                code,
                description: text("error_description"),
            },
            (None, _) if is_busy => Self::unwell(answer),
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
            said: None,
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

/// True for the codes by which a server says that it is not well.
fn is_passing(code: &str) -> bool {
    matches!(code, "temporarily_unavailable" | "server_error")
}

/// True for the codes of RFC 6749, section 5.2, and RFC 8628, section 3.5: they mean what they say on every status, as
/// Qwen's `slow_down` on 429 does. Any other code on a status that may pass is the server's trouble, not an answer.
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

/// Puts a code and its description together, as far as they may be shown.
fn shown(code: &str, description: Option<&str>) -> String {
    match description.map(allowed).filter(|text| !text.is_empty()) {
        Some(text) => format!("{}: {text}", allowed(code)),
        None => allowed(code),
    }
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
            } => f.write_str(&shown(code, description.as_deref())),
            Self::Unwell {
                status,
                retry_after,
                said,
            } => {
                write!(f, "the server answers with status {status}")?;
                if let Some((code, description)) = said {
                    write!(f, ", {}", shown(code, description.as_deref()))?;
                }
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
mod tests;
