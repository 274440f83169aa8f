//! Credentials, where they are kept, and how exactly one of many processes renews one.
//!
//! - [`Credential`] and [`Stored`]: what is kept, as one JSON document.
//! - [`Store`]: the system keyring, a private file, or Qwen Code's file. Everything that changes a store goes through
//!   [`Held`], which is the store with its lock: a kernel lock, which dies with its holder, and for Qwen Code's file
//!   the lock file of Qwen Code's protocol too.
//! - [`choose`]: which store a login should use, tried by writing, reading and deleting before the login starts.
//! - [`obtain`]: a valid credential; lock, re-read, refresh, persist, in that order.
//!
//! This module knows no HTTP: the refresh is a function that is handed in.

mod document;
mod error;
mod keyring;
mod kind;
mod note;
mod qwen_code;
mod refresh;
mod store;

pub use document::{Credential, Life, Stored};
pub use error::StoreError;
pub use keyring::Patience;
pub use kind::StoreKind;
pub use refresh::{LOCK_LIMIT, Obtained, Refresh, Wanted, obtain};
pub use store::{Held, Loaded, Pending, Store, choose};
