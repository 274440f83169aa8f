//! The checked standard output.

use std::io::{self, IsTerminal};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::exit::Exit;
use crate::failure::{Failure, io_reason};

/// Standard output, unbuffered: what was written is in the kernel when the call returns.
///
/// It bypasses the standard library's line buffer, which would split a streamed answer at line ends and lose the
/// error of the last write.
#[derive(Debug)]
pub struct Stdout;

impl Stdout {
    /// Returns true when a person is looking at it.
    #[must_use]
    pub fn is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Writes all bytes.
    ///
    /// A reader that went away ends this process by SIGPIPE, as it ends `cat`. An inherited non-blocking pipe that
    /// is full is waited for.
    ///
    /// # Errors
    /// Exit 74 for a full disk, `/dev/full`, or any other refusal.
    pub fn write(bytes: &[u8]) -> Result<(), Failure> {
        let stdout = rustix::stdio::stdout();
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::write(stdout, rest) {
                Ok(0) => return Err(refused(&io::ErrorKind::WriteZero.into())),
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let _ = poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None);
                }
                Err(Errno::PIPE) => return Err(end_by_sigpipe()),
                Err(errno) => return Err(refused(&errno.into())),
            }
        }
        Ok(())
    }
}

/// Dies the way a filter dies when its reader has enough; a shell shows 141.
fn end_by_sigpipe() -> Failure {
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
    Failure::new(Exit::Io, "cannot write to standard output: closed pipe")
}

fn refused(error: &io::Error) -> Failure {
    Failure::new(
        Exit::Io,
        format!("cannot write to standard output: {}", io_reason(error)),
    )
}
