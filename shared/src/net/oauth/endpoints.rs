//! The endpoints of an authorization server, configured or discovered (RFC 8414).

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use url::Url;

use super::body::members;
use super::error::OauthError;
use super::transport::{HttpResponse, Transport};
use crate::exit::{Exit, Failure};
use crate::net::http::check_endpoint;
use crate::provider::OauthSettings;
use crate::text::clip;

/// A client without a secret, as a program in everybody's hands could not keep one (RFC 8252, section 8.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicClient {
    /// The registered ID.
    pub client_id: String,
    /// The scope to request; `None` to leave it to the server.
    pub scope: Option<String>,
    /// True to use PKCE (RFC 7636).
    pub pkce: bool,
    /// What the server wants besides, such as `audience` or `resource` (RFC 8707): sent with each request of a login and with
    /// each refresh.
    pub parameters: BTreeMap<String, String>,
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
            parameters: settings.parameters.clone(),
        })
    }
}

/// The endpoints of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginEndpoints {
    /// RFC 8628, section 3.1.
    pub device_authorization_endpoint: Url,
    /// RFC 6749, section 3.2.
    pub token_endpoint: Url,
}

impl LoginEndpoints {
    /// Returns the endpoints of `settings`; those that are missing are the issuer's.
    ///
    /// # Errors
    /// As [`token_endpoint`].
    pub fn find(
        transport: &dyn Transport,
        settings: &OauthSettings,
        allow_http: bool,
    ) -> Result<Self, Failure> {
        const WANTED: [Endpoint; 2] = [Endpoint::DeviceAuthorization, Endpoint::Token];
        let found = Endpoints::find(transport, settings, allow_http, &WANTED)?;
        Ok(Self {
            device_authorization_endpoint: found.required(
                Endpoint::DeviceAuthorization,
                settings,
                allow_http,
            )?,
            token_endpoint: found.required(Endpoint::Token, settings, allow_http)?,
        })
    }
}

/// Returns the endpoint of tokens of `settings`, else the issuer's.
///
/// # Errors
/// 78 when the settings name neither, name another issuer than its metadata document does, or where a secret may not be sent
/// to the endpoint ([`check_endpoint`]: RFC 8628, section 3.1, and RFC 6749, section 3.2, require TLS). 76 for a document that
/// is none, or lacks the endpoint; 75 for a server that cannot be reached or fails.
pub fn token_endpoint(
    transport: &dyn Transport,
    settings: &OauthSettings,
    allow_http: bool,
) -> Result<Url, Failure> {
    let found = Endpoints::find(transport, settings, allow_http, &[Endpoint::Token])?;
    found.required(Endpoint::Token, settings, allow_http)
}

/// Returns the endpoint of revocations (RFC 7009) of `settings`, else the issuer's; `None` where the server has none.
///
/// # Errors
/// As [`token_endpoint`].
pub fn revocation_endpoint(
    transport: &dyn Transport,
    settings: &OauthSettings,
    allow_http: bool,
) -> Result<Option<Url>, Failure> {
    let found = Endpoints::find(transport, settings, allow_http, &[Endpoint::Revocation])?;
    let names_server = settings.issuer.is_some() || settings.token_endpoint.is_some();
    match found.revocation {
        None if names_server => Ok(None),
        _ => found
            .required(Endpoint::Revocation, settings, allow_http)
            .map(Some),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    DeviceAuthorization,
    Token,
    Revocation,
}

impl Endpoint {
    /// Returns the name in metadata documents (RFC 8414, section 2; RFC 8628, section 4) and in settings.
    const fn name(self) -> &'static str {
        match self {
            Self::DeviceAuthorization => "device_authorization_endpoint",
            Self::Token => "token_endpoint",
            Self::Revocation => "revocation_endpoint",
        }
    }
}

/// The endpoints that are known.
#[derive(Default)]
struct Endpoints {
    device_authorization: Option<Url>,
    token: Option<Url>,
    revocation: Option<Url>,
}

