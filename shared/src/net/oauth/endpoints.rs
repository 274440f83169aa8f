//! An authorization server's endpoints: configured, or discovered by RFC 8414.

use serde_json::{Map, Value};
use url::Url;

use super::error::OauthError;
use super::{Answer, Transport};
use crate::exit::{Exit, Failure};
use crate::net::http::check_endpoint;
use crate::provider::OauthSettings;
use crate::text::clip;

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
    /// Returns the client that `settings` describe. PKCE is on unless they say otherwise.
    ///
    /// # Errors
    /// Exit 78 when they name no client.
    pub fn of(settings: &OauthSettings) -> Result<Self, Failure> {
        let client_id = settings.client_id.as_deref().unwrap_or_default().trim();
        if client_id.is_empty() {
            return Err(Failure::new(
                Exit::Config,
                "the profile's 'oauth' has no 'client_id'",
            ));
        }
        Ok(Self {
            client_id: client_id.to_owned(),
            scope: settings.scope.clone().unwrap_or_default(),
            pkce: settings.pkce.unwrap_or(true),
        })
    }

    /// Returns the scope, if there is one to ask for.
    pub fn asked_scope(&self) -> Option<&str> {
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
    /// Returns the endpoints that `settings` name, discovering those that only the issuer can tell. What is written
    /// out goes before what is discovered. Without an issuer no request is made.
    ///
    /// # Errors
    /// 78 when the settings are incomplete, or name an endpoint to which no secret may go; otherwise as [`discover`].
    pub fn resolve(
        transport: &dyn Transport,
        settings: &OauthSettings,
        allow_http: bool,
    ) -> Result<Self, Failure> {
        let written = (
            settings.device_authorization_endpoint.clone(),
            settings.token_endpoint.clone(),
        );
        let endpoints = match (written, settings.issuer.as_deref()) {
            ((Some(device_authorization_endpoint), Some(token_endpoint)), _) => Self {
                device_authorization_endpoint,
                token_endpoint,
                revocation_endpoint: settings.revocation_endpoint.clone(),
            },
            ((None, _), None) => return Err(incomplete("device_authorization_endpoint")),
            ((_, None), None) => return Err(incomplete("token_endpoint")),
            ((device, token), Some(issuer)) => {
                let url = issuer_url(issuer).map_err(|error| match error {
                    OauthError::Malformed(reason) => {
                        Failure::new(Exit::Config, format!("'{}': {reason}", clip(issuer, 80)))
                    }
                    other => other.failure(issuer),
                })?;
                check_endpoint(&url, allow_http)?;
                let found = discover(transport, issuer).map_err(|error| error.failure(issuer))?;
                Self {
                    device_authorization_endpoint: device.unwrap_or(found.device_authorization_endpoint),
                    token_endpoint: token.unwrap_or(found.token_endpoint),
                    revocation_endpoint: settings.revocation_endpoint.clone().or(found.revocation_endpoint),
                }
            }
        };
        endpoints.check(allow_http)?;
        Ok(endpoints)
    }

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

fn incomplete(member: &str) -> Failure {
    Failure::new(
        Exit::Config,
        format!("the profile's 'oauth' names neither an 'issuer' nor a '{member}'"),
    )
}

/// Finds the endpoints of `issuer`.
///
/// The document of RFC 8414 is asked for first; where the server has none (a 4xx, or something that is not JSON), the
/// two places of OpenID Connect Discovery that RFC 8414, section 5, names. The document's `issuer` must be the one
/// that was asked for, character by character (section 3.3), or anybody's document would do.
///
/// The endpoints come as the document has them: what may be sent there is for [`Endpoints::check`].
///
/// # Errors
/// [`OauthError::Malformed`] for an issuer that is none, a document of another issuer, or one without a device flow;
/// [`OauthError::Http`] and [`OauthError::Unwell`] for a server that cannot be reached or is not well.
pub fn discover(transport: &dyn Transport, issuer: &str) -> Result<Endpoints, OauthError> {
    let base = issuer_url(issuer)?;
    let path = base.path().trim_end_matches('/').to_owned();
    let mut last = malformed("no metadata document");
    for place in [
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("{path}/.well-known/openid-configuration"),
        format!("/.well-known/openid-configuration{path}"),
    ] {
        let mut url = base.clone();
        url.set_path(&place);
        match document(&transport.fetch(&url).map_err(OauthError::Http)?) {
            Ok(document) => return endpoints(&document, issuer),
            Err(error @ OauthError::Unwell { .. }) => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Reads an issuer identifier: a URL without query and fragment (RFC 8414, section 2).
pub(super) fn issuer_url(issuer: &str) -> Result<Url, OauthError> {
    let url = Url::parse(issuer).map_err(|error| malformed(&format!("the issuer is no URL: {error}")))?;
    if url.query().is_some() || url.fragment().is_some() || !url.has_host() {
        return Err(malformed("the issuer has a query or fragment, or no host"));
    }
    Ok(url)
}

fn document(answer: &Answer) -> Result<Map<String, Value>, OauthError> {
    match answer.status {
        200 => serde_json::from_slice(&answer.body)
            .map_err(|_| malformed("the metadata document is no JSON object")),
        408 | 429 | 500.. => Err(OauthError::unwell(answer)),
        status => Err(malformed(&format!(
            "no metadata document, the server answers with status {status}"
        ))),
    }
}

fn endpoints(document: &Map<String, Value>, issuer: &str) -> Result<Endpoints, OauthError> {
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(malformed("the metadata document is of another issuer"));
    }
    let url = |name: &str| {
        let text = match document.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value.as_str().and_then(|text| Url::parse(text).ok()),
        };
        text.map(Some)
            .ok_or_else(|| malformed(&format!("'{name}' of the metadata document is no URL")))
    };
    let required =
        |name: &str| url(name)?.ok_or_else(|| malformed(&format!("the metadata document has no '{name}'")));
    Ok(Endpoints {
        device_authorization_endpoint: required("device_authorization_endpoint")?,
        token_endpoint: required("token_endpoint")?,
        revocation_endpoint: url("revocation_endpoint")?,
    })
}

fn malformed(reason: &str) -> OauthError {
    OauthError::Malformed(reason.to_owned())
}
