//! The secret for an endpoint: from a setting, a key command, a store, or a refresh.

use std::time::{Duration, SystemTime};

use crate::copied::check_key;
use crate::exit::{Exit, Failure};
use crate::net::config::{Auth, Binding, Config, Key, KeySetting, Move, Settings, Source, Sourced};
use crate::net::credential::{
    Credential, KeyringTimeout, RefreshPolicy, Store, StoreKind, Stored, valid_credential,
};
use crate::net::date::rfc3339;
use crate::net::http::{BaseUrl, Timeouts, check_endpoint, check_transport};
use crate::net::oauth::{self, BlockingTransport, KeepingTransport, PublicClient, TokenResponse};
use crate::output::Reporter;
use crate::provider::OauthSettings;
use crate::secret::{Secret, is_secret_name};

/// How long before its expiry a token is renewed, so that it outlives the request.
const RENEW_BEFORE_EXPIRY: Duration = Duration::from_secs(60);

/// A token that lives shorter is renewed before this part of its life: one that is due at once would be renewed for every
/// request.
const PART_OF_LIFE: u32 = 5;

/// What authorizes requests.
#[derive(Debug, Default)]
pub struct Authorization {
    /// The key or access token; `None` where the endpoint needs none.
    pub token: Option<Secret<String>>,
    /// The credential of the access token, under OAuth.
    pub credential: Option<Credential>,
    /// The store of the token; `None` when it came from elsewhere.
    pub store: Option<StoreKind>,
    /// When another one is to be had, before the next request; `None` where only a refusal tells.
    pub renew_at: Option<SystemTime>,
}

impl Authorization {
    /// Returns the base URL that the token is for: the settings', or the credential's `resource_url` where only a
    /// provider's default stands against it.
    ///
    /// # Errors
    /// 78 where the secret may not go there: an OAuth token to what is neither the profile's endpoint nor the login's
    /// `resource_url`, or to a host that `allowed_hosts` lack; any
    /// secret over plain `http` to another machine.
    pub fn base_url(&self, settings: &Settings) -> Result<BaseUrl, Failure> {
        let Sourced { value: url, source } = &settings.base_url;
        let Auth::Oauth { server, .. } = &settings.auth.value else {
            check_transport(
                url,
                settings.allow_http,
                !matches!(settings.auth.value, Auth::None) || carries_secret(settings),
            )?;
            return Ok(url.clone());
        };
        let is_default = matches!(source, Source::Provider(_) | Source::Default);
        let credential = self.credential.as_ref().filter(|_| settings.follows_resource_url);
        let resource = credential.and_then(|own| own.resource_url.as_deref());
        let resource = resource.map(|text| oauth::base_url_from_resource(text, &server.allowed_hosts));
        if is_default && let Some(resource) = resource {
            return resource.map_err(|error| {
                let message = format!("the token is not sent to the credential's 'resource_url' {error}");
                Failure::new(Exit::Config, message).hint(
                    "set \"base_url\" in the profile, or add the host to \"allowed_hosts\" of its \"oauth\"",
                )
            });
        }
        check_endpoint(url, settings.allow_http)?;
        let resource = resource.and_then(Result::ok);
        let resource = resource.map(|resource| Binding::to(resource, settings.provider.value));
        let binding = Binding::any([Some(settings.binding.clone()), resource].into_iter().flatten());
        let is_named = !is_default || !server.allowed_hosts.is_empty();
        if is_named && settings.auth.value.may_go(&binding, url) {
            return Ok(url.clone());
        }
        Err(kept_token(settings, is_default))
    }
}

/// The failure of a token that may not go to the endpoint of these settings.
fn kept_token(settings: &Settings, is_default: bool) -> Failure {
    let Sourced { value: url, source } = &settings.base_url;
    if is_default {
        let profile = settings.profile_name();
        let message = format!("profile '{profile}' names no endpoint for its token");
        return Failure::new(Exit::Config, message).hint("set \"base_url\" in the profile");
    }
    let message = format!(
        "{source}: the token is not sent to '{url}', which is no endpoint of the login or no allowed host"
    );
    Failure::new(Exit::Config, message)
        .hint("set \"base_url\" and \"allowed_hosts\" in the profile, or use an API key for that endpoint")
}

