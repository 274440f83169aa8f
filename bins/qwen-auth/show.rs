//! `qwen-auth show`: a profile as it is written.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::config::{Config, active_profile, no_such_profile};
use qwen_shared::net::http::BaseUrl;
use qwen_shared::output::Reporter;
use qwen_shared::secret::{is_secret_name, mask};
use serde_json::{Map, Value};

use crate::profiles::print_json;

/// Prints a profile, by default the one in use.
pub(crate) fn profile(name: Option<&str>, show_secrets: bool, reporter: &Reporter) -> Outcome {
    let (config, active) = active_profile(name)?;
    for notice in &config.notices {
        reporter.notice(notice);
    }
    let name = named(active.map(|active| active.value), &config, "show")?;
    let text = Config::text()?.unwrap_or_default();
    let mut members: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    let profile = members
        .get_mut("profiles")
        .and_then(|profiles| profiles.get_mut(&name));
    let Some(profile) = profile else {
        return Err(no_such_profile(&name, &config.profiles));
    };
    if !show_secrets && let Value::Object(profile) = profile {
        mask_profile(profile);
    }
    print_json(profile)?;
    Ok(Exit::Ok)
}

/// Returns the profile that is meant, where it is there.
///
/// # Errors
/// 64 when none is in use, 77 when there is none of that name.
pub(crate) fn named(active: Option<String>, config: &Config, action: &str) -> Result<String, Failure> {
    let Some(name) = active else {
        let names: Vec<&str> = config.profiles.keys().map(String::as_str).collect();
        return Err(match names.first() {
            None => Failure::new(Exit::NoAuth, "no profile is configured").hint("run 'qwen-login'"),
            Some(first) => {
                let message = format!("no profile is in use; name one of {}", names.join(", "));
                Failure::new(Exit::Usage, message).hint(format!("run 'qwen-auth {action} {first}'"))
            }
        });
    };
    match config.profiles.contains_key(&name) {
        true => Ok(name),
        false => Err(no_such_profile(&name, &config.profiles)),
    }
}

/// Masks what may be secret: headers, query, body, parameters, the arguments of a key command, the query of addresses, and what
/// is not known but called as a secret is.
fn mask_profile(profile: &mut Map<String, Value>) {
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
