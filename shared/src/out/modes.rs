//! The terminal as it was, whatever ends the program.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::signal::is_ignored;

/// Ends the marks around pasted text, which a line editor asks the terminal for (xterm, private mode 2004).
const NO_PASTE_MARKS: &[u8] = b"\x1b[?2004l";

/// Sees to it that a signal that ends this program leaves the terminal as it is now: a line editor takes echo and line
/// mode away while it reads, and gives them back only when it returns. Ctrl-C is the editor's own.
///
/// # Errors
/// Standard input is no terminal, or the system gives no descriptors or no thread.
pub fn keep_terminal_modes() -> io::Result<()> {
    let before = tcgetattr(stdin())?;
    let (mut wake, waker) = UnixStream::pair()?;
    let which = Arc::new(AtomicUsize::new(0));
    for signal in [SIGHUP, SIGQUIT, SIGTERM]
        .into_iter()
        .filter(|&one| !is_ignored(one))
    {
        let number = usize::try_from(signal).unwrap_or_default();
        flag::register_usize(signal, Arc::clone(&which), number)?;
        low_level::pipe::register(signal, waker.try_clone()?)?;
    }
    thread::Builder::new()
        .name("terminal".to_owned())
        .spawn(move || {
            if wake.read_exact(&mut [0]).is_ok() {
                let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
                let _ = rustix::io::write(stdout(), NO_PASTE_MARKS);
                let signal = i32::try_from(which.load(Ordering::SeqCst)).unwrap_or(SIGTERM);
                let _ = low_level::emulate_default_handler(signal);
            }
        })?;
    Ok(())
}
