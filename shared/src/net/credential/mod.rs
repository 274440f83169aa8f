//! Credentials: where they are stored, and how one of many processes refreshes one.
//!
//! - [`Credential`] and [`Stored`]: what is stored, as one JSON document.
//! - [`Store`]: the system keyring, a private file, or Qwen Code's file. Changes need a [`LockedStore`]: a kernel lock,
//!   which dies with its holder, and for Qwen Code's file its lock file too.
//! - [`valid_credential`]: a credential from the store, refreshed if it is due.
//!
//! There is no HTTP here: the caller passes the function that refreshes.

mod document;
mod error;
mod journal;
mod keyring;
mod lock_record;
mod login_journal;
mod pending_write;
mod qwen_code_lock;
mod refresh;
mod store;

pub use document::{Credential, Stored, StoredFor, StoredKey};
pub use error::StoreError;
pub use keyring::KeyringTimeout;
pub use login_journal::{ApprovedLogin, LoginJournal, LoginSubject, approved_logins};
pub use refresh::{Refresh, RefreshPolicy, ValidCredential, valid_credential};
pub use store::{HalfSaved, LOCK_LIMIT, Loaded, LockedStore, Store, StoreKind};
