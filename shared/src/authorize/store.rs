//! The store that a profile's secret is in, and how long it is waited for.

use crate::config::{Access, Key, Settings, StoreName};
use crate::credential::{Patience, Store, StoreChoice, StoreKind, choose};
use crate::failure::Failure;
use crate::out::Talk;

/// Names the store of the profile in use. Touches neither files nor the keyring.
///
/// # Errors
/// No home directory.
pub fn store_of(settings: &Settings, talk: &Talk) -> Result<Store, Failure> {
    let (store, is_qwen) = match &settings.access.value {
        Access::Oauth { store, is_qwen, .. } => (*store, *is_qwen),
        Access::ApiKey(Key::Stored(store)) => (*store, false),
        _ => (StoreName::File, false),
    };
    let kind = match store {
        StoreName::Keyring => StoreKind::Keyring,
        StoreName::File if is_qwen => StoreKind::QwenCode,
        StoreName::File => StoreKind::File,
    };
    Ok(Store::open(kind, settings.profile_name(), patience(talk))?)
}

/// Finds the store for a login, as [`choose`] does, and tells the user what is not as expected.
///
/// # Errors
/// As [`choose`].
pub fn choose_store(
    choice: StoreChoice,
    profile: &str,
    is_qwen: bool,
    talk: &Talk,
) -> Result<Store, Failure> {
    let (store, notice) = choose(choice, profile, is_qwen, patience(talk))?;
    if let Some(notice) = notice {
        talk.notice(&notice);
    }
    Ok(store)
}

/// Waits for a keyring as long as someone is there to unlock it.
#[must_use]
pub fn patience(talk: &Talk) -> Patience {
    if !Talk::is_seen() {
        return Patience::for_scripts();
    }
    let talk = talk.clone();
    Patience::for_people(move |text| talk.notice(text))
}
