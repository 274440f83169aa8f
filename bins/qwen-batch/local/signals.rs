//! SIGINT and SIGTERM during a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::signal::{Caught, SIGINT, SIGTERM, TOGETHER, catch, end_by_signal};
use tokio::sync::mpsc;

/// The signals that arrive.
///
/// A thread of its own waits for them: while the reader of the results does not read, the run is blocked in a write,
/// and Ctrl-C must stop it even then.
#[derive(Debug)]
pub(crate) struct Signals {
    arrivals: mpsc::UnboundedReceiver<i32>,
    /// True while the run has not taken the last one.
    is_pending: Arc<AtomicBool>,
}

impl Signals {
    /// Catches signals from now on.
    ///
    /// # Errors
    /// 74 when the system refuses.
    pub(crate) fn new() -> Result<Self, Failure> {
        let caught = catch(&[SIGINT, SIGTERM])
            .map_err(|error| Failure::new(Exit::Io, "cannot catch signals").caused_by(error))?;
        let (sender, arrivals) = mpsc::unbounded_channel();
        let is_pending = Arc::new(AtomicBool::new(false));
        let signals = Self {
            arrivals,
            is_pending: Arc::clone(&is_pending),
        };
        thread::spawn(move || watch(&caught, &sender, &is_pending));
        Ok(signals)
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> i32 {
        match self.arrivals.recv().await {
            Some(signal) => {
                self.is_pending.store(false, Ordering::Relaxed);
                signal
            }
            None => std::future::pending().await,
        }
    }
}

/// Passes signals on. The second one ends the process here if the run has not even taken the first.
fn watch(caught: &Caught, sender: &mpsc::UnboundedSender<i32>, is_pending: &AtomicBool) {
    let mut last: Option<Instant> = None;
    while let Ok(signal) = caught.wait() {
        if last.is_some_and(|last| last.elapsed() < TOGETHER) {
            continue;
        }
        last = Some(Instant::now());
        if is_pending.swap(true, Ordering::Relaxed) || sender.send(signal).is_err() {
            let _ = end_by_signal(signal);
        }
    }
}
