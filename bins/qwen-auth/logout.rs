//! `qwen-auth logout`: revokes and removes credentials.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::api::keyring_timeout;
use qwen_shared::net::config::{Config, KeySetting, Method, Profile, active_profile, no_such_profile};
use qwen_shared::net::credential::{LOCK_LIMIT, Store, StoreKind, Stored};
use qwen_shared::output::Reporter;
use qwen_shared::paths;

use crate::{profiles, revocation, stored};

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
        None => return Err(no_such_profile(&name, &config.profiles)),
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

/// Logs out of every profile, and removes what is stored for those that are not configured any more. A failure of one does
/// not spare the others.
pub(crate) fn all(reporter: &Reporter) -> Outcome {
    let config = Config::load()?;
    let mut failed: Option<Failure> = None;
    let mut keep = |result: Result<(), Failure>| {
        if let Err(failure) = result
            && let Some(earlier) = failed.replace(failure)
        {
            reporter.failure(&earlier);
        }
    };
    for (name, profile) in &config.profiles {
        keep(log_out(name, profile, reporter));
    }
    let mut has_removed = false;
    for name in forgotten(&config) {
        let profile = Profile::default();
        for kind in stored::all_kinds(&name, &profile, reporter)? {
            has_removed = true;
            keep(empty(kind, &name, &profile, reporter).map(drop));
        }
    }
    if let Some(failure) = failed {
        return Err(failure);
    }
    match config.profiles.is_empty() && !has_removed {
        true => without_profile(reporter),
        false => Ok(Exit::Ok),
    }
}

/// Returns the names that something was stored for and that no profile has. Beside a file of another name than `config.json`
/// they may be another file's.
fn forgotten(config: &Config) -> Vec<String> {
    let file = paths::config_file();
    let is_usual = file.is_some_and(|file| file.file_name().is_some_and(|name| name == "config.json"));
    let names = Store::traced_profiles().into_iter();
    names
        .filter(|name| is_usual && !config.profiles.contains_key(name))
        .collect()
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

/// Removes what is stored for a profile, whatever the profile says of itself now.
pub(crate) fn log_out(name: &str, profile: &Profile, reporter: &Reporter) -> Result<(), Failure> {
    let own = profile.store()?;
    let left = stored::all_kinds(name, profile, reporter)?;
    let mut removed = false;
    for kind in own
        .into_iter()
        .chain(left.into_iter().filter(|kind| Some(*kind) != own))
    {
        removed |= empty(kind, name, profile, reporter)?;
    }
    if removed {
        return Ok(());
    }
    let place = match (own, &profile.key) {
        (Some(kind), _) => {
            let place = stored::open(kind, name, reporter)?.place();
            reporter.notice(&format!("profile '{name}': nothing is stored in '{place}'"));
            return Ok(());
        }
        (None, Some(KeySetting::Env(variable))) => format!("its key is in the variable {variable}"),
        (None, Some(KeySetting::Command(command))) => {
            format!("its key comes from the command '{}'", command.program())
        }
        (None, _) => "it has no credential".to_owned(),
    };
    reporter.notice(&format!("profile '{name}': nothing is stored, {place}"));
    Ok(())
}

/// Revokes and removes what a store holds; false where there is nothing.
pub(crate) fn empty(
    kind: StoreKind,
    name: &str,
    profile: &Profile,
    reporter: &Reporter,
) -> Result<bool, Failure> {
    let store = Store::open(kind, name, keyring_timeout(reporter))?;
    // A lock would make the directory that it is in.
    if kind != StoreKind::Keyring && !store.has_trace() {
        return Ok(false);
    }
    // No refresh may store a new token meanwhile.
    let locked = store.lock(LOCK_LIMIT, &|text| reporter.notice(text))?;
    let revocation = match locked.load() {
        Ok(Some(loaded)) => match &loaded.stored {
            Stored::Oauth(credential) => Some(revocation::revoke(profile, credential)),
            Stored::ApiKey(_) => None,
        },
        Ok(None) => {
            // A link to nothing, or a journal.
            locked.delete()?;
            return Ok(false);
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
    Ok(true)
}
