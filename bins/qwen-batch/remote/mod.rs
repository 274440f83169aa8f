//! Questions handed to the provider's batch engine: `/files` and `/batches` as OpenAI documents them.
//!
//! Nothing is kept here: a batch is found by its ID, from any machine.

mod api;
mod batch;
mod fetch;
mod prepare;
mod show;
mod submit;
mod watch;

pub(crate) use fetch::fetch;
pub(crate) use show::{cancel, list, status};
pub(crate) use submit::submit;
pub(crate) use watch::wait;
