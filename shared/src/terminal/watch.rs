//! What a question waits for beside what is typed.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::signal::{self, Caught, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};

/// Why the wait has ended.
pub(super) enum Woken {
    /// Something was typed, or the terminal has gone.
    Typed,
    /// The terminal has another size.
    Resized,
    /// A signal came that ends or stops the program.
    Signal(i32),
}

/// Catches the signals that a question has to notice. One that was not taken acts when this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    signals: Caught,
    // Apart from the others: of two that come at once, the number of the last alone is kept.
    resizes: Caught,
}

impl Watch {
    pub(super) fn start() -> io::Result<Self> {
        Ok(Self {
            signals: signal::catch(&[SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP])?,
            resizes: signal::catch(&[SIGWINCH])?,
        })
    }

    /// Waits until something is typed, or a signal comes.
    pub(super) fn wait(&self, tty: &impl AsFd) -> io::Result<Woken> {
        loop {
            if let Some(signal) = self.signals.take() {
                return Ok(Woken::Signal(signal));
            }
            if self.resizes.take().is_some() {
                while self.resizes.take().is_some() {}
                return Ok(Woken::Resized);
            }
            let mut fds = [
                PollFd::new(&self.signals, PollFlags::IN),
                PollFd::new(&self.resizes, PollFlags::IN),
                PollFd::new(tty, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) if fds[..2].iter().all(|fd| fd.revents().is_empty()) => return Ok(Woken::Typed),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
