//! Which store a login uses.

use qwen_shared::exit::Failure;
use qwen_shared::net::api::keyring_timeout;
use qwen_shared::net::credential::{Store, StoreError, StoreKind};

use crate::login::Login;

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
    let is_file = matches!(kind, Some(StoreKind::File | StoreKind::QwenCode));
    if !is_file {
        let keyring = Store::open(StoreKind::Keyring, name, timeout.clone())?;
        match keyring.probe() {
            Ok(()) => return Ok(keyring),
            Err(StoreError::NoKeyring(_)) if kind.is_none() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let file = match is_qwen {
        true => StoreKind::QwenCode,
        false => StoreKind::File,
    };
    let store = Store::open(file, name, timeout)?;
    store.probe()?;
    Ok(store)
}
