//! Which store a login uses.

use std::path::Path;
use std::thread;
use std::time::Duration;

use qwen_shared::exit::Failure;
use qwen_shared::net::api::keyring_timeout;
use qwen_shared::net::credential::{Store, StoreError, StoreKind, Stored};

use crate::approval::Approved;
use crate::login::Login;
use crate::profile::ProfileUpdate;
use crate::questions::Choice;

/// Opens the store that was chosen, else the keyring, or a file if there is no keyring. With `is_qwen`, for a login at
/// qwen.ai, the file is Qwen Code's.
///
/// Call it before the login: a token that cannot be stored is lost.
///
/// # Errors
/// The store is not usable. No file replaces a keyring that is locked or does not answer: the user may not want one.
pub(crate) fn choose_store(login: &Login<'_>, is_qwen: bool) -> Result<Store, Failure> {
    let (name, kind) = (&login.profile.name, login.profile.store);
    let timeout = keyring_timeout(login.reporter);
    let notify = |text: &str| login.reporter.notice(text);
    let is_file = matches!(kind, Some(StoreKind::File | StoreKind::QwenCode));
    if !is_file {
        let keyring = Store::open(StoreKind::Keyring, name, timeout.clone())?;
        match keyring.probe(&notify) {
            Ok(()) => return Ok(keyring),
            Err(StoreError::NoKeyring(_)) if kind.is_none() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let store = Store::open(file_kind(is_qwen), name, timeout)?;
    store.probe(&notify)?;
    Ok(store)
}

const fn file_kind(is_qwen: bool) -> StoreKind {
    match is_qwen {
        true => StoreKind::QwenCode,
        false => StoreKind::File,
    }
}

/// How long is waited before each further try to store a login where nobody can be asked.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// Stores a login that a person has approved, and updates the profile; returns the store.
///
/// The store was tried before, so what fails now may pass, or be mended: it is tried again, on a terminal as long as the
/// person wants, there also in the other store.
///
/// # Errors
/// As [`crate::profile::LoginProfile::save`]. The login is then left to the next program, where its journal has it; else it is
/// lost. Which it is is said.
pub(crate) fn keep(
    login: &mut Login<'_>,
    mut store: Store,
    stored: &Stored,
    update: &mut ProfileUpdate,
    is_qwen: bool,
    mut approved: Approved,
) -> Result<Store, Failure> {
    let mut pauses = PAUSES.into_iter();
    loop {
        update.store = Some(store.kind());
        let Err(failure) = login.profile.save(&store, stored, update, login.reporter) else {
            approved.finish();
            return Ok(store);
        };
        approved.allow_signals();
        if login.terminal.is_some() {
            match ask(login, &failure, &store, is_qwen) {
                Ok(Next::Again) => {}
                Ok(Next::In(other)) => store = other,
                Err(failure) => {
                    approved.leave();
                    return Err(failure);
                }
                Ok(Next::GiveUp) => {
                    approved.finish();
                    return Err(lost(failure, &login.profile.name));
                }
            }
            continue;
        }
        let Some(pause) = pauses.next() else {
            let name = &login.profile.name;
            return Err(match approved.leave() {
                Some(journal) => left(failure, &journal, name),
                None => lost(failure, name),
            });
        };
        if pause == PAUSES[0] {
            let message = &failure.message;
            login.reporter.notice(&format!(
                "{message}; the login is approved, so this is tried again"
            ));
        }
        thread::sleep(pause);
    }
}

/// What a person wants to be done with a login that the store did not take.
enum Next {
    Again,
    In(Store),
    GiveUp,
}

fn ask(login: &mut Login<'_>, failure: &Failure, store: &Store, is_qwen: bool) -> Result<Next, Failure> {
    let other = match store.kind() {
        StoreKind::Keyring => (file_kind(is_qwen), "store it in a file that only you can read"),
        _ => (StoreKind::Keyring, "store it in the system keyring"),
    };
    let timeout = keyring_timeout(login.reporter);
    let Some(terminal) = login.terminal.as_mut() else {
        return Ok(Next::GiveUp);
    };
    terminal.say(&failure.message)?;
    let options = ["try again", other.1, "give it up"];
    let question = "The login is approved, but not stored yet.";
    Ok(match Choice::new(question, &options, 0).ask(terminal)? {
        0 => Next::Again,
        1 => Next::In(Store::open(other.0, &login.profile.name, timeout)?),
        _ => Next::GiveUp,
    })
}

fn left(failure: Failure, journal: &Path, profile: &str) -> Failure {
    let message = format!(
        "the login was approved, but it cannot be stored: {}; it is kept in '{}'",
        failure.message,
        journal.display()
    );
    Failure { message, ..failure }.hint(format!(
        "mend that, then run 'qwen-auth status --profile {profile}', which stores it"
    ))
}

fn lost(failure: Failure, profile: &str) -> Failure {
    let message = format!(
        "the login was approved, but it cannot be stored: {}",
        failure.message
    );
    Failure { message, ..failure }.hint(format!(
        "mend that, then log in again: 'qwen-login --profile {profile}'"
    ))
}
