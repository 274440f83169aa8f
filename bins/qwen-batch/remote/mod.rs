//! The provider's Batch API: `/files` and `/batches` as OpenAI documents them, and as others have it.
//!
//! Nothing is stored locally: a batch is found by its ID, from any machine.

mod api;
mod batch;
mod batch_list;
mod download;
mod existing;
mod fetch;
mod interrupt;
mod line_cutter;
mod lost_batch;
mod raw;
mod rest;
mod staged_input;
mod status;
mod submit;
mod submitted;
mod uploaded_file;
mod wait;

pub(crate) use fetch::fetch;
pub(crate) use status::{cancel, list, status};
pub(crate) use submit::submit;
pub(crate) use wait::wait;
