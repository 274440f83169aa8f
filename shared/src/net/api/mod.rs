//! An endpoint that can be asked: what settings, provider and credential come to when a request is made of them.
//!
//! [`Endpoint`] makes requests, [`fn@send`] gets one of them an answer or a reason why not: bounded tries, every wait
//! announced, no redirect followed, nothing sent twice once the answer has begun.

mod authorization;
mod endpoint;
mod error;
mod key_command;
mod retry;
mod send;

pub use authorization::{Authorization, authorize, choose_store, hint_when_refused, patience, store_of};
pub use endpoint::Endpoint;
pub use error::SendError;
pub use retry::{Backoff, LONGEST_WAIT};
pub use send::{Opened, Told, Wait, chance, send};
