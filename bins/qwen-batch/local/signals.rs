//! The signals of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use qwen_shared::exit::{Exit, Failure, io_reason};
use qwen_shared::signal::{end_by_signal, is_ignored};
use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Signals that come closer together are one: `timeout` and some shells send theirs twice.
const ONE: Duration = Duration::from_millis(50);

/// Ctrl-C and the request to end.
///
/// They are waited for in a thread of their own: the run stands still while the reader of its results does, and Ctrl-C
/// has to stop it all the same.
#[derive(Debug)]
pub(crate) struct Signals {
    came: mpsc::UnboundedReceiver<i32>,
    /// True while the run has not heard of the last of them.
    is_unheard: Arc<AtomicBool>,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// 74 when the system refuses.
    pub(crate) fn new() -> Result<Self, Failure> {
        let (sender, came) = mpsc::unbounded_channel();
        let is_unheard = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            Failure::new(Exit::Io, format!("cannot watch signals: {}", io_reason(&error)))
        })?;
        let watch = {
            let _inside = runtime.enter();
            Watch::new(sender, Arc::clone(&is_unheard))?
        };
        thread::spawn(move || runtime.block_on(watch.run()));
        Ok(Self { came, is_unheard })
    }

    /// Waits for the next of them and returns its number.
    pub(crate) async fn next(&mut self) -> i32 {
        match self.came.recv().await {
            Some(signal) => {
                self.is_unheard.store(false, Ordering::Relaxed);
                signal
            }
            None => std::future::pending().await,
        }
    }
}

/// The thread's side.
struct Watch {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    sender: mpsc::UnboundedSender<i32>,
    is_unheard: Arc<AtomicBool>,
}

impl Watch {
    fn new(sender: mpsc::UnboundedSender<i32>, is_unheard: Arc<AtomicBool>) -> Result<Self, Failure> {
        let catch = |kind: SignalKind| {
            let caught = (!is_ignored(kind.as_raw_value())).then(|| signal(kind));
            caught
                .transpose()
                .map_err(|error| Failure::new(Exit::Io, "cannot catch signals").caused_by(error))
        };
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            sender,
            is_unheard,
        })
    }

    /// Passes signals on. The second one ends the process here when the run could not even hear the first.
    async fn run(mut self) {
        let mut last: Option<Instant> = None;
        loop {
            let signal = tokio::select! {
                () = came(&mut self.interrupt) => Number::INT.as_raw(),
                () = came(&mut self.terminate) => Number::TERM.as_raw(),
            };
            if last.is_some_and(|last| last.elapsed() < ONE) {
                continue;
            }
            last = Some(Instant::now());
            if self.is_unheard.swap(true, Ordering::Relaxed) {
                let _ = end_by_signal(signal);
            }
            if self.sender.send(signal).is_err() {
                return;
            }
        }
    }
}

/// Waits for a signal; for ever where it is ignored.
async fn came(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}
