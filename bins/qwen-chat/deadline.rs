//! What ends a request before its answer is complete: `--max-time`, and Ctrl-C in a conversation.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use qwen_shared::output::Stdout;
use qwen_shared::signal::Caught;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

/// Why work was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// The limit was reached.
    TimedOut(Duration),
    /// Ctrl-C was pressed.
    Interrupted,
}

/// A point in time at which work is given up, and with `ctrl_c` also Ctrl-C.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    at: Option<(Instant, Duration)>,
    ctrl_c: Option<Arc<Caught>>,
}

impl Deadline {
    /// Makes a deadline `limit` from now. Without `ctrl_c`, Ctrl-C ends the program.
    pub(crate) fn new(limit: Option<Duration>, ctrl_c: Option<&Arc<Caught>>) -> Self {
        Self {
            at: limit.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit))),
            ctrl_c: ctrl_c.cloned(),
        }
    }

    /// Runs work until the deadline; the work is dropped then.
    pub(crate) async fn run<T>(self, work: impl Future<Output = T>) -> Result<T, Expired> {
        if self.at.is_none() && self.ctrl_c.is_none() {
            return Ok(work.await);
        }
        tokio::select! {
            biased;
            () = interrupted(self.ctrl_c) => {
                // The terminal has echoed ^C, and the cursor is behind it.
                let _ = Stdout::write(b"\n");
                Err(Expired::Interrupted)
            }
            limit = timed_out(self.at) => Err(Expired::TimedOut(limit)),
            done = work => Ok(done),
        }
    }
}

/// Forgets the Ctrl-C of earlier.
pub(crate) fn forget_interrupts(ctrl_c: &Caught) {
    while ctrl_c.take().is_some() {}
}

async fn interrupted(ctrl_c: Option<Arc<Caught>>) {
    if let Some(ctrl_c) = ctrl_c {
        // One from between two requests, in a login for example, is not about this one.
        forget_interrupts(&ctrl_c);
        let arrivals = ctrl_c.watch().and_then(UnixStream::from_std);
        if let Ok(arrivals) = arrivals
            && arrivals.readable().await.is_ok()
        {
            return;
        }
    }
    pending().await
}

async fn timed_out(at: Option<(Instant, Duration)>) -> Duration {
    match at {
        Some((at, limit)) => {
            sleep_until(at).await;
            limit
        }
        None => pending().await,
    }
}
