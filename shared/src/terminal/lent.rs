//! The terminal in the hands of a prompt library.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::stdio::{dup2_stderr, stderr};
use rustix::termios::{OptionalActions, Termios, tcsetattr};

use super::{Modes, NO_PASTE_MARKS, gone};
use crate::exit::{Failure, cannot_start};
use crate::signal::{self, Caught, SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// Shows the cursor (DEC private mode 25), which is hidden while a list is drawn.
const SHOW_CURSOR: &[u8] = b"\x1b[?25h";

/// How long a library may take to return after a signal. One that did not notice it waits for a key.
const GRACE: Duration = Duration::from_millis(300);

/// See [`super::Terminal::lend`].
pub(super) fn lend<T>(tty: &File, prompt: impl FnOnce() -> T) -> Result<T, Failure> {
    let fault = |error: io::Error| gone(&error);
    let modes = Modes::all_keys(tty).map_err(fault)?;
    let _stderr = LentStderr::begin(tty).map_err(fault)?;
    let mut screen = tty;
    screen.write_all(NO_PASTE_MARKS).map_err(fault)?;
    let watch = Watch::start(tty.try_clone().map_err(fault)?, modes.before.clone())
        .map_err(|error| cannot_start("a thread", &error))?;
    let answer = prompt();
    let signal = watch.end();
    drop(modes);
    if let Some(number) = signal {
        signal::default_action(number).map_err(fault)?;
    }
    Ok(answer)
}

/// Standard error that is the terminal until this is dropped, where it was something else.
struct LentStderr(Option<OwnedFd>);

impl LentStderr {
    fn begin(tty: &File) -> io::Result<Self> {
        if io::stderr().is_terminal() {
            return Ok(Self(None));
        }
        let own = fcntl_dupfd_cloexec(stderr(), 3)?;
        dup2_stderr(tty)?;
        Ok(Self(Some(own)))
    }
}

impl Drop for LentStderr {
    fn drop(&mut self) {
        if let Some(own) = &self.0 {
            let _ = dup2_stderr(own);
        }
    }
}

/// Waits for a signal on a thread of its own: one that comes between two calls of the library does not wake it.
struct Watch {
    thread: JoinHandle<Option<i32>>,
    end: io::PipeWriter,
}

impl Watch {
    fn start(tty: File, before: Termios) -> io::Result<Self> {
        let (ended, end) = io::pipe()?;
        let any = signal::catch(&[SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
        // A library makes SIGINT of any signal that interrupts it.
        let first = signal::catch(&[SIGHUP, SIGQUIT, SIGTERM])?;
        let thread = thread::Builder::new()
            .name("terminal".to_owned())
            .spawn(move || watch(&any, &first, &ended, &tty, &before))?;
        Ok(Self { thread, end })
    }

    /// Ends it; returns the signal by which the program is to end.
    fn end(self) -> Option<i32> {
        drop(self.end);
        self.thread.join().ok().flatten()
    }
}

fn watch(
    any: &Caught,
    first: &Caught,
    ended: &io::PipeReader,
    mut tty: &File,
    before: &Termios,
) -> Option<i32> {
    let number = any.or_readable(ended).ok().flatten()?;
    let has_returned = is_readable_within(ended, GRACE);
    let number = first.take().unwrap_or(number);
    // Neither is to act once more when it is dropped.
    while any.take().is_some() {}
    if !has_returned {
        let _ = tcsetattr(tty, OptionalActions::Now, before);
        let _ = tty.write_all(SHOW_CURSOR);
        let _ = signal::default_action(number);
    }
    Some(number)
}

fn is_readable_within(pipe: &io::PipeReader, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).ok();
    loop {
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], limit.as_ref()) {
            Ok(ready) => return ready > 0,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
