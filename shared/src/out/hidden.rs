//! Reading a secret from the terminal without showing it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::{flag, low_level};
use zeroize::Zeroizing;

use crate::signal::is_ignored;

/// The longest secret that is read, in bytes. The terminal's own line mode would cut at 4,095.
const LIMIT: usize = 64 << 10;

/// Reads a line with echo off; `None` when the terminal ends (Ctrl-D on an empty line).
///
/// Whatever ends or stops the program meanwhile finds the terminal as it was: the signal is held until the modes are
/// restored, then does what it does. After a stop (Ctrl-Z) `again` is called and reading begins anew.
pub(super) fn read_line(
    tty: &File,
    reader: &mut BufReader<File>,
    again: &mut dyn FnMut(),
) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let signals = Signals::taken_over()?;
    let mut line = Zeroizing::new(Vec::with_capacity(4096));
    loop {
        signals.hold();
        let came = Quiet::begin(tty).and_then(|_quiet| type_into(&mut line, tty, reader, signals));
        let late = signals.release();
        if let Some(signal) = late {
            low_level::emulate_default_handler(signal)?;
        }
        match came? {
            Came::Line => return Ok(Some(line)),
            Came::End => return Ok(None),
            Came::Signal(signal) => {
                low_level::emulate_default_handler(signal)?;
                // Nobody remembers which part of a secret they typed unseen before the stop.
                line.clear();
                again();
            }
        }
    }
}

/// What ended a stretch of typing.
enum Came {
    Line,
    End,
    Signal(i32),
}

fn type_into(
    line: &mut Vec<u8>,
    tty: &File,
    reader: &mut BufReader<File>,
    signals: &Signals,
) -> io::Result<Came> {
    loop {
        if reader.buffer().is_empty() {
            if let Some(signal) = signals.or_readable(tty)? {
                return Ok(Came::Signal(signal));
            }
            if reader.fill_buf()?.is_empty() {
                return Ok(Came::End);
            }
        }
        while let Some(&byte) = reader.buffer().first() {
            reader.consume(1);
            match byte {
                b'\n' | b'\r' => return Ok(Came::Line),
                0x04 if line.is_empty() => return Ok(Came::End),
                0x08 | 0x7f => rub_out(line),
                0x15 => line.clear(),
                _ if line.len() < LIMIT => line.push(byte),
                _ => return Err(io::Error::other("the line is too long")),
            }
        }
    }
}

/// Takes the last character away, all of its bytes.
fn rub_out(line: &mut Vec<u8>) {
    while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

/// The terminal without echo and line mode, until dropped.
struct Quiet<'a> {
    tty: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn begin(tty: &'a File) -> io::Result<Self> {
        let before = tcgetattr(tty)?;
        let mut modes = before.clone();
        modes
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON);
        modes.local_modes.insert(LocalModes::ISIG);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(tty, OptionalActions::Now, &modes)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.tty, OptionalActions::Now, &self.before);
    }
}

/// The signals that would leave a terminal without echo behind. While nothing is read they do what they always do.
struct Signals {
    idle: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
    wake: UnixStream,
}

impl Signals {
    /// Takes the signals over, once and for all: a handler that was taken away again would leave them ignored.
    fn taken_over() -> io::Result<&'static Self> {
        static ONCE: OnceLock<Signals> = OnceLock::new();
        if let Some(signals) = ONCE.get() {
            return Ok(signals);
        }
        let signals = Self::install()?;
        Ok(ONCE.get_or_init(|| signals))
    }

    fn install() -> io::Result<Self> {
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let idle = Arc::new(AtomicBool::new(true));
        let which = Arc::new(AtomicUsize::new(0));
        let all = [SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP].into_iter();
        for signal in all.filter(|&one| !is_ignored(one)) {
            flag::register_conditional_default(signal, Arc::clone(&idle))?;
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&which), number)?;
            low_level::pipe::register(signal, waker.try_clone()?)?;
        }
        Ok(Self { idle, which, wake })
    }

    /// Holds the signals back from now on.
    fn hold(&self) {
        let _ = (&self.wake).read(&mut [0; 64]);
        self.which.store(0, Ordering::SeqCst);
        self.idle.store(false, Ordering::SeqCst);
    }

    /// Lets the signals do what they always do; returns one that came and was not acted on.
    fn release(&self) -> Option<i32> {
        self.idle.store(true, Ordering::SeqCst);
        self.came()
    }

    fn came(&self) -> Option<i32> {
        let which = self.which.swap(0, Ordering::SeqCst);
        i32::try_from(which).ok().filter(|&signal| signal != 0)
    }

    /// Waits for input; returns the signal that came first, if one did.
    fn or_readable(&self, tty: &File) -> io::Result<Option<i32>> {
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(tty.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) => {}
            }
            if let Some(signal) = self.came() {
                return Ok(Some(signal));
            }
            if !fds[1].revents().is_empty() {
                return Ok(None);
            }
        }
    }
}
