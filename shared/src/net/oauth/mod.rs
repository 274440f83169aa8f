//! OAuth 2.0 as a public client: device grant (RFC 8628) with PKCE (RFC 7636), refresh (RFC 6749, section 6),
//! discovery (RFC 8414), revocation (RFC 7009).
//!
//! It prints nothing and stores nothing; it reaches servers through a [`Transport`] that is handed to it, which is
//! [`Blocking`] outside tests.

mod blocking;
mod endpoints;
mod error;
mod grant;
mod resource;
mod token;

pub use blocking::Blocking;
pub use endpoints::{Endpoints, PublicClient, discover};
pub use error::OauthError;
pub use grant::{Form, Revoked, TokenKind, refresh, revoke};
pub use resource::{ResourceError, base_url_from_resource, is_allowed};
pub use token::{TokenResponse, seconds};

use std::fmt;
use std::time::{Duration, SystemTime};

use url::Url;

use super::http::HttpError;

/// A whole answer of an authorization server.
#[derive(Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type` header as it came.
    pub content_type: Option<String>,
    /// `Retry-After`, where it gives seconds.
    pub retry_after: Option<Duration>,
    /// The `Date` header as it came: what the server's clock says.
    pub date: Option<String>,
    /// The body. It may hold tokens: it is never shown.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns what the server's clock says, from its `Date` header (RFC 9110, section 6.6.1).
    #[must_use]
    pub fn server_time(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.date.as_deref()?.trim()).ok()
    }
}

/// Shows the length of the body in its place.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("retry_after", &self.retry_after)
            .field("date", &self.date)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}

/// How requests reach an authorization server. Redirects are not followed (RFC 9700, section 4.12).
pub trait Transport {
    /// Posts a form that is already encoded.
    ///
    /// # Errors
    /// Everything that is not an HTTP answer; any status is an answer.
    fn post_form(&self, url: &Url, headers: &[(&str, &str)], form: &str) -> Result<Answer, HttpError>;

    /// Gets a document.
    ///
    /// # Errors
    /// As [`Transport::post_form`].
    fn fetch(&self, url: &Url) -> Result<Answer, HttpError>;
}
