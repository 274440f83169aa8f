//! What happens to a profile that gets another endpoint: what is bound to the old one must not follow.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::binding::Binding;
use super::profile::{BOUND_MEMBERS, KeySetting, Method, Profile};
use super::qwen_code::QwenCodeSettings;
use crate::net::credential::StoredFor;
use crate::provider::OauthSettings;

/// A profile's way from one endpoint to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The endpoint that it leaves.
    pub old: String,
    /// The one that it gets.
    pub new: String,
    /// False for a profile that has never been set up.
    pub was_in_use: bool,
}

impl Move {
    /// `None` when what is bound to the endpoint of `old` may go to that of `new`.
    #[must_use]
    pub fn between(old: &Profile, new: &Profile) -> Option<Self> {
        let qwen_code = QwenCodeSettings::load();
        let endpoints_of = |profile: &Profile| {
            let method = profile.method.or(profile.oauth.as_ref().map(|_| Method::Oauth));
            Binding::of_profile(
                &Profile {
                    method,
                    ..profile.clone()
                },
                &qwen_code,
            )
        };
        let (from, to) = (endpoints_of(old), endpoints_of(new));
        let covers_all = !to.endpoints().is_empty() && to.endpoints().iter().all(|url| from.covers(url));
        if from == to || covers_all {
            return None;
        }
        let label = |profile: &Profile, endpoints: &Binding| match endpoints.endpoints().first() {
            Some(url) => url.to_string(),
            None => profile.provider.clone().unwrap_or_default(),
        };
        Some(Self {
            old: label(old, &from),
            new: label(new, &to),
            was_in_use: old.method.is_some()
                || old.base_url.is_some()
                || old.provider.is_some()
                || old.key.is_some()
                || old.oauth.is_some(),
        })
    }

    /// Returns where a secret would go that was stored for a profile as it was then; `None` where it may go there, or where
    /// it went is not known.
    #[must_use]
    pub fn since(then: &StoredFor, now: &StoredFor) -> Option<Self> {
        if then == now {
            return None;
        }
        let profile = |members: &StoredFor| Profile::deserialize(Value::Object(members.clone())).ok();
        let (then, now) = (profile(then)?, profile(now)?);
        Self::between(&then, &now).or_else(|| Self::of_login(&then, &now))
    }

    /// As [`Move::between`] for the server of a login, which gets the refresh token. So does the one where
    /// it is revoked. `None` for a profile that has no such server.
    #[must_use]
    pub fn of_login(old: &Profile, new: &Profile) -> Option<Self> {
        let server_of = |profile: &Profile| {
            let uses_server = profile.uses_oauth() || profile.oauth.is_some();
            profile.login_server().filter(|_| uses_server)
        };
        let (old, new) = (server_of(old)?, server_of(new)?);
        let moved = |old: String, new: String| {
            (old != new).then_some(Self {
                old,
                new,
                was_in_use: true,
            })
        };
        // A server whose endpoint was not named is asked where it is: the issuer answers for it.
        let revoked_at = |server: &OauthSettings| {
            let endpoint = server.revocation_endpoint.as_ref().map(ToString::to_string);
            endpoint.unwrap_or_else(|| token_server(server))
        };
        let is_named = old.revocation_endpoint.is_some() || new.revocation_endpoint.is_some();
        moved(token_server(&old), token_server(&new))
            .or_else(|| moved(old.issuer.clone()?, new.issuer.clone()?))
            .or_else(|| moved(revoked_at(&old), revoked_at(&new)).filter(|_| is_named))
    }
}

/// Returns what is kept beside a secret that is stored for a profile: the members that say where it may go.
#[must_use]
pub fn stored_for(profile: &Profile) -> StoredFor {
    let text = |text: &dyn ToString| Value::from(text.to_string());
    let mut members = Map::new();
    let mut keep = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            members.insert(name.to_owned(), value);
        }
    };
    keep("method", profile.method.map(|method| method.name().into()));
    keep("provider", profile.provider.as_deref().map(Value::from));
    keep(
        "base_url",
        profile.base_url.as_ref().map(|url| url.as_str().into()),
    );
    if let Some(server) = profile.oauth.as_ref().filter(|_| profile.uses_oauth()) {
        let endpoints = [
            ("issuer", server.issuer.as_ref().map(|issuer| text(issuer))),
            (
                "token_endpoint",
                server.token_endpoint.as_ref().map(|url| text(url)),
            ),
            (
                "revocation_endpoint",
                server.revocation_endpoint.as_ref().map(|url| text(url)),
            ),
        ];
        let named = endpoints
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        keep("oauth", Some(Value::Object(named.collect())));
    }
    members
}

/// Returns where a login's tokens are refreshed: the endpoint, else the issuer that names it.
fn token_server(server: &OauthSettings) -> String {
    let endpoint = server.token_endpoint.as_ref().map(ToString::to_string);
    endpoint.or_else(|| server.issuer.clone()).unwrap_or_default()
}

/// Returns the server that gets the refresh token of a profile's login.
#[must_use]
pub fn login_endpoint(profile: &Profile) -> String {
    profile
        .login_server()
        .as_ref()
        .map(token_server)
        .unwrap_or_default()
}

/// Returns what of a profile may hold or give a secret, by the paths of the members.
#[must_use]
pub fn secret_members(profile: &Profile) -> Vec<String> {
    let key = match &profile.key {
        Some(KeySetting::Store(_)) if !profile.uses_oauth() => Some("key.store"),
        Some(KeySetting::Env(_)) => Some("key.env"),
        Some(KeySetting::Command(_)) => Some("key.command"),
        _ if profile.uses_oauth() => Some("the login"),
        _ => None,
    };
    let named = |object: &'static str, name: &String| format!("{object}.{name}");
    let headers = profile.headers.keys().map(|name| named("headers", name));
    let query = profile.query.keys().map(|name| named("query", name));
    let body = profile.body.keys().map(|name| named("body", name));
    let oauth = profile.oauth.iter().flat_map(|server| server.parameters.keys());
    let oauth = oauth.map(|name| named("oauth.parameters", name));
    let http = profile.allow_http.then(|| "allow_http".to_owned());
    let key = key.map(str::to_owned).into_iter();
    key.chain(headers)
        .chain(query)
        .chain(body)
        .chain(oauth)
        .chain(http)
        .collect()
}

/// Removes what is bound to an endpoint; returns the names, with those of the members of objects.
pub fn remove_bound_members(profile: &mut Map<String, Value>) -> Vec<String> {
    let mut removed = Vec::new();
    for name in BOUND_MEMBERS {
        let names: Vec<String> = match profile.shift_remove(name) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(members)) => members.keys().map(|member| format!("'{member}'")).collect(),
            Some(_) => Vec::new(),
        };
        removed.push(match names.is_empty() {
            true => name.to_owned(),
            false => format!("{name} {}", names.join(" ")),
        });
    }
    removed
}
