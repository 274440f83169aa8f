//! The library under the qwen toolkit's programs.
//!
//! The map of arrows, which `tests/house.rs` proves: programs use this library and never each other; between programs
//! the arrow is a process. Inside, from the ground up:
//!
//! - `exit`, `text`, `date`, `sibling`, `signal`, `start`, `file`, `jsonc`, `provider` know no other module; `secret` knows `text`;
//!   `failure`, `paths`, `lock`, `exec` add `exit` and what they report.
//! - `env`, `out`, `generate` and `tool` stand on these, without the network half; only `out` writes to stderr or the
//!   terminal, only `tool` makes an exit code.
//! - `http` is the only one that names reqwest; `oauth` asks through it. `oauth` and `chat` know no store and no
//!   terminal; `credential` knows no HTTP beyond a refresh function handed to it.
//! - `config` resolves settings; `pace` and `api` ask by them; `authorize` joins stores, keys and OAuth.

#[cfg(feature = "net")]
pub mod api;
#[cfg(feature = "net")]
pub mod authorize;
#[cfg(feature = "net")]
pub mod chat;
#[cfg(feature = "net")]
pub mod config;
#[cfg(feature = "net")]
pub mod credential;
pub mod date;
pub mod env;
pub mod exec;
pub mod exit;
pub mod failure;
pub mod file;
mod generate;
#[cfg(feature = "net")]
pub mod http;
pub mod jsonc;
pub mod lock;
#[cfg(feature = "net")]
pub mod markdown;
#[cfg(feature = "net")]
pub mod oauth;
pub mod out;
#[cfg(feature = "net")]
pub mod pace;
pub mod paths;
pub mod provider;
pub mod secret;
pub mod sibling;
pub mod signal;
mod start;
pub mod text;
pub mod tool;
