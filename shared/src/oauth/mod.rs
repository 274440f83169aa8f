//! OAuth 2.0 as a public client: device grant (RFC 8628) with PKCE (RFC 7636), refresh (RFC 6749, section 6),
//! discovery (RFC 8414), revocation (RFC 7009).
//!
//! It prints nothing and stores nothing; it reaches servers through a [`Transport`] that is handed to it.

mod token;

use std::time::Duration;

use url::Url;

use crate::http::HttpError;

pub use token::{OauthError, TokenResponse};

/// A whole answer of an authorization server.
#[derive(Debug)]
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
