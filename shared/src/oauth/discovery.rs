//! Finding a server's endpoints from its issuer's name (RFC 8414).

use serde_json::{Map, Value};
use url::Url;

use super::endpoints::Endpoints;
use super::error::OauthError;
use super::{Answer, Transport};

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
