//! The endpoints of an authorization server, configured or discovered (RFC 8414).

use serde_json::{Map, Value};
use url::Url;

use super::error::OauthError;
use super::transport::{HttpResponse, Transport};
use crate::exit::{Exit, Failure};
use crate::net::http::check_endpoint;
use crate::provider::OauthSettings;
use crate::text::clip;

/// A client without a secret, as a program in everybody's hands could not keep one (RFC 8252, section 8.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicClient {
    /// The registered ID.
    pub client_id: String,
    /// The scope to request; `None` to leave it to the server.
    pub scope: Option<String>,
    /// True to use PKCE (RFC 7636).
    pub pkce: bool,
}

impl PublicClient {
    /// Returns the client of `settings`.
    ///
    /// # Errors
    /// 78 without a client ID.
    pub fn from_settings(settings: &OauthSettings) -> Result<Self, Failure> {
        let client_id = settings.client_id.as_deref().unwrap_or_default().trim();
        if client_id.is_empty() {
            return Err(Failure::new(
                Exit::Config,
                "the profile's 'oauth' has no 'client_id'",
            ));
        }
        Ok(Self {
            client_id: client_id.to_owned(),
            scope: settings
                .scope
                .as_deref()
                .map(str::trim)
                .filter(|scope| !scope.is_empty())
                .map(str::to_owned),
            pkce: settings.pkce.unwrap_or(true),
        })
    }
}

/// The endpoints of an authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// RFC 8628, section 3.1.
    pub device_authorization_endpoint: Url,
    /// RFC 6749, section 3.2.
    pub token_endpoint: Url,
    /// RFC 7009, section 2; many servers have none.
    pub revocation_endpoint: Option<Url>,
}

impl Endpoints {
    /// Returns the endpoints of `settings`, and discovers those that are missing if there is an issuer.
    ///
    /// # Errors
    /// 78 when the settings are incomplete, or as [`Endpoints::check`]; otherwise as [`discover`].
    pub fn resolve(
        transport: &dyn Transport,
        settings: &OauthSettings,
        allow_http: bool,
    ) -> Result<Self, Failure> {
        let configured = (
            settings.device_authorization_endpoint.clone(),
            settings.token_endpoint.clone(),
        );
        let endpoints = match (configured, settings.issuer.as_deref()) {
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

    /// Checks that secrets may be sent to the endpoints: RFC 8628, section 3.1, and RFC 6749, section 3.2, require TLS.
    ///
    /// # Errors
    /// As [`check_endpoint`].
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
        format!("the profile's 'oauth' has neither an 'issuer' nor a '{member}'"),
    )
}

/// Discovers the endpoints of `issuer`.
///
/// Tries the metadata document of RFC 8414 first, then the two paths of OpenID Connect Discovery that its section 5
/// names, unless the server fails. The document's `issuer` must be `issuer`, character by character (section 3.3).
/// The endpoints are not checked; see [`Endpoints::check`].
///
/// # Errors
/// [`OauthError::Malformed`] for an invalid issuer, a document of another issuer, or one without a device flow;
/// [`OauthError::Http`] and [`OauthError::Unavailable`] for a server that cannot be reached or fails.
pub fn discover(transport: &dyn Transport, issuer: &str) -> Result<Endpoints, OauthError> {
    let base = issuer_url(issuer)?;
    let path = base.path().trim_end_matches('/').to_owned();
    let mut last_error = malformed("no metadata document");
    for path in [
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("{path}/.well-known/openid-configuration"),
        format!("/.well-known/openid-configuration{path}"),
    ] {
        let mut url = base.clone();
        url.set_path(&path);
        match metadata(&transport.get(&url).map_err(OauthError::Http)?) {
            Ok(document) => return endpoints(&document, issuer),
            Err(error @ OauthError::Unavailable { .. }) => return Err(error),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

/// Parses an issuer: a URL without query and fragment (RFC 8414, section 2).
pub(super) fn issuer_url(issuer: &str) -> Result<Url, OauthError> {
    let url = Url::parse(issuer).map_err(|error| malformed(format!("the issuer is not a URL: {error}")))?;
    if url.query().is_some() || url.fragment().is_some() || !url.has_host() {
        return Err(malformed("the issuer has a query or fragment, or no host"));
    }
    Ok(url)
}

fn metadata(response: &HttpResponse) -> Result<Map<String, Value>, OauthError> {
    match response.status {
        200 => serde_json::from_slice(&response.body)
            .map_err(|_| malformed("the metadata document is not a JSON object")),
        408 | 429 | 500.. => Err(OauthError::unavailable(response)),
        status => Err(malformed(format!(
            "no metadata document, the server responded with status {status}"
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
            .ok_or_else(|| malformed(format!("'{name}' of the metadata document is not a URL")))
    };
    let required =
        |name: &str| url(name)?.ok_or_else(|| malformed(format!("the metadata document has no '{name}'")));
    Ok(Endpoints {
        device_authorization_endpoint: required("device_authorization_endpoint")?,
        token_endpoint: required("token_endpoint")?,
        revocation_endpoint: url("revocation_endpoint")?,
    })
}

fn malformed(reason: impl Into<String>) -> OauthError {
    OauthError::Malformed(reason.into())
}
