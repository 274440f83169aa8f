//! Requests to an endpoint, made of settings, provider and credential.
//!
//! [`Endpoint`] makes requests; [`fn@send`] sends one, with retries, until its response begins.

mod authorization;
mod endpoint;
mod error;
mod key_command;
mod models;
mod retry;
mod send;

pub use authorization::{Authorization, authorize, check_key, hint_when_refused, keyring_timeout, store_of};
pub use endpoint::Endpoint;
pub use error::SendError;
pub use models::{model_name, read_models};
pub use retry::{Backoff, LONGEST_WAIT, jitter};
pub use send::{Event, ResponseStart, send};