impl Endpoints {
    /// Returns those of `settings`. As long as one is missing that is wanted they are completed by those of the issuer.
    fn find(
        transport: &dyn Transport,
        settings: &OauthSettings,
        allow_http: bool,
        wanted: &[Endpoint],
    ) -> Result<Self, Failure> {
        let own = Self {
            device_authorization: settings.device_authorization_endpoint.clone(),
            token: settings.token_endpoint.clone(),
            revocation: settings.revocation_endpoint.clone(),
        };
        let Some(issuer) = settings.issuer.as_deref() else {
            return Ok(own);
        };
        if wanted.iter().all(|&endpoint| own.get(endpoint).is_some()) {
            return Ok(own);
        }
        let url = issuer_url(issuer)
            .map_err(|reason| Failure::new(Exit::Config, format!("'{}': {reason}", clip(issuer, 80))))?;
        check_endpoint(&url, allow_http)?;
        let document = discover(transport, issuer, &url).map_err(|error| error.failure(issuer))?;
        // A member that is not wanted, and is no URL, harms nobody.
        let found = |own: Option<Url>, endpoint: Endpoint| match own {
            Some(own) => Ok(Some(own)),
            None if wanted.contains(&endpoint) => url_in(&document, endpoint.name()),
            None => Ok(None),
        };
        let found = || {
            Ok(Self {
                device_authorization: found(own.device_authorization, Endpoint::DeviceAuthorization)?,
                token: found(own.token, Endpoint::Token)?,
                revocation: found(own.revocation, Endpoint::Revocation)?,
            })
        };
        found().map_err(|error: OauthError| error.failure(issuer))
    }

    const fn get(&self, endpoint: Endpoint) -> Option<&Url> {
        match endpoint {
            Endpoint::DeviceAuthorization => self.device_authorization.as_ref(),
            Endpoint::Token => self.token.as_ref(),
            Endpoint::Revocation => self.revocation.as_ref(),
        }
    }

    fn required(
        &self,
        endpoint: Endpoint,
        settings: &OauthSettings,
        allow_http: bool,
    ) -> Result<Url, Failure> {
        let name = endpoint.name();
        match (self.get(endpoint), settings.issuer.as_deref()) {
            (Some(url), _) => {
                check_endpoint(url, allow_http)?;
                Ok(url.clone())
            }
            (None, Some(issuer)) => Err(malformed(format!("the metadata document has no '{name}'"))
                .failure(issuer)
                .hint(format!(
                    "set \"{name}\" in the profile's \"oauth\", if the server has one"
                ))),
            (None, None) => Err(Failure::new(
                Exit::Config,
                format!("the profile's 'oauth' has neither an 'issuer' nor a '{name}'"),
            )),
        }
    }
}

/// Gets the metadata document of `issuer`, whose parsed form is `base`.
///
/// Tries the document of RFC 8414 first, then the two paths of OpenID Connect Discovery that its section 5 names, unless the
/// server fails. The document's `issuer` must be `issuer`, character by character (section 3.3).
///
/// # Errors
/// [`OauthError::OtherIssuer`]; [`OauthError::Malformed`] where there is no document; [`OauthError::Http`] and
/// [`OauthError::Unavailable`] for a server that cannot be reached or fails.
fn discover(transport: &dyn Transport, issuer: &str, base: &Url) -> Result<Map<String, Value>, OauthError> {
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
            Ok(document) => return of_issuer(document, issuer),
            Err(error @ OauthError::Unavailable { .. }) => return Err(error),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

/// Parses an issuer: a URL without query and fragment (RFC 8414, section 2).
///
/// # Errors
/// What is wrong with it.
fn issuer_url(issuer: &str) -> Result<Url, &'static str> {
    let url = Url::parse(issuer).map_err(|_| "the issuer is not a URL")?;
    if url.query().is_some() || url.fragment().is_some() || !url.has_host() {
        return Err("the issuer has a query or fragment, or no host");
    }
    Ok(url)
}

fn metadata(response: &HttpResponse) -> Result<Map<String, Value>, OauthError> {
    match response.status {
        200 => members(&response.body)
            .ok_or_else(|| OauthError::without_members("the metadata document", response)),
        408 | 429 | 500.. => Err(OauthError::unavailable(response)),
        status => Err(malformed(format!(
            "no metadata document, the server responded with status {status}"
        ))),
    }
}

fn of_issuer(document: Map<String, Value>, issuer: &str) -> Result<Map<String, Value>, OauthError> {
    match document.get("issuer").and_then(Value::as_str) {
        Some(found) if found == issuer => Ok(document),
        Some(found) => Err(OauthError::OtherIssuer {
            asked: issuer.to_owned(),
            found: found.to_owned(),
        }),
        None => Err(malformed("the metadata document names no 'issuer'")),
    }
}

fn url_in(document: &Map<String, Value>, name: &str) -> Result<Option<Url>, OauthError> {
    let text = match document.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_str().and_then(|text| Url::parse(text).ok()),
    };
    text.map(Some)
        .ok_or_else(|| malformed(format!("'{name}' of the metadata document is not a URL")))
}

fn malformed(reason: impl Into<String>) -> OauthError {
    OauthError::Malformed(reason.into())
}
