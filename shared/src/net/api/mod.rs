//! Calls of an endpoint's API.
//!
//! An [`Endpoint`] is made of settings, provider and credential, and carries what is bound to it; a [`Client`] is made of
//! an endpoint and sends [`Call`]s to it: it paces, retries, renews and limits them.

mod answer;
mod approved_login;
mod authorization;
mod call;
mod client;
mod endpoint;
mod error;
mod key_command;
mod limits;
mod models;
mod redaction;
mod retry;

pub use answer::{AnswerSink, read_answer};
pub use approved_login::{LeftLogins, take_over_logins};
pub use authorization::{Authorization, authorize, check_stored_for, keyring_timeout, store_of};
pub use call::{Call, Event, Get, RefusedResponse};
pub use client::{Client, ClientOptions, run};
pub use endpoint::Endpoint;
pub use error::Error;
pub use limits::{LimitArgs, TimeoutArgs};
pub use models::{model_name, read_models};
pub use retry::LONGEST_WAIT;
