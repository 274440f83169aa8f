//! The library under the qwen toolkit's programs, on two floors.
//!
//! Programs use this library and never each other; between programs the arrow is a process.
//!
//! The ground floor is everything outside `net`; it never names `net`, and a build without the feature `net` proves
//! that. On the upper floor `chat` is pure (bytes in, deltas out); `oauth` knows no store and no terminal;
//! `credential` no HTTP beyond a refresh function that is handed to it; only `http` names reqwest; `api` joins
//! settings, credential, http and ratelimit.
// A test may be one long table.
#![cfg_attr(test, allow(clippy::too_many_lines))]

pub mod address;
pub mod app;
mod checked;
pub mod completion;
pub mod copied;
pub mod dotenv;
pub mod exit;
pub mod fs;
pub mod input;
pub mod markup;
pub mod neighbours;
#[cfg(feature = "net")]
pub mod net;
pub mod output;
pub mod paths;
#[cfg(test)]
#[path = "../../tests/fuzz/played.rs"]
mod played;
pub mod process;
pub mod provider;
pub mod secret;
pub mod settings_files;
pub mod shell;
pub mod signal;
pub mod terminal;
pub mod text;
mod wordlist;
