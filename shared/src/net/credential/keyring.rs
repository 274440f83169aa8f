//! The system keyring, with a timeout.
//!
//! The keyring libraries have none, and a service that hangs or waits for a person may never answer. So each call runs
//! on a thread of its own, which is abandoned after the timeout.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, fmt, thread};

use keyring_core::{CredentialStore, Entry, Error};

use super::error::StoreError;
use crate::exit::cannot_start;
use crate::secret::Secret;

const SERVICE: &str = "qwen-toolkit";

/// The content of the item that probes the keyring.
const PROBE: &[u8] = b"test";

/// How long to wait for the keyring before the person is told.
const NOTICE_DELAY: Duration = Duration::from_millis(700);

type Notify = dyn Fn(&str) + Send + Sync;

/// How long one call to the keyring may take. Clones share what they have learnt: a keyring that was silent once is not
/// waited for again.
#[derive(Clone, Default)]
pub struct KeyringTimeout {
    notify: Option<Arc<Notify>>,
    is_silent: Arc<AtomicBool>,
}

impl KeyringTimeout {
    /// Three seconds: nobody is there to unlock the keyring.
    #[must_use]
    pub fn noninteractive() -> Self {
        Self::default()
    }

    /// A minute, for a person to unlock the keyring, where its question has a screen to be on; else as
    /// [`KeyringTimeout::noninteractive`]. `notify` tells the person about the wait, once a process.
    #[must_use]
    pub fn interactive(notify: impl Fn(&str) + Send + Sync + 'static) -> Self {
        if !has_screen() {
            return Self::noninteractive();
        }
        Self {
            notify: Some(Arc::new(notify)),
            ..Self::default()
        }
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(if self.notify.is_some() { 60 } else { 3 })
    }
}

/// True where the keyring can ask a person: not on another machine (over SSH a display may be forwarded, but the keyring's
/// service does not know it), and not in a job of CI.
fn has_screen() -> bool {
    let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    if ["SSH_CONNECTION", "CI"].iter().any(is_set) {
        return false;
    }
    cfg!(not(target_os = "linux")) || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(is_set)
}

impl fmt::Debug for KeyringTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyringTimeout").field(&self.limit()).finish()
    }
}

/// One item of the keyring, which holds one JSON document.
pub(super) struct KeyringItem {
    user: String,
    timeout: KeyringTimeout,
    connection: Mutex<Option<Arc<CredentialStore>>>,
}

impl fmt::Debug for KeyringItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringItem")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl KeyringItem {
    pub(super) const fn new(user: String, timeout: KeyringTimeout) -> Self {
        Self {
            user,
            timeout,
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
                // Another program made more than one item of this name: replace them by one.
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

    /// Checks that the keyring is usable: writes, reads and deletes another item.
    pub(super) fn probe(&self) -> Result<(), StoreError> {
        let user = format!("probe {}", std::process::id());
        let is_same = self.call(&user, |entry| {
            entry.set_secret(PROBE)?;
            let read = entry.get_secret();
            remove(entry)?;
            Ok(read? == PROBE)
        })?;
        if is_same {
            return Ok(());
        }
        Err(StoreError::Keyring(
            "it did not return what was written".to_owned(),
        ))
    }

    /// Calls `work` with the item, over one connection for all calls. Where that fails, `work` is called once more over a new
    /// one: the bus may have been restarted since.
    fn call<T: Send + 'static>(
        &self,
        user: &str,
        work: impl Fn(&Entry) -> keyring_core::Result<T> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let work = Arc::new(work);
        let kept = self.kept_connection().clone();
        if let Some(connection) = kept {
            match self.call_over(connection, user, &work) {
                Err(StoreError::Keyring(_)) => *self.kept_connection() = None,
                other => return other,
            }
        }
        let connection = self
            .with_timeout(connect)?
            .map_err(|error| connection_error(&error))?;
        *self.kept_connection() = Some(Arc::clone(&connection));
        self.call_over(connection, user, &work)
    }

    fn call_over<T: Send + 'static>(
        &self,
        connection: Arc<CredentialStore>,
        user: &str,
        work: &Arc<impl Fn(&Entry) -> keyring_core::Result<T> + Send + Sync + 'static>,
    ) -> Result<T, StoreError> {
        let (user, work) = (user.to_owned(), Arc::clone(work));
        let result = self.with_timeout(move || {
            connection
                .build(SERVICE, &user, None)
                .and_then(|entry| work(&entry))
        })?;
        result.map_err(|error| keyring_error(&error))
    }

    fn kept_connection(&self) -> MutexGuard<'_, Option<Arc<CredentialStore>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_timeout<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.timeout.is_silent.load(Ordering::Relaxed) {
            return Err(StoreError::KeyringTimeout(self.timeout.limit()));
        }
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new()
            .name("keyring".to_owned())
            .spawn(move || {
                let _ = sender.send(work());
            })
            .map_err(|error| StoreError::Failed(Box::new(cannot_start("a thread", &error))))?;
        self.receive(&receiver)
    }

    fn receive<T>(&self, receiver: &mpsc::Receiver<T>) -> Result<T, StoreError> {
        static IS_TOLD: AtomicBool = AtomicBool::new(false);
        let limit = self.timeout.limit();
        let timed_out = |_: RecvTimeoutError| {
            self.timeout.is_silent.store(true, Ordering::Relaxed);
            StoreError::KeyringTimeout(limit)
        };
        let Some(notify) = &self.timeout.notify else {
            return receiver.recv_timeout(limit).map_err(timed_out);
        };
        receiver.recv_timeout(NOTICE_DELAY).or_else(|_| {
            if !IS_TOLD.swap(true, Ordering::Relaxed) {
                notify(&format!(
                    "waiting up to {} s for the system keyring; unlock it if it asks you to",
                    limit.as_secs()
                ));
            }
            receiver.recv_timeout(limit - NOTICE_DELAY).map_err(timed_out)
        })
    }
}

