//! The refresh request (RFC 6749, section 6), and the body of such requests.

use std::collections::BTreeMap;

use url::Url;
use zeroize::Zeroizing;

use super::endpoints::PublicClient;
use super::error::OauthError;
use super::token::TokenResponse;
use super::transport::Transport;
use crate::secret::Secret;

/// Requests a new access token.
///
/// A refresh token may be good for one use only (RFC 9700, section 2.2.2): store the response before anything else,
/// and never repeat a request whose response was lost without reading the store again.
///
/// # Errors
/// As [`TokenResponse::parse`], and [`OauthError::Http`].
pub fn refresh(
    transport: &dyn Transport,
    token_endpoint: &Url,
    client: &PublicClient,
    refresh_token: &Secret<String>,
) -> Result<TokenResponse, OauthError> {
    let form = Form::default()
        .field("grant_type", "refresh_token")
        .field("refresh_token", refresh_token.expose())
        .field("client_id", &client.client_id)
        .fields(&client.parameters);
    let response = transport
        .post_form(token_endpoint, &[], form.as_str())
        .map_err(OauthError::Http)?;
    TokenResponse::parse(&response).map_err(|error| match error {
        // Qwen's server has refused a used refresh token with an HTML page.
        OauthError::Refused {
            status: 400,
            code: None,
            description,
        } => OauthError::Refused {
            status: 400,
            code: Some("status 400".to_owned()),
            description,
        }
        .without(refresh_token),
        other => other.without(refresh_token),
    })
}

/// An `application/x-www-form-urlencoded` body, its fields in the order they are added.
///
/// The encoding is that of JavaScript's `encodeURIComponent`, which Qwen Code uses: a space is `%20`, not `+`, and
/// `! ' ( ) * ~ - _ .` stay. The memory is zeroed when dropped.
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

    /// Adds a field that may be unset.
    #[must_use]
    pub fn optional(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Adds fields in the order of their names.
    #[must_use]
    pub fn fields(self, fields: &BTreeMap<String, String>) -> Self {
        fields
            .iter()
            .fold(self, |form, (name, value)| form.field(name, value))
    }

    /// Returns the body.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn encode(text: &str, into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push(char::from(HEX[usize::from(byte >> 4)]));
            into.push(char::from(HEX[usize::from(byte & 15)]));
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