/// Returns what authorizes requests under these settings. Must not be called from within a runtime.
///
/// # Errors
/// As [`valid_credential`]; 77 for a key that is missing, 78 for one that no header can carry, 75 for a key command that takes too
/// long.
pub fn authorize(
    settings: &Settings,
    policy: &RefreshPolicy,
    reporter: &Reporter,
) -> Result<Authorization, Failure> {
    let (key, source) = match &settings.auth.value {
        Auth::None => {
            let url = &settings.base_url.value;
            if let Ok(Some(notice)) = check_transport(url, settings.allow_http, false) {
                reporter.notice_once(&notice);
            }
            return Ok(Authorization::default());
        }
        Auth::Oauth { server, .. } => return login(settings, server, policy, reporter),
        Auth::ApiKey(Key::Stored(_)) => return stored_key(settings, reporter),
        Auth::ApiKey(Key::Given(key)) => (key.clone(), settings.auth.source.to_string()),
        Auth::ApiKey(Key::Command(command)) => {
            let key = super::key_command::key_from(command, settings.profile_name(), reporter)?;
            return Ok(Authorization {
                token: Some(key),
                renew_at: command.ttl.and_then(|ttl| SystemTime::now().checked_add(ttl)),
                ..Authorization::default()
            });
        }
    };
    Ok(Authorization {
        token: Some(sendable(key, &source)?),
        ..Authorization::default()
    })
}

/// True when a header or parameter of the settings is a secret by its name.
pub(super) fn carries_secret(settings: &Settings) -> bool {
    let mut names = settings.headers.keys().chain(settings.query.keys());
    names.any(|name| is_secret_name(name))
}

fn stored_key(settings: &Settings, reporter: &Reporter) -> Result<Authorization, Failure> {
    let store = store_of(settings, reporter)?;
    let (place, profile) = (store.place(), store.profile());
    let missing = |what: &str| {
        Failure::new(Exit::NoAuth, format!("{place}: {what} for profile '{profile}'"))
            .hint(format!("run 'qwen-login --profile {profile}'"))
    };
    let loaded = store.load_recovered(&|text| reporter.notice(text))?;
    let loaded = loaded.ok_or_else(|| missing("no credential"))?;
    if let Some(notice) = &loaded.notice {
        reporter.notice(notice);
    }
    check_stored_for(settings, &loaded.stored)?;
    match loaded.stored {
        Stored::ApiKey(key) => Ok(Authorization {
            token: Some(sendable(key.key, &place)?),
            store: Some(store.kind()),
            ..Authorization::default()
        }),
        Stored::Oauth(_) => Err(missing("a login, not an API key,")),
    }
}

/// Checks that the profile still names the endpoint, and the server, that what is stored was stored for: an editor may have
/// changed `config.json` since.
///
/// # Errors
/// 78, with both, and how to consent.
pub fn check_stored_for(settings: &Settings, stored: &Stored) -> Result<(), Failure> {
    let Some(moved) = stored
        .stored_for()
        .and_then(|then| Move::since(then, &settings.stored_for))
    else {
        return Ok(());
    };
    let Move { old, new, .. } = moved;
    let name = settings.profile_name();
    let (what, again, consent) = match stored {
        Stored::ApiKey(_) => ("key", " --with-key", own_store(settings)),
        Stored::Oauth(_) => ("login", "", own_base_url(settings)),
    };
    let message =
        format!("the {what} of profile '{name}' was stored for '{old}', and config.json names '{new}' now");
    let failure = Failure::new(Exit::Config, message).hint(format!(
        "run 'qwen-login --profile {name}{again}' to store one for '{new}'"
    ));
    Err(match consent {
        Some(member) => failure.hint(format!(
            "or run 'qwen-auth set {name} {member}' if it may go there"
        )),
        None => failure,
    })
}

/// Returns the assignment by which a key is said to be for the endpoint.
fn own_store(settings: &Settings) -> Option<String> {
    match &settings.auth.value {
        Auth::ApiKey(Key::Stored(kind)) => Some(format!("key.store={kind}")),
        _ => None,
    }
}

/// Returns the assignment by which a login is asked about.
fn own_base_url(settings: &Settings) -> Option<String> {
    let url = settings.stored_for.get("base_url")?.as_str()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    url.chars().all(is_plain).then(|| format!("base_url={url}"))
}