/// Connects; retries while the user has more connections than D-Bus allows (256).
fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    loop {
        match open_store() {
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
fn open_store() -> keyring_core::Result<Arc<CredentialStore>> {
    zbus_secret_service_keyring_store::Store::new().map(|store| store as Arc<CredentialStore>)
}

#[cfg(target_os = "macos")]
fn open_store() -> keyring_core::Result<Arc<CredentialStore>> {
    apple_native_keyring_store::keychain::Store::new().map(|store| store as Arc<CredentialStore>)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn open_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Err(Error::NoDefaultStore)
}

/// Tells a missing keyring, for which a login may use a file, from one that fails.
fn connection_error(error: &Error) -> StoreError {
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
    if absent.iter().any(|message| reason.contains(message)) || matches!(error, Error::NoDefaultStore) {
        return StoreError::NoKeyring(reason);
    }
    keyring_error(error)
}

fn keyring_error(error: &Error) -> StoreError {
    let reason = reason(error);
    match error {
        Error::NoStorageAccess(_) => StoreError::KeyringLocked(reason),
        // How a locked collection refuses a new item.
        Error::PlatformFailure(_) if reason.contains("locked") || reason.contains("prompt") => {
            StoreError::KeyringLocked(reason)
        }
        _ => StoreError::Keyring(plain(&reason)),
    }
}

/// Says what the system said without the names of the libraries that it came through.
fn plain(reason: &str) -> String {
    let text = reason.split(" (os error").next().unwrap_or(reason);
    if let Some((_, system)) = text.rsplit_once("I/O error: ") {
        return system.to_lowercase();
    }
    let mut words = text;
    // Names of libraries, and of D-Bus errors.
    while let Some((name, rest)) = words.split_once(": ")
        && (name.starts_with("zbus ") || name.starts_with("org."))
    {
        words = rest;
    }
    words.to_owned()
}

/// Returns the innermost message. Errors that contain stored bytes are not quoted.
fn reason(error: &Error) -> String {
    match error {
        Error::NoStorageAccess(inner) | Error::PlatformFailure(inner) => inner.to_string(),
        Error::Ambiguous(items) => format!("it holds {} items of the same name", items.len()),
        Error::BadEncoding(_) | Error::BadDataFormat(..) => "it returned something malformed".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_the_system_said_is_left_of_an_error() {
        for (reason, words) in [
            (
                "zbus error: I/O error: Connection reset by peer (os error 104)",
                "connection reset by peer",
            ),
            (
                "zbus fdo error: org.freedesktop.zbus.Error: i/o error",
                "i/o error",
            ),
            (
                "zbus error: org.freedesktop.DBus.Error.NoReply: it timed out: 25 s",
                "it timed out: 25 s",
            ),
            ("zbus error: unknown", "unknown"),
            ("it holds 2 items: a, b", "it holds 2 items: a, b"),
        ] {
            assert_eq!(plain(reason), words);
        }
    }
}
