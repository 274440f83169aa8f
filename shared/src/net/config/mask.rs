//! What of a profile may be secret, and how it is shown.

use serde_json::{Map, Value};

use crate::net::http::BaseUrl;
use crate::secret::{is_secret_name, mask};

/// True where a member of `config.json` may be secret: one that [`mask_profile`] masks, or of the file as a whole one that is
/// called as a secret is.
pub(super) fn may_hold_secret(members: &Map<String, Value>) -> bool {
    members.iter().any(|(name, value)| match (name.as_str(), value) {
        ("profiles", Value::Object(profiles)) => profiles.values().any(|profile| {
            let mut masked = profile.clone();
            masked.as_object_mut().map(mask_profile);
            masked != *profile
        }),
        (name, _) => is_secret_name(name),
    })
}

/// Masks what may be secret: headers, query, body, parameters, the arguments of a key command, the query of addresses, and what
/// is not known but called as a secret is.
pub fn mask_profile(profile: &mut Map<String, Value>) {
    for (name, value) in profile {
        match (name.as_str(), value) {
            ("headers" | "query" | "body", value) => mask_all(value),
            ("base_url", Value::String(url)) => mask_url(url),
            ("key", Value::Object(key)) => {
                let words = key.get_mut("command").and_then(Value::as_array_mut);
                words.into_iter().flatten().skip(1).for_each(mask_all);
            }
            ("oauth", Value::Object(oauth)) => {
                for (name, value) in oauth {
                    match (name.as_str(), value) {
                        ("parameters", value) => mask_all(value),
                        ("issuer" | "client_id" | "scope" | "allowed_hosts" | "pkce", _) => {}
                        (_, Value::String(url)) if url.contains("://") => mask_url(url),
                        (name, value) if is_secret_name(name) && !name.ends_with("_endpoint") => {
                            mask_all(value);
                        }
                        _ => {}
                    }
                }
            }
            (name, value) if is_secret_name(name) => mask_all(value),
            _ => {}
        }
    }
}

/// Masks every text, at any depth. Numbers, true and false stay: they are no secrets.
fn mask_all(value: &mut Value) {
    match value {
        Value::String(text) => *text = mask(text),
        Value::Array(items) => items.iter_mut().for_each(mask_all),
        Value::Object(members) => members.values_mut().for_each(mask_all),
        _ => {}
    }
}

/// Masks the query of an address.
fn mask_url(url: &mut String) {
    if url.contains('?')
        && let Ok(parsed) = BaseUrl::parse(url)
    {
        *url = parsed.to_string();
    }
}
