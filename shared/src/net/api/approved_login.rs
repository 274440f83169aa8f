//! Taking over a login that a person has approved, and that its own program did not come to store.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::authorization::keyring_timeout;
use crate::exit::{Exit, Failure};
use crate::net::config::{Config, KeySetting, Profile, stored_for};
use crate::net::credential::{
    ApprovedLogin, KeyringTimeout, LOCK_LIMIT, LoginSubject, Store, StoreError, StoreKind, Stored,
    approved_logins,
};
use crate::output::Reporter;

/// Stores what a login that was cut short after its approval has left, or an API key that was not stored with its profile, and
/// completes the profile. Every program that uses credentials calls it before it reads settings; where nothing was left it
/// makes one system call.
///
/// A login is for its profile, server and client alone: where one of these has changed since, or a newer credential is
/// stored, it is dropped. One that cannot be stored now stays for the next program. Both are said.
pub fn take_over_logins(reporter: &Reporter) -> LeftLogins {
    let mut left = LeftLogins::default();
    for login in approved_logins() {
        let is_refused = login.as_ref().is_err_and(is_refusal_of_ours);
        let result = login.map_err(Failure::from).and_then(|login| {
            let profile = login.subject.profile.clone();
            let what = match login.subject.is_key() {
                true => "the new key",
                false => "the approved login",
            };
            take_over(login, reporter).map_err(|failure| Failure {
                message: format!(
                    "{what} of profile '{profile}' is not stored yet: {}",
                    failure.message
                ),
                ..failure
            })
        });
        if let Err(failure) = result {
            reporter.notice(&failure.message);
            failure.hints.iter().for_each(|hint| reporter.hint(&hint.0));
            left.exit = (!is_refused).then_some(failure.exit).or(left.exit);
        }
    }
    left
}

/// True for what was found in the journal's place and is not believed: no call of the system has failed.
fn is_refusal_of_ours(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { error, .. } if error.raw_os_error().is_none())
}

/// Approved logins that could not be stored now.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct LeftLogins {
    exit: Option<Exit>,
}

impl LeftLogins {
    /// Where a credential is missing because the machine kept a login from being stored, it is the machine that has to be
    /// looked at: another login would not help.
    #[must_use]
    pub fn explain(&self, failure: Failure) -> Failure {
        match self.exit {
            Some(exit @ (Exit::Io | Exit::TryAgain | Exit::NoInput)) if failure.exit == Exit::NoAuth => {
                Failure { exit, ..failure }
            }
            _ => failure,
        }
    }
}

fn take_over(login: ApprovedLogin, reporter: &Reporter) -> Result<(), Failure> {
    let name = &login.subject.profile;
    let Some(stored) = login.stored() else {
        // No program could have used it.
        login.finish();
        return Ok(());
    };
    let members = Config::members_of(name)?;
    let Some(profile) = profile_after(&login.subject, members.as_ref()) else {
        let what = match login.subject.is_key() {
            true => "its new key was given: that key",
            false => "its login was approved: that login",
        };
        reporter.notice(&format!("profile '{name}' has changed since {what} is dropped"));
        reporter.hint(&format!("run 'qwen-login --profile {name}' to log in again"));
        login.finish();
        return Ok(());
    };
    let stored = stored.with_stored_for(stored_for(&profile));
    let kind = profile.remembered_store().unwrap_or(StoreKind::File);
    let store = Store::open(kind, name, keyring_timeout(reporter))?;
    let Some(old) = save(&store, stored, &login, reporter)? else {
        reporter.detail(&format!(
            "profile '{name}': a newer credential is stored than the login that was left behind"
        ));
        login.finish();
        return Ok(());
    };
    remove_old_credential(name, old.as_ref(), &profile);
    let what = match login.subject.is_key() {
        true => format!("the new key of profile '{name}', given before"),
        false => format!("the login of profile '{name}', approved before"),
    };
    reporter.notice(&format!(
        "{what} qwen-login was cut short, is stored in '{}' now",
        store.place()
    ));
    login.finish();
    Ok(())
}