fn login(
    settings: &Settings,
    server: &OauthSettings,
    policy: &RefreshPolicy,
    reporter: &Reporter,
) -> Result<Authorization, Failure> {
    let store = store_of(settings, reporter)?;
    let refresh = |credential: &Credential, keep: &dyn Fn(&[u8])| refresh(settings, server, credential, keep);
    let notify = |text: &str| reporter.notice(text);
    let valid = valid_credential(&store, policy, &SystemTime::now, &notify, refresh)?;
    for notice in &valid.notices {
        reporter.notice(notice);
    }
    let (place, credential) = (store.place(), valid.credential);
    check_stored_for(settings, &Stored::Oauth(credential.clone()))?;
    if reporter.is_verbose() {
        let how = match valid.refreshed {
            true => "refreshed just now",
            false => "as stored",
        };
        let end = credential
            .expires_at
            .map_or_else(|| "it is refused".to_owned(), rfc3339);
        reporter.detail(&format!("token from {place}, {how}, valid until {end}"));
    }
    let renew_at = credential
        .expires_at
        .and_then(|end| renewal_time(end, credential.issued_at, SystemTime::now()));
    Ok(Authorization {
        token: Some(sendable(credential.access_token.clone(), &place)?),
        credential: Some(credential),
        store: Some(store.kind()),
        renew_at,
    })
}

/// Returns when a token is renewed: a minute before its end; where no minute is left, a fifth of its life before it, or of what is
/// left. `None` for one that has ended: a server may take it all the same, where its clock is
/// another one.
fn renewal_time(end: SystemTime, issued: Option<SystemTime>, now: SystemTime) -> Option<SystemTime> {
    let left = end.duration_since(now).ok().filter(|left| !left.is_zero())?;
    let life = issued.and_then(|issued| end.duration_since(issued).ok());
    let margin = match life.map(|life| life / PART_OF_LIFE) {
        _ if RENEW_BEFORE_EXPIRY < left => RENEW_BEFORE_EXPIRY,
        Some(part) if part < left => part,
        _ => left / PART_OF_LIFE,
    };
    end.checked_sub(margin)
}

fn refresh(
    settings: &Settings,
    server: &OauthSettings,
    credential: &Credential,
    keep: &dyn Fn(&[u8]),
) -> Result<TokenResponse, Failure> {
    check_stored_for(settings, &Stored::Oauth(credential.clone()))?;
    let Some(refresh_token) = &credential.refresh_token else {
        let message = "the stored login has no refresh token";
        return Err(Failure::new(Exit::NoAuth, message));
    };
    let transport = BlockingTransport::new(Timeouts::for_metadata());
    let token_endpoint = oauth::token_endpoint(&transport, server, settings.allow_http)?;
    let transport = KeepingTransport::new(Timeouts::for_token_requests(), keep);
    let client = PublicClient::from_settings(server)?;
    oauth::refresh(&transport, &token_endpoint, &client, refresh_token)
        .map_err(|error| error.failure(token_endpoint.as_str()))
}

/// Refuses a secret that no header can carry, such as two lines of a file.
fn sendable(secret: Secret<String>, source: &str) -> Result<Secret<String>, Failure> {
    let text = secret.expose();
    if text.trim().is_empty() {
        return Err(Failure::new(Exit::NoAuth, format!("{source}: the key is empty")));
    }
    if let Err(reason) = check_key(text) {
        return Err(Failure::new(Exit::Config, format!("{source}: {reason}")));
    }
    let Some(odd) = text.chars().find(|c| !(' '..='~').contains(c)) else {
        return Ok(secret);
    };
    let what = match odd.is_ascii() {
        true => "a line end or a control character".to_owned(),
        false => format!("U+{:04X}, a letter that is not ASCII", u32::from(odd)),
    };
    Err(Failure::new(
        Exit::Config,
        format!("{source}: the key holds {what}"),
    ))
}

/// Returns the hint for a credential that the endpoint refused; `is_fresh` for a token that was just refreshed.
#[must_use]
pub(super) fn hint_when_refused(settings: &Settings, is_fresh: bool) -> String {
    let profile = settings.profile_name();
    match &settings.auth.value {
        Auth::Oauth { .. } if is_fresh => format!(
            "the token is fresh, so another login will not help: the account may not use this endpoint or model; \
             run 'qwen-auth use NAME' for another profile than '{profile}'"
        ),
        Auth::Oauth { .. } => format!("run 'qwen-login --profile {profile}'"),
        Auth::ApiKey(Key::Command(command)) => format!(
            "see whether the key that command '{}' prints is for this endpoint",
            command.program()
        ),
        Auth::ApiKey(_) => hint_at_key(settings),
        Auth::None => format!(
            "set OPENAI_API_KEY, or run 'qwen-login --api-key{}'",
            settings.profile_flag()
        ),
    }
}

