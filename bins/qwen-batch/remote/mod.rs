//! The provider's Batch API: `/files` and `/batches` as OpenAI documents them.
//!
//! Nothing is stored locally: a batch is found by its ID, from any machine.

mod api;
mod batch;
mod download;
mod staged_input;
mod status;
mod submit;

pub(crate) use download::fetch;
pub(crate) use status::{cancel, list, status, wait};
pub(crate) use submit::submit;
