//! The start of a program, without the runtime of the standard library.

use std::mem::forget;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::stdio::{stderr, stdin, stdout};

/// Does what the runtime of the standard library does before `main`, as far as a program of ours relies on it.
///
/// The runtime also reads the process's memory map, to find where the stack ends and say so when it overflows. That
/// takes an eighth of a millisecond, a quarter of what `/bin/true` takes as a whole, so the programs start without it where
/// the C library hands the arguments over by itself (glibc).
///
/// - The three standard streams are open, or a file that is opened later would take their place and get what is said to
///   the user. A closed standard output is one that cannot be written to: the result would be lost (exit 74).
/// - A closed pipe or connection is an error of the write, not a signal: a connection may be given up.
pub(crate) fn without_runtime() {
    let streams = [stdin(), stdout(), stderr()];
    let mut asked = streams
        .each_ref()
        .map(|stream| PollFd::new(stream, PollFlags::empty()));
    // Without an answer all are taken to be open, as they are but for a strange parent.
    let _ = poll(
        &mut asked,
        Some(&rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    );
    let is_closed = asked.map(|stream| stream.revents().contains(PollFlags::NVAL));
    for (closed, access) in is_closed
        .into_iter()
        .zip([OFlags::RDONLY, OFlags::RDONLY, OFlags::RDWR])
    {
        // The lowest number that is free is the one that is meant.
        if closed && let Ok(stream) = open("/dev/null", access, Mode::empty()) {
            forget(stream);
        }
    }
    let _ = signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::default());
}

/// Makes a write past the limit on the size of files (`ulimit -f`) fail, as on a full disk, instead of ending the process
/// by a signal. A program that is run from here gets the signal as always.
pub(crate) fn outlive_file_limit() {
    // Where the kernel refuses the handler, the signal ends the process as ever.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}
