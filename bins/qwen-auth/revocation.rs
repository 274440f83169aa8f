//! Revoking a login at its server (RFC 7009).

use std::thread;
use std::time::Duration;

use qwen_shared::exit::Failure;
use qwen_shared::net::config::{Move, Profile, stored_for};
use qwen_shared::net::credential::Credential;
use qwen_shared::net::date::rfc3339;
use qwen_shared::net::http::{Timeouts, server_name};
use qwen_shared::net::oauth::{
    BlockingTransport, Form, OauthError, PublicClient, Transport, revocation_endpoint,
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
    let since = |then| Move::since(then, &stored_for(profile));
    if let Some(moved) = credential.stored_for.as_ref().and_then(since) {
        let (old, new) = (moved.old, moved.new);
        return format!("not revoked: it was stored for '{old}', and config.json names '{new}' now; {still}");
    }
    let Some(server) = profile.login_server() else {
        return format!("not revoked, its server is not known; {still}");
    };
    match revoke_at(&server, profile.allow_http, credential) {
        Ok((name, Revoked::Both)) => format!("revoked at '{name}'"),
        Ok((name, Revoked::AccessToken(error))) => {
            format!("the access token is revoked at '{name}', not the refresh token: {error}")
        }
        Ok((name, Revoked::Nothing)) => format!("'{name}' offers no way to revoke it; {still}"),
        Err(failure) => format!("not revoked: {}; {still}", failure.message),
    }
}

/// What a server has revoked.
enum Revoked {
    /// All that there was.
    Both,
    /// The access token alone: this is what the server said of the refresh token, which may have been revoked before.
    AccessToken(OauthError),
    /// Nothing, for it has no revocation endpoint.
    Nothing,
}

/// Returns the server's name, and what it revoked.
fn revoke_at(
    server: &OauthSettings,
    allow_http: bool,
    credential: &Credential,
) -> Result<(String, Revoked), Failure> {
    let transport = BlockingTransport::new(Timeouts::for_token_requests());
    let url = revocation_endpoint(&transport, server, allow_http)?;
    let client = PublicClient::from_settings(server)?;
    let Some(url) = url else {
        let issuer = server
            .issuer
            .as_deref()
            .and_then(|issuer| Url::parse(issuer).ok());
        let known = server.token_endpoint.clone().or(issuer);
        let name = known.as_ref().map(server_name).unwrap_or_default();
        return Ok((name, Revoked::Nothing));
    };
    let name = server_name(&url);
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
    let refused = match refresh_token.map(|token| revoke_token("refresh_token", token)) {
        None | Some(Ok(())) => None,
        Some(Err(error @ OauthError::Refused { .. })) => Some(error),
        Some(Err(error)) => return Err(error.failure(&name)),
    };
    match (revoke_token("access_token", &credential.access_token), refused) {
        (Ok(()), None) => Ok((name, Revoked::Both)),
        (Ok(()), Some(error)) => Ok((name, Revoked::AccessToken(error))),
        // The refresh token's revocation ends its access tokens (section 2.1); many servers revoke no others.
        (Err(OauthError::Refused { .. }), None) if refresh_token.is_some() => Ok((name, Revoked::Both)),
        (Err(_), Some(error)) | (Err(error), None) => Err(error.failure(&name)),
    }
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
