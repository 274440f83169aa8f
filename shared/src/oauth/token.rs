//! The token endpoint's answers.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::exit::Exit;
use crate::http::HttpError;
use crate::secret::Secret;

/// A successful answer of the token endpoint (RFC 6749, section 5.1).
#[derive(Debug)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: Secret<String>,
    /// The refresh token; absent means the old one goes on (RFC 6749, section 6).
    pub refresh_token: Option<Secret<String>>,
    /// The token type, as it came; compared without case, and always `Bearer` in some case.
    pub token_type: String,
    /// The lifetime; `None` when the server did not say, which is not the same as expired.
    pub expires_in: Option<Duration>,
    /// The scope that was granted, where the server said.
    pub scope: Option<String>,
    /// Qwen's own member: the host that takes this token. Untrusted input; absent means the old one goes on.
    pub resource_url: Option<String>,
    /// Members that we do not know, kept for the file.
    pub extra: Map<String, Value>,
}

/// Why a request to an authorization server gave no token.
#[derive(Debug)]
pub enum OauthError {
    /// An error answer with a code (RFC 6749, section 5.2; RFC 8628, section 3.5).
    Refused {
        /// The HTTP status it came with.
        status: u16,
        /// The `error` code as it came.
        code: String,
        /// The `error_description`, as it came.
        description: Option<String>,
    },
    /// A 5xx or 429 without a code: the server is not well.
    Unwell {
        /// The HTTP status.
        status: u16,
    },
    /// An answer that is neither: HTML, a missing member, a wrong type. Says which, never quotes the body.
    Malformed(String),
    /// No answer.
    Http(HttpError),
}

impl OauthError {
    /// True when the server says that the grant is spent: `invalid_grant`, or Qwen's `invalid_request` on refresh.
    #[must_use]
    pub fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "invalid_grant")
    }

    /// Returns how a program ends because of it, where nothing else is known.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused { code, .. } => match code.as_str() {
                "invalid_client" | "unauthorized_client" | "unsupported_grant_type" | "invalid_scope" => {
                    Exit::Config
                }
                "temporarily_unavailable" | "server_error" | "slow_down" => Exit::TryAgain,
                _ => Exit::NoAuth,
            },
            Self::Unwell { .. } => Exit::TryAgain,
            Self::Malformed(_) => Exit::Protocol,
            Self::Http(error) => error.exit(),
        }
    }
}

impl fmt::Display for OauthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused {
                code, description, ..
            } => match description {
                Some(text) => write!(f, "{code}: {text}"),
                None => f.write_str(code),
            },
            Self::Unwell { status } => write!(f, "the server answers with status {status}"),
            Self::Malformed(reason) => write!(f, "the server's answer is not what OAuth says: {reason}"),
            Self::Http(error) => error.fmt(f),
        }
    }
}

impl Error for OauthError {}
