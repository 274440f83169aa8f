//! The secret for an endpoint: from a setting, a key command, a store, or a refresh.

use std::time::SystemTime;

use crate::date::rfc3339;
use crate::exit::{Exit, Failure};
use crate::net::config::{Auth, Key, Settings};
use crate::net::credential::{
    Credential, Obtained, Patience, Store, StoreKind, Stored, Wanted, choose, obtain,
};
use crate::net::http::{BaseUrl, Timeouts, check_endpoint};
use crate::net::oauth::{self, BlockingTransport, Endpoints, PublicClient, TokenResponse};
use crate::output::Reporter;
use crate::provider::OauthSettings;
use crate::secret::Secret;

/// What authorizes requests.
#[derive(Debug)]
pub struct Authorization {
    /// The key or access token; `None` where the endpoint asks for none.
    pub token: Option<Secret<String>>,
    /// The credential that the token is from, under OAuth.
    pub credential: Option<Credential>,
    /// The kind of store that it came from; `None` when it came from elsewhere (environment, command).
    pub store: Option<StoreKind>,
    /// True when this call refreshed it.
    pub refreshed: bool,
}

impl Authorization {
    const fn of_key(key: Secret<String>, store: Option<StoreKind>) -> Self {
        Self {
            token: Some(key),
            credential: None,
            store,
            refreshed: false,
        }
    }

    /// Returns the endpoint that this authorization is for: the settings', or what the credential's `resource_url`
    /// names where only a provider's default stands against it.
    ///
    /// # Errors
    /// 78 where the secret may not go there: an OAuth token to a host that the provider's `allowed_hosts` lack, any
    /// secret over plain `http` to another machine.
    pub fn base_url(&self, settings: &Settings) -> Result<BaseUrl, Failure> {
        let said = &settings.base_url;
        let Auth::Oauth { server, .. } = &settings.auth.value else {
            check_endpoint(&said.value, settings.allow_http)?;
            return Ok(said.value.clone());
        };
        let resource = self
            .credential
            .as_ref()
            .and_then(|own| own.resource_url.as_deref());
        if let (Some(resource), true) = (resource, is_default(settings)) {
            return oauth::base_url_from_resource(resource, &server.allowed_hosts).map_err(|error| {
                Failure::new(
                    Exit::Config,
                    format!("the token is not sent to the credential's 'resource_url' {error}"),
                )
                .hint(
                    "set \"base_url\" in the profile, or add the host to \"allowed_hosts\" of its \"oauth\"",
                )
            });
        }
        check_endpoint(&said.value, settings.allow_http)?;
        if is_of_profile(settings, server) || oauth::is_allowed(&said.value, &server.allowed_hosts) {
            return Ok(said.value.clone());
        }
        if is_default(settings) {
            let message = format!(
                "profile '{}' names no endpoint for its token",
                settings.profile_name()
            );
            return Err(Failure::new(Exit::Config, message).hint("set \"base_url\" in the profile"));
        }
        let (shown, source) = (&said.value, &said.source);
        Err(Failure::new(
            Exit::Config,
            format!("{source}: the token is not sent to '{shown}', which the provider's allowed hosts do not include"),
        )
        .hint("add the host to \"allowed_hosts\" of the profile's \"oauth\", or use an API key for that endpoint"))
    }
}

/// True when nobody but the catalogue named the endpoint.
fn is_default(settings: &Settings) -> bool {
    use crate::net::config::Source;
    matches!(settings.base_url.source, Source::Provider(_) | Source::Default)
}

/// True when the profile names both the server and the endpoint, and no hosts: then its endpoint is what it allows.
fn is_of_profile(settings: &Settings, server: &OauthSettings) -> bool {
    use crate::net::config::Source;
    matches!(settings.base_url.source, Source::Profile(_)) && server.allowed_hosts.is_empty()
}

/// Returns what authorizes requests under these settings.
///
/// Notices go to `reporter`. Call it outside a runtime: a refresh makes its own.
///
/// # Errors
/// As [`obtain`]; 77 for a key that is not there or cannot be sent, 75 for a key command that takes too long.
pub fn authorize(
    settings: &Settings,
    wanted: &Wanted,
    reporter: &Reporter,
) -> Result<Authorization, Failure> {
    match &settings.auth.value {
        Auth::None => Ok(Authorization {
            token: None,
            credential: None,
            store: None,
            refreshed: false,
        }),
        Auth::ApiKey(Key::Given(key)) => {
            let source = &settings.auth.source;
            let key = sendable(key.clone(), &source.to_string())?;
            Ok(Authorization::of_key(key, None))
        }
        Auth::ApiKey(Key::Command(words)) => {
            let key = sendable(
                super::key_command::key_from(words)?,
                &format!("command '{}'", words[0]),
            )?;
            Ok(Authorization::of_key(key, None))
        }
        Auth::ApiKey(Key::Stored(_)) => stored_key(&store_of(settings, reporter)?, reporter),
        Auth::Oauth { server, .. } => login(settings, server, wanted, reporter),
    }
}

fn stored_key(store: &Store, reporter: &Reporter) -> Result<Authorization, Failure> {
    let (place, profile) = (store.place(), store.profile());
    let missing = |state: &str| {
        Failure::new(Exit::NoAuth, format!("{place}: {state} for profile '{profile}'"))
            .hint(format!("run 'qwen-login --profile {profile}'"))
    };
    let loaded = store.load()?.ok_or_else(|| missing("no credential"))?;
    if let Some(notice) = &loaded.notice {
        reporter.notice(notice);
    }
    match loaded.stored {
        Stored::ApiKey(key) => Ok(Authorization::of_key(sendable(key, &place)?, Some(store.kind()))),
        Stored::Oauth(_) => Err(missing("a login, not an API key,")),
    }
}

