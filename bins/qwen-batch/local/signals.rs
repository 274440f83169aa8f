//! The signals of a run.

use qwen_shared::exit::Exit;
use qwen_shared::failure::Failure;
use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C and the request to end.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Caught, so that a limit on the size of files shows as a failed write: like a full disk.
    _size: Signal,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// 74 when the system refuses.
    pub(crate) fn new() -> Result<Self, Failure> {
        let catch = |kind| {
            signal(kind).map_err(|error| Failure::new(Exit::Io, "cannot catch signals").caused_by(error))
        };
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            _size: catch(SignalKind::from_raw(Number::XFSZ.as_raw()))?,
        })
    }

    /// Waits for the next of them and returns its number.
    pub(crate) async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => Number::INT.as_raw(),
            _ = self.terminate.recv() => Number::TERM.as_raw(),
        }
    }
}
