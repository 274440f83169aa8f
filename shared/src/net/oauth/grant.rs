//! Token requests: refresh (RFC 6749 §6) and revocation (RFC 7009).

use zeroize::Zeroizing;

use super::Transport;
use super::endpoints::{Endpoints, PublicClient};
use super::error::OauthError;
use super::token::TokenResponse;
use crate::secret::Secret;

/// Exchanges a refresh token for a new access token (RFC 6749, section 6).
///
/// The refresh token may be good for one use only (RFC 9700, section 2.2.2): store the answer before anything else is
/// done with it, and never repeat a refresh whose answer was lost without reading the store again.
///
/// # Errors
/// As [`TokenResponse::parse`], and [`OauthError::Http`] without an answer.
pub fn refresh(
    transport: &dyn Transport,
    endpoints: &Endpoints,
    client: &PublicClient,
    refresh_token: &Secret<String>,
) -> Result<TokenResponse, OauthError> {
    let form = Form::default()
        .field("grant_type", "refresh_token")
        .field("refresh_token", refresh_token.expose())
        .field("client_id", &client.client_id);
    let answer = transport
        .post_form(&endpoints.token_endpoint, &[], form.as_str())
        .map_err(OauthError::Http)?;
    TokenResponse::parse(&answer).map_err(|error| match error {
        // Qwen's server may refuse a spent token with a page (facts: Qwen Code, section 2).
        OauthError::Malformed(_) if answer.status == 400 => OauthError::Refused {
            status: answer.status,
            code: "status 400".to_owned(),
            description: None,
        },
        other => without(other, refresh_token),
    })
}

/// Takes a token out of the server's words: some repeat what they were sent.
fn without(error: OauthError, token: &Secret<String>) -> OauthError {
    match error {
        OauthError::Refused {
            status,
            code,
            description: Some(text),
        } if !token.expose().is_empty() => OauthError::Refused {
            status,
            code,
            description: Some(text.replace(token.expose().as_str(), "***")),
        },
        other => other,
    }
}

/// Which token is being revoked (RFC 7009, section 2.1). Revoke the refresh token first: it takes its access tokens
/// along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A refresh token.
    Refresh,
    /// An access token.
    Access,
}

/// What came of a revocation that the server did not refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The token is of no use any more; the server says so for a token that it never knew, too (RFC 7009, 2.2).
    Done,
    /// The server has no revocation endpoint.
    NoEndpoint,
}

/// Revokes a token (RFC 7009).
///
/// # Errors
/// [`OauthError::Unwell`] for a 503, perhaps with the time to come back (section 2.2.1); otherwise what the server
/// said, or [`OauthError::Http`] without an answer. The token must then be taken for alive.
pub fn revoke(
    transport: &dyn Transport,
    endpoints: &Endpoints,
    client: &PublicClient,
    kind: TokenKind,
    token: &Secret<String>,
) -> Result<Revoked, OauthError> {
    let Some(url) = &endpoints.revocation_endpoint else {
        return Ok(Revoked::NoEndpoint);
    };
    let form = Form::default()
        .field("token", token.expose())
        .field(
            "token_type_hint",
            match kind {
                TokenKind::Refresh => "refresh_token",
                TokenKind::Access => "access_token",
            },
        )
        .field("client_id", &client.client_id);
    let answer = transport
        .post_form(url, &[], form.as_str())
        .map_err(OauthError::Http)?;
    match answer.status {
        200..300 => Ok(Revoked::Done),
        _ => Err(without(OauthError::from_answer(&answer), token)),
    }
}

/// A body of type `application/x-www-form-urlencoded` that is being written, its fields in the order they are added.
///
/// The encoding is that of JavaScript's `encodeURIComponent`: a blank is `%20`, never `+`, and `! ' ( ) * ~ - _ .`
/// stay as they are. Every server decodes it (RFC 6749, appendix B), and Qwen's has never seen another form. The
/// memory is zeroed when dropped, since the fields hold codes and tokens.
#[derive(Default)]
pub struct Form(Zeroizing<String>);

impl Form {
    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        encode(name, &mut self.0);
        self.0.push('=');
        encode(value, &mut self.0);
        self
    }

    /// Adds a field if there is a value for it.
    #[must_use]
    pub fn optional(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Returns the body so far.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn encode(text: &str, into: &mut String) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push(HEX[usize::from(byte >> 4)]);
            into.push(HEX[usize::from(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn values_are_encoded_as_javascript_does() {
        for (raw, encoded) in [
            ("", ""),
            ("openid profile", "openid%20profile"),
            ("urn:ietf:params", "urn%3Aietf%3Aparams"),
            ("a-_.!~*'()z", "a-_.!~*'()z"),
            ("a+b&c=d/e?f", "a%2Bb%26c%3Dd%2Fe%3Ff"),
            ("ü漢🎉", "%C3%BC%E6%BC%A2%F0%9F%8E%89"),
            ("\n\0%", "%0A%00%25"),
        ] {
            assert_eq!(Form::default().field("k", raw).as_str(), format!("k={encoded}"));
        }
    }

    #[test]
    fn fields_keep_their_order_and_absent_ones_leave_no_trace() {
        let form = Form::default()
            .field("b", "1")
            .optional("x", None)
            .optional("a", Some("2"));
        assert_eq!(form.as_str(), "b=1&a=2");
    }
}
