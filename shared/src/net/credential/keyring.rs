//! The system keyring, every call bounded.
//!
//! No keyring library has a time limit, and a provider that waits for a person, or hangs, never answers. So each call
//! runs on a thread of its own, which is left behind when its time is up: nothing joins it, and the exit of the
//! program ends it.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, thread};

use keyring_core::{CredentialStore, Entry, Error};

use super::error::StoreError;
use crate::secret::Secret;

const SERVICE: &str = "qwen-toolkit";

/// How long a silent keyring goes unmentioned on a terminal.
const BEFORE_A_WORD: Duration = Duration::from_millis(700);

type Announce = dyn Fn(&str) + Send + Sync;

/// How long a keyring may take, and who hears that it is waited for.
#[derive(Clone, Default)]
pub struct Patience(Option<Arc<Announce>>);

impl Patience {
    /// Three seconds: nobody is there to unlock anything.
    #[must_use]
    pub const fn for_scripts() -> Self {
        Self(None)
    }

    /// A minute, for a person at a terminal, who is told through `announce` what is waited for.
    #[must_use]
    pub fn for_people(announce: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(announce)))
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(if self.0.is_some() { 60 } else { 3 })
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Patience").field(&self.limit()).finish()
    }
}

/// One item of the keyring, holding one JSON document.
pub(super) struct Keyring {
    user: String,
    patience: Patience,
    connection: Mutex<Option<Arc<CredentialStore>>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Keyring {
    pub(super) const fn new(user: String, patience: Patience) -> Self {
        Self {
            user,
            patience,
            connection: Mutex::new(None),
        }
    }

    pub(super) fn read(&self) -> Result<Option<Secret<Vec<u8>>>, StoreError> {
        self.call(&self.user, |entry| match entry.get_secret() {
            Ok(bytes) => Ok(Some(Secret::new(bytes))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(error),
        })
    }

    pub(super) fn write(&self, document: Secret<Vec<u8>>) -> Result<(), StoreError> {
        self.call(&self.user, move |entry| {
            match entry.set_secret(document.expose()) {
                // More than one item of our name is nothing of our making: one is to be left.
                Err(Error::Ambiguous(items)) => {
                    items.iter().try_for_each(Entry::delete_credential)?;
                    entry.set_secret(document.expose())
                }
                other => other,
            }
        })
    }

    pub(super) fn delete(&self) -> Result<bool, StoreError> {
        self.call(&self.user, remove)
    }

    /// Writes, reads and deletes an item that is no credential.
    pub(super) fn probe(&self) -> Result<(), StoreError> {
        let user = format!("trial {}", std::process::id());
        let same = self.call(&user, |entry| {
            const CANARY: &[u8] = b"may this be written?";
            entry.set_secret(CANARY)?;
            let read = entry.get_secret();
            remove(entry)?;
            Ok(read? == CANARY)
        })?;
        if same {
            return Ok(());
        }
        Err(StoreError::Keyring(
            "what was written did not come back".to_owned(),
        ))
    }

    /// Runs one piece of work with the connection of the last one, connecting first where there is none.
    fn call<T: Send + 'static>(
        &self,
        user: &str,
        work: impl FnOnce(&Entry) -> keyring_core::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let known = self.connection().clone();
        let connection = match known {
            Some(connection) => connection,
            None => self
                .bounded(connect_in_turn)?
                .map_err(|error| not_connected(&error))?,
        };
        *self.connection() = Some(Arc::clone(&connection));
        let user = user.to_owned();
        let outcome = self.bounded(move || {
            connection
                .build(SERVICE, &user, None)
                .and_then(|entry| work(&entry))
        })?;
        outcome.map_err(|error| refused(&error))
    }

    /// Runs one piece of work on a thread of its own, which is left behind when it takes too long.
    fn bounded<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
        let (done, result) = mpsc::channel();
        thread::Builder::new()
            .name("keyring".to_owned())
            .spawn(move || {
                let _ = done.send(work());
            })
            .map_err(|error| StoreError::Keyring(error.to_string()))?;
        self.await_answer(&result)
    }

    fn await_answer<T>(&self, result: &mpsc::Receiver<T>) -> Result<T, StoreError> {
        let limit = self.patience.limit();
        let silent = |_: RecvTimeoutError| StoreError::Silent(limit);
        let Some(announce) = &self.patience.0 else {
            return result.recv_timeout(limit).map_err(silent);
        };
        result.recv_timeout(BEFORE_A_WORD).or_else(|_| {
            announce(&format!(
                "waiting at most {} s for the system keyring; unlock it where it asks you to",
                limit.as_secs()
            ));
            result.recv_timeout(limit - BEFORE_A_WORD).map_err(silent)
        })
    }

    fn connection(&self) -> std::sync::MutexGuard<'_, Option<Arc<CredentialStore>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects, waiting where more processes of one user have a connection than the bus allows (256).
fn connect_in_turn() -> keyring_core::Result<Arc<CredentialStore>> {
    loop {
        match connect() {
            Err(error) if reason(&error).contains("LimitsExceeded") => {
                thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

fn remove(entry: &Entry) -> keyring_core::Result<bool> {
    match entry.delete_credential() {
        Ok(()) => Ok(true),
        Err(Error::NoEntry) => Ok(false),
        Err(Error::Ambiguous(items)) => items.iter().try_for_each(Entry::delete_credential).map(|()| true),
        Err(error) => Err(error),
    }
}

#[cfg(target_os = "linux")]
fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    zbus_secret_service_keyring_store::Store::new().map(|store| store as Arc<CredentialStore>)
}

#[cfg(target_os = "macos")]
fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    apple_native_keyring_store::keychain::Store::new().map(|store| store as Arc<CredentialStore>)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    Err(Error::NoDefaultStore)
}

/// Tells "there is none" from "there is one that does not let us in": only the first lets a login choose a file.
fn not_connected(error: &Error) -> StoreError {
    let reason = reason(error);
    let absent = [
        "no secret service provider",
        "ServiceUnknown",
        "NameHasNoOwner",
        "Spawn.ServiceNotFound",
        "No such file",
        "Connection refused",
        "no default store",
    ];
    if absent.iter().any(|sign| reason.contains(sign)) || matches!(error, Error::NoDefaultStore) {
        return StoreError::NoKeyring(reason);
    }
    refused(error)
}

fn refused(error: &Error) -> StoreError {
    let reason = reason(error);
    match error {
        Error::NoStorageAccess(_) => StoreError::Locked(reason),
        // Creating an item reports a locked collection as a failure of the platform.
        Error::PlatformFailure(_) if reason.contains("locked") || reason.contains("prompt") => {
            StoreError::Locked(reason)
        }
        _ => StoreError::Keyring(reason),
    }
}

/// Says why, in the innermost words that there are. Errors that hold stored bytes are not quoted.
fn reason(error: &Error) -> String {
    match error {
        Error::NoStorageAccess(inner) | Error::PlatformFailure(inner) => inner.to_string(),
        Error::Ambiguous(items) => format!("it holds {} items of the same name", items.len()),
        Error::BadEncoding(_) | Error::BadDataFormat(..) => "it returned something malformed".to_owned(),
        other => other.to_string(),
    }
}
