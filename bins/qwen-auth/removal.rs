//! `qwen-auth rename` and `qwen-auth remove`: the profile with what is stored for it.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::config::{Config, Profile, active_profile, check_name, no_such_profile};
use qwen_shared::net::credential::{Store, StoreKind};
use qwen_shared::output::Reporter;
use serde_json::{Value, json};

use crate::assignment::usage;
use crate::guard::Leftover;
use crate::logout;
use crate::stored::{self, Copied};

/// Gives a profile another name.
///
/// What is stored is copied first and removed last: whatever ends this, the profile has its credential.
pub(crate) fn rename(from: &str, to: &str, reporter: &Reporter) -> Outcome {
    let _lock = Config::lock_profiles()?;
    let config = Config::load()?;
    let Some(profile) = config.profiles.get(from) else {
        return Err(no_such_profile(from, &config.profiles));
    };
    check_name(to).map_err(usage)?;
    if from == to {
        reporter.notice(&format!("profile '{from}' has that name"));
        return Ok(Exit::Ok);
    }
    if config.profiles.contains_key(to) {
        let failure = Failure::new(Exit::Usage, format!("a profile is called '{to}' already"));
        return Err(failure.hint(format!("run 'qwen-auth remove {to}' first, if it is not needed")));
    }
    Config::check_writable()?;
    confirm_new_name(from, to, profile, reporter)?;
    let moved = copy_stored(from, to, profile, reporter)?;
    let renamed = Config::rename_profile(from, to, |members| {
        if members.get("default_profile").and_then(Value::as_str) == Some(from) {
            members.insert("default_profile".to_owned(), json!(to));
        }
    });
    if let Err(failure) = renamed {
        for (_, new, copied) in &moved {
            let _ = copied.remove(new, reporter);
        }
        return Err(failure);
    }
    reporter.notice(&format!("profile '{from}' is '{to}' now"));
    for (old, new, copied) in &moved {
        copied.remove(old, reporter)?;
        reporter.notice(&format!("its credential is in '{}'", new.place()));
    }
    if std::env::var("QWEN_PROFILE").is_ok_and(|name| name == from) {
        reporter.notice(&format!("environment QWEN_PROFILE still names '{from}'"));
    }
    Ok(Exit::Ok)
}

/// Asks whether a profile without a credential may use what is stored under its new name.
fn confirm_new_name(from: &str, to: &str, profile: &Profile, reporter: &Reporter) -> Result<(), Failure> {
    match Leftover::of(to, None, profile, reporter) {
        Some(leftover) if !stored::is_there(from, profile, reporter) => leftover.confirm(),
        _ => Ok(()),
    }
}

/// Copies what is stored for a profile to another name. Returns the stores that hold something, each with the new one.
fn copy_stored(
    from: &str,
    to: &str,
    profile: &Profile,
    reporter: &Reporter,
) -> Result<Vec<(Store, Store, Copied)>, Failure> {
    let mut moved = Vec::new();
    for kind in stored::all_kinds(from, profile, reporter)? {
        let (old, new) = (
            stored::open(kind, from, reporter)?,
            stored::open(kind, to, reporter)?,
        );
        match stored::copy_or_link(&old, &new, reporter)? {
            Copied::Nothing => {}
            copied => moved.push((old, new, copied)),
        }
    }
    Ok(moved)
}

/// Removes a profile, and what is stored for it alone.
pub(crate) fn remove(name: &str, reporter: &Reporter) -> Outcome {
    let _lock = Config::lock_profiles()?;
    let config = Config::load()?;
    let Some(profile) = config.profiles.get(name) else {
        return Err(no_such_profile(name, &config.profiles));
    };
    Config::check_writable()?;
    if profile.store()? == Some(StoreKind::QwenCode) {
        let place = stored::open(StoreKind::QwenCode, name, reporter)?.place();
        reporter.notice(&format!(
            "its login is shared with Qwen Code, and stays in '{place}'"
        ));
    }
    remove_stored(name, profile, reporter).map_err(|failure| match failure.exit {
        Exit::TryAgain => without_keyring(name, failure),
        _ => failure,
    })?;
    let was_default = config.default_profile.as_deref() == Some(name);
    Config::edit(|members| {
        if let Some(Value::Object(profiles)) = members.get_mut("profiles") {
            profiles.shift_remove(name);
        }
        if members.get("default_profile").and_then(Value::as_str) == Some(name) {
            members.shift_remove("default_profile");
        }
    })?;
    reporter.notice(&format!("profile '{name}' is removed"));
    if was_default {
        report_default(reporter)?;
    }
    Ok(Exit::Ok)
}

/// Logs out, and removes what else is stored for a profile alone.
fn remove_stored(name: &str, profile: &Profile, reporter: &Reporter) -> Result<(), Failure> {
    if profile.store()?.is_some_and(|kind| kind != StoreKind::QwenCode) {
        logout::log_out(name, profile, reporter)?;
    }
    // A variable may have named another store than the one of the last login, or a method that the profile had before may
    // have left its own.
    for kind in stored::all_kinds(name, profile, reporter)? {
        logout::empty(kind, name, profile, reporter)?;
    }
    Ok(())
}

/// The failure of a removal while the keyring is locked, silent or not there: what there is to do about a login is of no use.
fn without_keyring(name: &str, mut failure: Failure) -> Failure {
    failure.hints.clear();
    failure.hint(format!(
        "unlock the keyring, or run 'qwen-auth set {name} key=' first, which leaves behind what it may hold"
    ))
}

/// Says which profile is in use now.
fn report_default(reporter: &Reporter) -> Result<(), Failure> {
    let (config, active) = active_profile(None)?;
    let names: Vec<&str> = config.profiles.keys().map(String::as_str).collect();
    match (active, names.as_slice()) {
        (Some(active), _) => reporter.notice(&format!("profile '{}' is in use", active.value)),
        (None, []) => reporter.notice("no profile is left"),
        (None, [first, ..]) => {
            reporter.notice(&format!("no profile is in use; there are {}", names.join(", ")));
            reporter.hint(&format!("run 'qwen-auth use {first}'"));
        }
    }
    Ok(())
}
