//! `qwen-auth logout`: revokes and removes credentials.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::api::keyring_timeout;
use qwen_shared::net::config::{Config, KeySetting, Method, Profile, active_profile};
use qwen_shared::net::credential::{LOCK_LIMIT, Store, StoreKind, Stored};
use qwen_shared::output::Reporter;

use crate::{profiles, revocation};

/// Logs out of a profile, by default the one in use.
pub(crate) fn one(name: Option<&str>, reporter: &Reporter) -> Outcome {
    let (config, active) = active_profile(name)?;
    let Some(name) = active.map(|active| active.value) else {
        return match config.profiles.is_empty() {
            true => without_profile(reporter),
            false => Err(which_profile(&config)),
        };
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

/// The failure when it is not said which of several profiles is meant.
fn which_profile(config: &Config) -> Failure {
    let names: Vec<&str> = config.profiles.keys().map(String::as_str).collect();
    let message = format!("no profile is in use; name one of {}", names.join(", "));
    Failure::new(Exit::Usage, message)
        .hint(format!(
            "run 'qwen-auth logout {}'",
            names.first().copied().unwrap_or_default()
        ))
        .hint("or 'qwen-auth logout --all'")
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
            Some(KeySetting::Command { words, .. }) => {
                format!("its key comes from the command '{}'", words[0])
            }
            _ => "it has no credential".to_owned(),
        };
        reporter.notice(&format!("profile '{name}': nothing is stored, {place}"));
        return Ok(());
    };
    let store = Store::open(kind, name, keyring_timeout(reporter))?;
    // No refresh may store a new token meanwhile.
    let locked = store.lock(LOCK_LIMIT, &|text| reporter.notice(text))?;
    let revocation = match locked.load() {
        Ok(Some(loaded)) => match &loaded.stored {
            Stored::Oauth(credential) => Some(revocation::revoke(profile, credential)),
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
        Err(error) if error.exit() == Exit::NoAuth || locked.is_link() => {
            Some(format!("not revoked: {error}"))
        }
        Err(error) => return Err(error.into()),
    };
    locked.delete()?;
    let revocation = revocation.map_or_else(String::new, |revocation| format!("; {revocation}"));
    let place = store.place();
    reporter.notice(&format!("profile '{name}': removed from '{place}'{revocation}"));
    if kind == StoreKind::QwenCode {
        reporter.notice("Qwen Code shared this login and is logged out too");
    }
    Ok(())
}
