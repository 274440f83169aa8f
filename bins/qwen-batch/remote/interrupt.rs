//! Ctrl-C and the like while something long goes on.

use std::future::pending;

use qwen_shared::exit::{Exit, Failure, io_reason};
use qwen_shared::signal::{Caught, SIGHUP, SIGINT, SIGTERM, catch};
use tokio::net::UnixStream;

/// Signals that end a program, caught until this is dropped.
#[derive(Debug)]
pub(crate) struct Interrupts(Caught);

impl Interrupts {
    /// # Errors
    /// 75 when a limit on descriptors or memory is reached: nothing else can be wanting.
    pub(crate) fn catch() -> Result<Self, Failure> {
        catch(&[SIGINT, SIGTERM, SIGHUP]).map(Self).map_err(|error| {
            let reason = io_reason(&error);
            Failure::new(Exit::TryAgain, format!("cannot catch signals: {reason}"))
        })
    }

    /// Waits for the first signal.
    pub(crate) async fn first(&self) -> i32 {
        let arrivals = self.0.watch().and_then(UnixStream::from_std);
        if let Ok(arrivals) = arrivals
            && arrivals.readable().await.is_ok()
            && let Some(signal) = self.0.take()
        {
            return signal;
        }
        pending().await
    }
}