/// Returns the profile that the login is for, as it is to be; `None` where it is another one by now.
fn profile_after(subject: &LoginSubject, members: Option<&Map<String, Value>>) -> Option<Profile> {
    let as_planned = parse(&subject.after)?;
    let profile = match members {
        members if subject.is_as_before(members) => as_planned,
        // It was completed already, or other members of it were changed.
        Some(members) => {
            let now = parse(members)?;
            let is_same = match subject.is_key() {
                true => stored_for(&now) == stored_for(&as_planned),
                false => now.uses_oauth(),
            };
            (is_same && now.remembered_store() == as_planned.remembered_store()).then_some(now)?
        }
        None => return None,
    };
    if subject.is_key() {
        return Some(profile);
    }
    let server = profile.login_server()?;
    subject.is_at(&server).then_some(profile)
}

fn parse(members: &Map<String, Value>) -> Option<Profile> {
    Profile::deserialize(&Value::Object(members.clone())).ok()
}

/// Stores the credential, unless it is there already, and completes the profile; returns what that was then. `None` where what
/// is stored is newer.
fn save(
    store: &Store,
    mut stored: Stored,
    login: &ApprovedLogin,
    reporter: &Reporter,
) -> Result<Option<Option<Map<String, Value>>>, Failure> {
    let locked = store.lock(LOCK_LIMIT, &|text| reporter.notice(text))?;
    match locked.load() {
        Ok(Some(loaded)) => {
            if is_same_secret(&loaded.stored, &stored) {
                return complete_profile(&login.subject).map(Some);
            }
            if store.stored_at(&loaded.stored).is_some_and(|at| at > login.at) {
                return Ok(None);
            }
        }
        Ok(None) => {}
        // It cannot be used; a login replaces it.
        Err(error) if error.exit() == Exit::NoAuth => {}
        Err(error) => return Err(error.into()),
    }
    if let Stored::Oauth(credential) = &mut stored {
        store.keep_unknown_members(credential);
    }
    Config::check_writable()?;
    locked
        .save_with(&stored, || complete_profile(&login.subject))
        .map(Some)
        .map_err(|half| half.failure)
}

fn is_same_secret(one: &Stored, other: &Stored) -> bool {
    match (one, other) {
        (Stored::Oauth(one), Stored::Oauth(other)) => one.access_token == other.access_token,
        (Stored::ApiKey(one), Stored::ApiKey(other)) => one.key == other.key,
        _ => false,
    }
}

/// Gives the profile the members that the login was to give it, if it is still as the login has found it; returns what it was
/// then.
fn complete_profile(subject: &LoginSubject) -> Result<Option<Map<String, Value>>, Failure> {
    let members = Config::members_of(&subject.profile)?;
    if !subject.is_as_before(members.as_ref()) {
        return Ok(members);
    }
    let mut old = None;
    Config::edit(|members| {
        if !members.get("profiles").is_some_and(Value::is_object) {
            members.insert("profiles".to_owned(), json!({}));
        }
        let Some(profiles) = members.get_mut("profiles").and_then(Value::as_object_mut) else {
            return;
        };
        let current = profiles.get(&subject.profile).and_then(Value::as_object);
        if !subject.is_as_before(current) {
            return;
        }
        old = current.cloned();
        let after = Value::Object(subject.after.clone());
        profiles.insert(subject.profile.clone(), after);
        if members.get("default_profile").is_none_or(Value::is_null) {
            members.insert("default_profile".to_owned(), json!(subject.profile));
        }
    })?;
    Ok(old)
}

/// Removes the credential that an earlier login left in another store, where it would be forgotten.
fn remove_old_credential(name: &str, old: Option<&Map<String, Value>>, new: &Profile) {
    let old = old.and_then(parse).and_then(|old| match old.key {
        Some(KeySetting::Store(_)) => old.remembered_store(),
        _ => None,
    });
    let Some(old) = old.filter(|old| Some(*old) != new.remembered_store()) else {
        return;
    };
    // What is in its way now is no reason to fail: the profile does not name that store any more.
    if let Ok(store) = Store::open(old, name, KeyringTimeout::noninteractive())
        && let Ok(locked) = store.lock(LOCK_LIMIT, &|_| {})
    {
        let _ = locked.delete();
    }
}
