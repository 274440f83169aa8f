//! Who we are to an authorization server, and where its endpoints are.

use url::Url;

use crate::failure::Failure;
use crate::http::check_endpoint;

/// A public client: it has an id and no secret, for a program that everybody has cannot keep one (RFC 8252, section
/// 8.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicClient {
    /// The registered id.
    pub client_id: String,
    /// The scope to ask for, words separated by one blank; empty to leave it to the server.
    pub scope: String,
    /// True to send a PKCE challenge with the device request and its verifier with each poll.
    pub pkce: bool,
}

impl PublicClient {
    /// Returns the scope, if there is one to ask for.
    pub(super) fn asked_scope(&self) -> Option<&str> {
        Some(self.scope.trim()).filter(|scope| !scope.is_empty())
    }
}

/// The endpoints of an authorization server that the device flow needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where a login begins (RFC 8628, section 3.1).
    pub device_authorization_endpoint: Url,
    /// Where tokens come from (RFC 6749, section 3.2).
    pub token_endpoint: Url,
    /// Where tokens are revoked (RFC 7009); many servers have none.
    pub revocation_endpoint: Option<Url>,
}

impl Endpoints {
    /// Refuses endpoints to which no secret may go, as [`check_endpoint`] does: RFC 8628, section 3.1, and RFC 6749,
    /// section 3.2, demand TLS.
    ///
    /// # Errors
    /// Exit 78.
    pub fn check(&self, allow_http: bool) -> Result<(), Failure> {
        check_endpoint(&self.device_authorization_endpoint, allow_http)?;
        check_endpoint(&self.token_endpoint, allow_http)?;
        match &self.revocation_endpoint {
            Some(url) => check_endpoint(url, allow_http),
            None => Ok(()),
        }
    }
}
