//! The upper floor: everything that talks to a server or a keyring.

pub mod api;
pub mod chat;
pub mod completion;
pub mod config;
pub mod credential;
pub mod date;
pub mod http;
pub mod json;
pub mod oauth;
pub mod random;
pub mod ratelimit;
pub mod wait;
