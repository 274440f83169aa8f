//! Keeps Ctrl-C from cutting a refresh in two.
//!
//! Once the server has answered a refresh the old refresh token is spent: dying before the new one is stored logs
//! the user out. So the signals that end a program wait while an exchange is under way: a short grace for the
//! answer to come, and as long as it takes to store it. Then the program ends by the signal as if nothing had been.
//!
//! Signals are blocked, not handled: what a program does about them (die, ignore, or its own handler) is untouched.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a signal waits for the server's answer. A second one does not wait.
const GRACE: Duration = Duration::from_secs(3);

const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Blocks every signal in a thread of ours, so that the ending ones reach the main thread.
pub(super) fn mask_thread() {
    let _ = SigSet::all().thread_block();
}

fn ending() -> SigSet {
    ENDING.into_iter().collect()
}

/// While it lives, the ending signals wait.
pub(super) struct Deferral {
    before: Option<SigSet>,
    storing: Arc<AtomicBool>,
    watch: Option<Watch>,
    cleanup: Cleanup,
}

/// What is to be done before a signal ends the program.
type Cleanup = Arc<dyn Fn() + Send + Sync>;

#[derive(Debug)]
struct Watch {
    thread: JoinHandle<Option<Signal>>,
    over: std::io::PipeWriter,
}

impl Deferral {
    /// Begins. `cleanup` runs when a signal came, before it ends the program.
    ///
    /// Where nobody can watch for the signal while the answer is waited for, only the storing is guarded.
    pub(super) fn begin(cleanup: impl Fn() + Send + Sync + 'static) -> Self {
        let mut deferral = Self {
            before: block(),
            storing: Arc::new(AtomicBool::new(false)),
            watch: None,
            cleanup: Arc::new(cleanup),
        };
        deferral.watch = Watch::start(Arc::clone(&deferral.storing), Arc::clone(&deferral.cleanup));
        if deferral.watch.is_none() {
            deferral.unblock();
        }
        deferral
    }

    /// Says that the answer has come: from now on a signal waits until the end.
    pub(super) fn store(&mut self) {
        self.storing.store(true, Ordering::SeqCst);
        if self.before.is_none() {
            self.before = block();
        }
    }

    fn unblock(&mut self) {
        if let Some(before) = self.before.take() {
            let _ = before.thread_set_mask();
        }
    }
}

impl Drop for Deferral {
    fn drop(&mut self) {
        let came = self.watch.take().and_then(Watch::end);
        if came.is_some() {
            (self.cleanup)();
        }
        self.unblock();
        if let Some(signal) = came {
            let _ = nix::sys::signal::raise(signal);
        }
    }
}

/// Blocks the ending signals in this thread, and in those that it starts; returns what was blocked before.
fn block() -> Option<SigSet> {
    ending().thread_swap_mask(SigmaskHow::SIG_BLOCK).ok()
}

impl Watch {
    #[cfg(target_os = "linux")]
    fn start(storing: Arc<AtomicBool>, cleanup: Cleanup) -> Option<Self> {
        use nix::sys::signalfd::SfdFlags;
        use nix::sys::signalfd::SignalFd;
        let (ended, over) = std::io::pipe().ok()?;
        let signals = SignalFd::with_flags(&ending(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).ok()?;
        let thread = thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                mask_thread();
                while readable(&signals, &ended) {
                    let number = signals.read_signal().ok().flatten()?.ssi_signo;
                    let signal = Signal::try_from(number.cast_signed()).ok()?;
                    let is_storing = || storing.load(Ordering::SeqCst);
                    if is_storing() || closed(&ended, &signals) || is_storing() {
                        return Some(signal);
                    }
                    // Where the program goes on, so does the refresh: its lock is still needed.
                    if crate::signal::is_default(signal as i32) {
                        cleanup();
                    }
                    let _ = SigSet::from(signal).thread_unblock();
                    let _ = nix::sys::signal::raise(signal);
                    let _ = SigSet::from(signal).thread_block();
                }
                None
            })
            .ok()?;
        Some(Self { thread, over })
    }

    #[cfg(not(target_os = "linux"))]
    fn start(_storing: Arc<AtomicBool>, _cleanup: Cleanup) -> Option<Self> {
        None
    }

    /// Ends the watch; returns the signal that came meanwhile and was not acted on.
    fn end(self) -> Option<Signal> {
        drop(self.over);
        self.thread.join().ok().flatten()
    }
}

/// Waits until `signals` is readable; false when `ended` is closed first.
fn readable(signals: &impl AsFd, ended: &impl AsFd) -> bool {
    loop {
        let mut fds = [
            PollFd::new(signals, PollFlags::IN),
            PollFd::new(ended, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) => return fds[0].revents().contains(PollFlags::IN),
        }
    }
}

/// Waits until `ended` is closed; false when the grace is over or one more signal came first.
fn closed(ended: &impl AsFd, signals: &impl AsFd) -> bool {
    let mut fds = [
        PollFd::new(ended, PollFlags::IN),
        PollFd::new(signals, PollFlags::IN),
    ];
    let limit = Timespec::try_from(GRACE).ok();
    poll(&mut fds, limit.as_ref()).is_ok() && !fds[0].revents().is_empty()
}
