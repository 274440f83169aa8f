//! `qwen-auth show`: a profile as it is written.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::config::{Config, active_profile, mask_profile, no_such_profile};
use qwen_shared::output::Reporter;
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
