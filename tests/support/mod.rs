//! The harness of the black-box tests: real binaries, real processes, real sockets, real files.
//!
//! [`Sandbox`] gives a test a home of its own and a cleared environment, [`Tool`] runs a program in it, [`Run`] is
//! what came of it, [`Server`] is a loopback HTTP server that answers by script and fails the test when nobody called.

pub mod authority;
pub mod batch;
pub mod batch_api;
pub mod chat;
pub mod conversation;
pub mod dotenv;
pub mod hints;
pub mod hostile;
mod identity;
mod installed;
mod keyring;
pub mod lender;
pub mod login;
pub mod model;
pub mod oauth_peer;
pub mod page;
mod peer_process;
pub mod peers;
mod pending_login;
pub mod planted;
pub mod proxy;
pub mod quote;
pub mod random;
pub mod readers;
pub mod recipe;
mod run;
mod sandbox;
mod server;
pub mod shells;
mod terminal;
pub mod tls;
pub mod tree;
pub mod wire;

pub use identity::Identity;
pub use installed::Installed;
pub use keyring::{BusRelay, Keyring};
pub use pending_login::PendingLogin;
pub use run::{Run, Tool, next_line, signal, wait_until};
pub use sandbox::{Sandbox, binary};
pub use server::{Gate, Reply, Request, Server};
pub use terminal::{Terminal, unwrapped};
