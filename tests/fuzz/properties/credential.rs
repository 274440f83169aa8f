//! Stored credentials: what is read of a file, of ours and of Qwen Code's, is written so that it is read again as the same.

use std::time::{Duration, SystemTime};

use qwen_shared::net::credential::{KeyringTimeout, Store, StoreError, StoreKind, Stored};
use qwen_shared::paths;

use super::place;

/// Reads an input as both kinds of file.
pub(crate) fn holds(data: &[u8]) {
    let own = paths::credential_dir()
        .expect("a home")
        .join("credentials/p.json");
    let shared = paths::qwen_home().expect("a home").join("oauth_creds.json");
    for (kind, path) in [(StoreKind::File, own), (StoreKind::QwenCode, shared)] {
        place::write(&path, data);
        let store = Store::open(kind, "p", KeyringTimeout::noninteractive()).expect("a store");
        match store.load() {
            Ok(Some(loaded)) => is_kept(&store, &loaded.stored),
            Ok(None) => assert!(data.trim_ascii().is_empty(), "nothing is read of something"),
            Err(error) => hides(&error, data),
        }
        std::fs::remove_file(&path).expect("the file");
    }
}

/// Writes what was read, and reads it again.
fn is_kept(store: &Store, stored: &Stored) {
    let locked = store
        .lock(Duration::from_secs(60), &|_| ())
        .expect("a lock of one's own");
    locked.save(stored).expect("a file of one's own");
    drop(locked);
    let again = store.load().expect("what was written").expect("a credential");
    assert!(
        again.stored == *stored,
        "{:?} was written, and read is {stored:?}",
        again.stored
    );
    if let Stored::Oauth(credential) = stored {
        let now = SystemTime::now();
        let left = credential.expires_in(now);
        assert_eq!(
            credential.is_expired(now),
            left.is_some_and(|left| left.is_zero())
        );
        assert!(!credential.is_expired(now) || credential.is_due(Duration::ZERO, now));
    }
}

/// What is said of a file that cannot be used never quotes it.
fn hides(error: &StoreError, data: &[u8]) {
    let words = error.to_string();
    let text = String::from_utf8_lossy(data);
    let secrets = text.split('"').filter(|text| text.starts_with("secret-"));
    for secret in secrets {
        assert!(!words.contains(secret), "{words} shows {secret}");
    }
}
