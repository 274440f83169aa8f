//! What may end the work on a request before it is done.

use std::future::pending;
use std::time::Duration;

use qwen_shared::out::Stdout;
use tokio::time::Instant;

use crate::exchange::Fault;

/// When to give up, and whether the user may end it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// When to give up, and how long that was.
    deadline: Option<(Instant, Duration)>,
    /// True when Ctrl-C ends the work, not the program.
    stops: bool,
}

impl Bounds {
    /// Sets bounds from now on: `limit` for everything, and with `stops` the user's Ctrl-C.
    pub(crate) fn from_now(limit: Option<Duration>, stops: bool) -> Self {
        Self {
            deadline: limit.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit))),
            stops,
        }
    }

    /// Runs work within the bounds.
    ///
    /// # Errors
    /// [`Fault::Late`] and [`Fault::Stopped`]; the work is dropped then.
    pub(crate) async fn hold<T>(self, work: impl Future<Output = T>) -> Result<T, Fault> {
        if self.deadline.is_none() && !self.stops {
            return Ok(work.await);
        }
        tokio::select! {
            biased;
            () = stopped(self.stops) => {
                // The terminal has shown the key, and the cursor stands behind it.
                let _ = Stdout::write(b"\n");
                Err(Fault::Stopped)
            }
            limit = late(self.deadline) => Err(Fault::Late(limit)),
            done = work => Ok(done),
        }
    }
}

/// Waits for Ctrl-C where it is ours to handle; for ever where it ends the program.
async fn stopped(stops: bool) {
    if stops {
        // The runtime sleeps between two requests, and hears of a Ctrl-C from then (in a login, say) when it is woken: one
        // turn of it, with nobody listening, forgets that one.
        tokio::task::yield_now().await;
        if tokio::signal::ctrl_c().await.is_ok() {
            return;
        }
    }
    pending().await
}

async fn late(deadline: Option<(Instant, Duration)>) -> Duration {
    match deadline {
        Some((at, limit)) => {
            tokio::time::sleep_until(at).await;
            limit
        }
        None => pending().await,
    }
}
