//! Looking up host names, on threads of our own.
//!
//! The system's resolver cannot be interrupted and takes as long as its own settings say: a minute and more where the
//! name servers are silent. A runtime that is dropped waits for the look-ups of its thread pool, whatever limit the
//! request had; a thread of ours is left behind, and the exit of the program ends it.

use std::net::ToSocketAddrs;
use std::thread;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

/// The system's resolver.
#[derive(Debug)]
pub(super) struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let (done, found) = oneshot::channel();
            let look_up = move || {
                // Nobody listens any more when the time of the connection is up.
                let _ = done.send((name.as_str(), 0).to_socket_addrs());
            };
            thread::Builder::new().name("names".to_owned()).spawn(look_up)?;
            let addresses: Addrs = Box::new(found.await??);
            Ok(addresses)
        })
    }
}