/// Returns the hint for a refused key: where it is, and how the profile's own is used, if that is another one.
fn hint_at_key(settings: &Settings) -> String {
    let source = &settings.auth.source;
    let variable = source.variable();
    let place = match source {
        Source::Environment(name) => name.clone(),
        source => source.to_string(),
    };
    let profile = settings.profile.as_ref().map(|profile| profile.value.as_str());
    let has_own_key = || {
        let mut profiles = Config::load().ok()?.profiles;
        let own = profiles.remove(profile?)?;
        let is_same = matches!(&own.key, Some(KeySetting::Env(name)) if Some(name.as_str()) == variable);
        Some(!is_same && (own.key.is_some() || own.uses_oauth()))
    };
    match (variable, profile) {
        (Some(name), Some(profile)) if has_own_key() == Some(true) => match source {
            // The profile's credential does not go to an address that was given in the place of the profile's own.
            _ if settings.base_url.source.is_given() => format!(
                "{} to use endpoint and credential of profile '{profile}'",
                both_away(source, &settings.base_url.source)
            ),
            Source::EnvFile { .. } => {
                format!("remove {name} from {place} to use the credential of profile '{profile}'")
            }
            _ => format!("run 'unset {name}' to use the credential of profile '{profile}'"),
        },
        _ => format!(
            "check the key in {place}, or run 'qwen-login{}'",
            settings.profile_flag()
        ),
    }
}

/// Returns how a key and an address are taken away, from where they are.
fn both_away(key: &Source, address: &Source) -> String {
    let names = key.variable().zip(address.variable());
    match (names, key.env_file(), address.env_file()) {
        (Some((key_name, name)), Some(file), Some(other))
            if file == other
                && matches!((key, address), (Source::EnvFile { .. }, Source::EnvFile { .. })) =>
        {
            format!("remove {key_name} and {name} from '{}'", file.display())
        }
        (Some((key_name, name)), _, _)
            if !matches!(key, Source::EnvFile { .. }) && !matches!(address, Source::EnvFile { .. }) =>
        {
            format!("run 'unset {key_name} {name}'")
        }
        _ => format!("{} and {}", away(key), away(address)),
    }
}

fn away(source: &Source) -> String {
    match (source, source.variable()) {
        (Source::EnvFile { .. }, Some(name)) => format!("remove {name} from {source}"),
        (_, Some(name)) => format!("run 'unset {name}'"),
        (source, None) => format!("leave out {source}"),
    }
}

/// Returns the store of the profile's credential. Touches neither files nor the keyring.
///
/// # Errors
/// No home directory.
pub fn store_of(settings: &Settings, reporter: &Reporter) -> Result<Store, Failure> {
    let kind = match &settings.auth.value {
        Auth::Oauth { store, .. } | Auth::ApiKey(Key::Stored(store)) => *store,
        _ => StoreKind::File,
    };
    Ok(Store::open(
        kind,
        settings.profile_name(),
        keyring_timeout(reporter),
    )?)
}

/// Returns the time limit of a keyring prompt: long enough to unlock it only where a person is there.
#[must_use]
pub fn keyring_timeout(reporter: &Reporter) -> KeyringTimeout {
    if !Reporter::is_seen() || reporter.is_held() {
        return KeyringTimeout::noninteractive();
    }
    let reporter = reporter.clone();
    KeyringTimeout::interactive(move |text| reporter.notice(text))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::renewal_time;
    use crate::net::credential::LOCK_LIMIT;
    use crate::net::http::Timeouts;

    #[test]
    fn a_token_is_renewed_a_minute_or_a_fifth_of_its_life_before_its_end() {
        let now = SystemTime::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        for (ago, left, renewed) in [
            (Some(0), 3600, Some(3540)),
            (Some(3600), 61, Some(1)),
            (Some(10), 61, Some(1)),
            (Some(0), 60, Some(48)),
            (Some(0), 10, Some(8)),
            (Some(3600), 50, Some(40)),
            (None, 61, Some(1)),
            (None, 10, Some(8)),
            (None, 0, None),
        ] {
            let issued = ago.map(|ago| now - Duration::from_secs(ago));
            assert_eq!(
                renewal_time(at(left), issued, now),
                renewed.map(at),
                "{ago:?} {left}"
            );
        }
        assert_eq!(renewal_time(now - Duration::from_secs(1), None, now), None);
    }

    #[test]
    fn waiting_for_the_lock_outlives_a_holder_that_gets_no_answer() {
        let (place, refresh) = (
            Timeouts::for_metadata().total,
            Timeouts::for_token_requests().total,
        );
        assert!(3 * place.unwrap() + refresh.unwrap() < LOCK_LIMIT);
    }
}
