//! Revoking a login at its server (RFC 7009).

use std::thread;
use std::time::Duration;

use qwen_shared::exit::Failure;
use qwen_shared::net::config::Profile;
use qwen_shared::net::credential::Credential;
use qwen_shared::net::date::rfc3339;
use qwen_shared::net::http::Timeouts;
use qwen_shared::net::oauth::{
    BlockingTransport, Endpoints, Form, OauthError, PublicClient, Transport, discover,
};
use qwen_shared::provider::OauthSettings;
use qwen_shared::secret::Secret;
use url::Url;

/// The longest `Retry-After` that is obeyed (section 2.2.1).
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Revokes a login. Returns what happened, for the message about its removal.
pub(crate) fn revoke(profile: &Profile, credential: &Credential) -> String {
    let still = credential.expires_at.map_or_else(
        || "the token itself stays good until its server says otherwise".to_owned(),
        |end| format!("the token itself stays good until {}", rfc3339(end)),
    );
    let Some(server) = profile.login_server() else {
        return format!("not revoked, its server is not known; {still}");
    };
    match revoke_at(&server, profile.allow_http, credential) {
        Ok((host, true)) => format!("revoked at '{host}'"),
        Ok((host, false)) => format!("'{host}' offers no way to revoke it; {still}"),
        Err(failure) => format!("not revoked: {}; {still}", failure.message),
    }
}

/// Returns the server's host, and false if it has no revocation endpoint.
fn revoke_at(
    server: &OauthSettings,
    allow_http: bool,
    credential: &Credential,
) -> Result<(String, bool), Failure> {
    let transport = BlockingTransport::new(Timeouts::for_token_requests());
    let mut endpoints = Endpoints::resolve(&transport, server, allow_http)?;
    let host = endpoints.token_endpoint.host_str().unwrap_or_default().to_owned();
    if let (None, Some(issuer)) = (&endpoints.revocation_endpoint, &server.issuer) {
        let found = discover(&transport, issuer).map_err(|error| error.failure(issuer))?;
        endpoints.revocation_endpoint = found.revocation_endpoint;
        endpoints.check(allow_http)?;
    }
    let client = PublicClient::from_settings(server)?;
    let Some(url) = endpoints.revocation_endpoint else {
        return Ok((host, false));
    };
    let revoke_token = |hint, token| match revoke_token(&transport, &url, &client, hint, token) {
        Err(OauthError::Unavailable {
            retry_after: Some(wait),
            ..
        }) if wait <= LONGEST_WAIT => {
            thread::sleep(wait);
            revoke_token(&transport, &url, &client, hint, token)
        }
        other => other,
    };
    let refresh_token = credential.refresh_token.as_ref();
    if let Some(token) = refresh_token {
        revoke_token("refresh_token", token).map_err(|error| error.failure(&host))?;
    }
    match revoke_token("access_token", &credential.access_token) {
        // The refresh token's revocation ends its access tokens (section 2.1); many servers revoke no others.
        Err(OauthError::Refused { .. }) if refresh_token.is_some() => {}
        other => other.map_err(|error| error.failure(&host))?,
    }
    Ok((host, true))
}

/// Sends a revocation request. A server also accepts an unknown token (section 2.2).
///
/// # Errors
/// The server's error, or that there was no response. The token must be considered valid then.
fn revoke_token(
    transport: &dyn Transport,
    url: &Url,
    client: &PublicClient,
    hint: &str,
    token: &Secret<String>,
) -> Result<(), OauthError> {
    let form = Form::default()
        .field("token", token.expose())
        .field("token_type_hint", hint)
        .field("client_id", &client.client_id);
    let response = transport
        .post_form(url, &[], form.as_str())
        .map_err(OauthError::Http)?;
    match response.status {
        200..300 => Ok(()),
        _ => Err(OauthError::from_response(&response).without(token)),
    }
}
