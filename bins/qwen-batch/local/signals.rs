//! SIGINT, SIGTERM and SIGHUP during a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use qwen_shared::exit::{Exit, Failure, io_reason};
use qwen_shared::signal::{Caught, SIGHUP, SIGINT, SIGTERM, TOGETHER, catch, end_by_signal};
use tokio::sync::mpsc;

use crate::thread::spawn;

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
    /// 75 when a limit on descriptors, processes or memory is reached.
    pub(crate) fn new() -> Result<Self, Failure> {
        let caught = catch(&[SIGINT, SIGTERM, SIGHUP]).map_err(|error| {
            // It takes descriptors and memory, and nothing else can be wanting.
            let reason = io_reason(&error);
            Failure::new(Exit::TryAgain, format!("cannot catch signals: {reason}"))
        })?;
        let (sender, arrivals) = mpsc::unbounded_channel();
        let is_pending = Arc::new(AtomicBool::new(false));
        let signals = Self {
            arrivals,
            is_pending: Arc::clone(&is_pending),
        };
        spawn(move || watch(&caught, &sender, &is_pending))?;
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

/// Passes signals on. The second one ends the process here if the run has not even taken the first. A terminal that is
/// closed may send SIGHUP more than once; nobody has lost patience then.
fn watch(caught: &Caught, sender: &mpsc::UnboundedSender<i32>, is_pending: &AtomicBool) {
    let mut last: Option<Instant> = None;
    while let Ok(signal) = caught.wait() {
        if last.is_some_and(|last| last.elapsed() < TOGETHER) {
            continue;
        }
        last = Some(Instant::now());
        let is_second = is_pending.swap(true, Ordering::Relaxed);
        if (is_second && signal != SIGHUP) || sender.send(signal).is_err() {
            let _ = end_by_signal(signal);
        }
    }
}
