//! The terminal in the hands of a prompt library.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
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

/// How long the rest of a key may take to come.
const REST_OF_KEY: Duration = Duration::from_millis(100);

/// How long a library may take to return after a signal. One that did not notice it waits for a key.
const GRACE: Duration = Duration::from_millis(300);

/// What is typed while the terminal is lent.
#[derive(Debug)]
pub struct Keys<'a>(&'a File);

impl Keys<'_> {
    /// Takes the rest of a key off, after its first byte came alone and was read as the Escape key: an arrow is sent as
    /// three bytes, which a loaded machine or a network may bring in two pieces. False where nothing follows: Escape was meant.
    #[must_use]
    pub fn take_rest_of_key(&self) -> bool {
        let Some(first) = self.next() else {
            return false;
        };
        match first {
            b'[' => while self.next().is_some_and(|byte| !(b'@'..=b'~').contains(&byte)) {},
            b'O' => _ = self.next(),
            _ => {}
        }
        true
    }

    fn next(&self) -> Option<u8> {
        let mut byte = [0];
        let mut tty = self.0;
        (is_readable_within(tty, REST_OF_KEY) && tty.read(&mut byte).is_ok_and(|count| count == 1))
            .then_some(byte[0])
    }
}

/// See [`super::Terminal::lend`].
pub(super) fn lend<T>(tty: &File, prompt: impl FnOnce(&Keys<'_>) -> T) -> Result<T, Failure> {
    let fault = |error: io::Error| gone(&error);
    let modes = Modes::all_keys(tty).map_err(fault)?;
    let _stderr = LentStderr::begin(tty).map_err(fault)?;
    let mut screen = tty;
    screen.write_all(NO_PASTE_MARKS).map_err(fault)?;
    let watch = Watch::start(tty.try_clone().map_err(fault)?, modes.before.clone())
        .map_err(|error| cannot_start("a thread", &error))?;
    let answer = prompt(&Keys(tty));
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

fn is_readable_within(file: &impl AsFd, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).ok();
    loop {
        match poll(&mut [PollFd::new(file, PollFlags::IN)], limit.as_ref()) {
            Ok(ready) => return ready > 0,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{self, Write};
    use std::os::fd::OwnedFd;

    use super::Keys;

    #[test]
    fn the_rest_of_a_key_is_taken_off_and_what_was_typed_behind_it_stays() {
        for (rest, left) in [
            (&b""[..], None),
            (b"[A", None),
            (b"[1;5Dx", Some(b'x')),
            (b"OBy", Some(b'y')),
            (b"fz", Some(b'z')),
        ] {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(rest).unwrap();
            let file = File::from(OwnedFd::from(reader));
            let keys = Keys(&file);
            assert_eq!(keys.take_rest_of_key(), !rest.is_empty(), "{rest:?}");
            assert_eq!(keys.next(), left, "{rest:?}");
        }
    }
}
