//! `qwen-auth logout`: revokes and removes credentials.

use std::thread;
use std::time::Duration;

use qwen_shared::date::rfc3339;
use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::api::patience;
use qwen_shared::net::config::{Config, KeySetting, Method, Profile, active_profile};
use qwen_shared::net::credential::{Credential, LOCK_LIMIT, Store, StoreKind, Stored};
use qwen_shared::net::http::Timeouts;
use qwen_shared::net::oauth::{
    BlockingTransport, Endpoints, OauthError, PublicClient, Revocation, TokenTypeHint, discover, revoke,
};
use qwen_shared::output::Reporter;
use qwen_shared::provider::OauthSettings;
use qwen_shared::secret::Secret;

use crate::profiles;

/// The longest `Retry-After` that is obeyed (RFC 7009, section 2.2.1).
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Logs out of a profile, by default the one in use.
pub(crate) fn one(name: Option<&str>, reporter: &Reporter) -> Outcome {
    let (config, active) = active_profile(name)?;
    let Some(name) = active.map(|active| active.value) else {
        return without_profile(reporter);
    };
    match config.profiles.get(&name) {
        Some(profile) => log_out(&name, profile, reporter)?,
        None => return Err(profiles::unknown(&name, &config)),
    }
    // A key in the environment outlives the logout.
    if let Some(source) = profiles::source_of_given_key(&name) {
        reporter.notice(&format!("the key of {source} is still set"));
    }
    Ok(Exit::Ok)
}

/// Logs out of every profile. A failure of one does not spare the others.
pub(crate) fn all(reporter: &Reporter) -> Outcome {
    let config = Config::load()?;
    if config.profiles.is_empty() {
        return without_profile(reporter);
    }
    let mut failed = None;
    for (name, profile) in &config.profiles {
        if let Err(failure) = log_out(name, profile, reporter)
            && let Some(earlier) = failed.replace(failure)
        {
            reporter.failure(&earlier);
        }
    }
    failed.map_or(Ok(Exit::Ok), Err)
}

/// Logs out of Qwen Code's login, which is used when there is no profile.
fn without_profile(reporter: &Reporter) -> Outcome {
    let profile = Profile {
        method: Some(Method::Oauth),
        ..Profile::default()
    };
    log_out("default", &profile, reporter)?;
    Ok(Exit::Ok)
}

fn log_out(name: &str, profile: &Profile, reporter: &Reporter) -> Result<(), Failure> {
    let Some(kind) = profile.store()? else {
        let place = match &profile.key {
            Some(KeySetting::Env(variable)) => format!("its key is in the variable {variable}"),
            Some(KeySetting::Command(words)) => format!("its key comes from the command '{}'", words[0]),
            _ => "it has no credential".to_owned(),
        };
        reporter.notice(&format!("profile '{name}': nothing is stored, {place}"));
        return Ok(());
    };
    let store = Store::open(kind, name, patience(reporter))?;
    // No refresh may store a new token meanwhile.
    let held = store.lock(LOCK_LIMIT, &|text| reporter.notice(text))?;
    let revocation = match held.load() {
        Ok(Some(loaded)) => match &loaded.stored {
            Stored::Oauth(credential) => Some(revoke_login(profile, credential)),
            Stored::ApiKey(_) => None,
        },
        Ok(None) => {
            reporter.notice(&format!(
                "profile '{name}': nothing is stored in '{}'",
                store.place()
            ));
            return Ok(());
        }
        // What cannot be read is removed without being revoked; of a symbolic link, the link.
        Err(error) if error.exit() == Exit::NoAuth || held.is_link() => Some(format!("not revoked: {error}")),
        Err(error) => return Err(error.into()),
    };
    held.delete()?;
    let revocation = revocation.map_or_else(String::new, |revocation| format!("; {revocation}"));
    let place = store.place();
    reporter.notice(&format!("profile '{name}': removed from '{place}'{revocation}"));
    if kind == StoreKind::QwenCode {
        reporter.notice("Qwen Code shared this login and is logged out too");
    }
    Ok(())
}

/// Revokes a login at its server. Returns what happened, for the message: the login is removed in any case.
fn revoke_login(profile: &Profile, credential: &Credential) -> String {
    let still = credential.expires_at.map_or_else(
        || "the token itself stays good until its server says otherwise".to_owned(),
        |end| format!("the token itself stays good until {}", rfc3339(end)),
    );
    let Some(server) = profile.login_server() else {
        return format!("not revoked, its server is not known; {still}");
    };
    match revoke_at(&server, profile.allow_http, credential) {
        Ok((host, Revocation::Revoked)) => format!("revoked at '{host}'"),
        Ok((host, Revocation::NoEndpoint)) => format!("'{host}' offers no way to revoke it; {still}"),
        Err(failure) => format!("not revoked: {}; {still}", failure.message),
    }
}

fn revoke_at(
    server: &OauthSettings,
    allow_http: bool,
    credential: &Credential,
) -> Result<(String, Revocation), Failure> {
    let transport = BlockingTransport::new(Timeouts::for_token_requests());
    let mut endpoints = Endpoints::resolve(&transport, server, allow_http)?;
    let host = endpoints.token_endpoint.host_str().unwrap_or_default().to_owned();
    if let (None, Some(issuer)) = (&endpoints.revocation_endpoint, &server.issuer) {
        let found = discover(&transport, issuer).map_err(|error| error.failure(issuer))?;
        endpoints.revocation_endpoint = found.revocation_endpoint;
        endpoints.check(allow_http)?;
    }
    let client = PublicClient::from_settings(server)?;
    let revoke_token = |kind, token: &Secret<String>| {
        let attempt = || revoke(&transport, &endpoints, &client, kind, token);
        match attempt() {
            Err(OauthError::Unavailable {
                retry_after: Some(wait),
                ..
            }) if wait <= LONGEST_WAIT => {
                thread::sleep(wait);
                attempt()
            }
            other => other,
        }
    };
    let failed = |error: OauthError| error.failure(&host);
    let Some(refresh_token) = &credential.refresh_token else {
        let revoked = revoke_token(TokenTypeHint::AccessToken, &credential.access_token).map_err(failed)?;
        return Ok((host, revoked));
    };
    let revoked = revoke_token(TokenTypeHint::RefreshToken, refresh_token).map_err(failed)?;
    match revoke_token(TokenTypeHint::AccessToken, &credential.access_token) {
        // The refresh token's revocation ends its access tokens (RFC 7009, section 2.1); many servers revoke no others.
        Ok(_) | Err(OauthError::Refused { .. }) => Ok((host, revoked)),
        Err(error) => Err(failed(error)),
    }
}