fn login(
    settings: &Settings,
    server: &OauthSettings,
    wanted: &Wanted,
    reporter: &Reporter,
) -> Result<Authorization, Failure> {
    let store = store_of(settings, reporter)?;
    let refresh = |present: &Credential| refreshed(settings, server, present);
    let obtained = obtain(
        &store,
        wanted,
        &SystemTime::now,
        &|text| reporter.notice(text),
        refresh,
    )?;
    for notice in &obtained.notices {
        reporter.notice(notice);
    }
    if reporter.is_verbose() {
        reporter.detail(&described(&store, &obtained));
    }
    Ok(Authorization {
        token: Some(sendable(
            obtained.credential.access_token.clone(),
            &store.place(),
        )?),
        credential: Some(obtained.credential),
        store: Some(store.kind()),
        refreshed: obtained.refreshed,
    })
}

fn described(store: &Store, obtained: &Obtained) -> String {
    let place = store.place();
    let how = if obtained.refreshed {
        "refreshed just now"
    } else {
        "as stored"
    };
    match obtained.credential.expires_at {
        Some(end) => format!("token from {place}, {how}, good until {}", rfc3339(end)),
        None => format!("token from {place}, {how}, good until it is refused"),
    }
}

fn refreshed(
    settings: &Settings,
    server: &OauthSettings,
    present: &Credential,
) -> Result<TokenResponse, Failure> {
    let Some(refresh_token) = &present.refresh_token else {
        return Err(Failure::new(
            Exit::NoAuth,
            "the stored login has no refresh token",
        ));
    };
    let transport = BlockingTransport::new(Timeouts::for_token_requests());
    let endpoints = match &server.token_endpoint {
        // A refresh needs this one alone, so the issuer is not asked.
        Some(token_endpoint) => {
            let endpoints = Endpoints {
                device_authorization_endpoint: token_endpoint.clone(),
                token_endpoint: token_endpoint.clone(),
                revocation_endpoint: None,
            };
            endpoints.check(settings.allow_http)?;
            endpoints
        }
        None => {
            let transport = BlockingTransport::new(Timeouts::for_metadata());
            Endpoints::resolve(&transport, server, settings.allow_http)?
        }
    };
    let client = PublicClient::from_settings(server)?;
    oauth::refresh(&transport, &endpoints, &client, refresh_token)
        .map_err(|error| error.failure(endpoints.token_endpoint.as_str()))
}

/// Refuses a secret that no header can carry: what looks like one key may be two lines of a file.
fn sendable(secret: Secret<String>, source: &str) -> Result<Secret<String>, Failure> {
    let text = secret.expose();
    if text.trim().is_empty() {
        return Err(Failure::new(Exit::NoAuth, format!("{source}: the key is empty")));
    }
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Ok(secret);
    }
    Err(Failure::new(
        Exit::Config,
        format!("{source}: the key holds a line end, a control character or a letter that is not ASCII"),
    ))
}

/// Returns what to do about a credential that was refused under these settings; `is_fresh` when it is a token that has
/// just been renewed.
#[must_use]
pub fn remedy(settings: &Settings, is_fresh: bool) -> String {
    let profile = settings.profile_name();
    match &settings.auth.value {
        Auth::Oauth { .. } if is_fresh => format!(
            "the token is fresh, so another login will not help: the account may not use this endpoint or model; \
             run 'qwen-auth use NAME' for another profile than '{profile}'"
        ),
        Auth::Oauth { .. } => format!("run 'qwen-login --profile {profile}'"),
        Auth::ApiKey(_) => format!("check the key of {}, or run 'qwen-login'", settings.auth.source),
        Auth::None => "set OPENAI_API_KEY, or run 'qwen-login --api-key'".to_owned(),
    }
}

/// Names the store of the profile in use. Touches neither files nor the keyring.
///
/// # Errors
/// No home directory.
pub fn store_of(settings: &Settings, reporter: &Reporter) -> Result<Store, Failure> {
    let kind = match &settings.auth.value {
        Auth::Oauth { store, .. } | Auth::ApiKey(Key::Stored(store)) => *store,
        _ => StoreKind::File,
    };
    Ok(Store::open(kind, settings.profile_name(), patience(reporter))?)
}

/// Finds the store for a login, as [`choose`] does, and tells the user what is not as expected.
///
/// # Errors
/// As [`choose`].
pub fn choose_store(
    choice: Option<StoreKind>,
    profile: &str,
    is_qwen: bool,
    reporter: &Reporter,
) -> Result<Store, Failure> {
    let (store, notice) = choose(choice, profile, is_qwen, patience(reporter))?;
    if let Some(notice) = notice {
        reporter.notice(&notice);
    }
    Ok(store)
}

/// Waits for a keyring as long as someone is there to unlock it.
#[must_use]
pub fn patience(reporter: &Reporter) -> Patience {
    if !Reporter::is_seen() {
        return Patience::for_scripts();
    }
    let reporter = reporter.clone();
    Patience::for_people(move |text| reporter.notice(text))
}

#[cfg(test)]
mod tests {
    use crate::net::credential::LOCK_LIMIT;
    use crate::net::http::Timeouts;

    #[test]
    fn waiting_for_the_lock_outlives_a_holder_that_gets_no_answer() {
        let (place, refresh) = (
            Timeouts::for_metadata().total,
            Timeouts::for_token_requests().total,
        );
        assert!(3 * place.unwrap() + refresh.unwrap() < LOCK_LIMIT);
    }
}
