//! A key that a command prints: `{"command": ["pass", "show", "x"]}`.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::exit::{Exit, Failure, io_reason};
use crate::process::find_absolute;
use crate::secret::{self, Secret};

/// Time enough to type a passphrase.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The most that is read, in bytes.
const MAX_OUTPUT: u64 = 64 << 10;

/// Runs the command without a shell and returns the first line of its output, trimmed.
///
/// Its stderr is the program's own, so that it can ask and complain; its stdin is empty, as ours may be the data of the
/// request.
///
/// # Errors
/// 78 when it cannot be run, 77 when it fails or prints nothing, 75 when it takes too long.
pub(super) fn key_from(words: &[String]) -> Result<Secret<String>, Failure> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::new(Exit::Config, "the profile's key command is empty"));
    };
    let failure = |exit, reason: &str| Failure::new(exit, format!("key command '{program}'{reason}"));
    let found = find_absolute(OsStr::new(program))
        .map_err(|missing| failure(Exit::Config, &format!(": cannot run: {missing}")))?;
    let mut command = Command::new(found);
    command
        .arg0(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    // The limit on core dumps is ours: the command has the user's.
    secret::restore_core_limit();
    let child = command.spawn();
    secret::forbid_core_dump();
    let mut child =
        child.map_err(|error| failure(Exit::Config, &format!(": cannot run: {}", io_reason(&error))))?;
    let ended = wait(&mut child).map_err(|error| failure(Exit::Io, &format!(": {}", io_reason(&error))))?;
    let Some((output, status)) = ended else {
        let _ = child.kill();
        let _ = child.wait();
        let reason = format!(" was not done within {} s", TIMEOUT.as_secs());
        return Err(failure(Exit::TryAgain, &reason));
    };
    if !status.success() {
        return Err(failure(Exit::NoAuth, &format!(" failed: {status}")));
    }
    let text = String::from_utf8_lossy(&output);
    let key = text.lines().next().unwrap_or_default().trim();
    if key.is_empty() {
        return Err(failure(Exit::NoAuth, " printed nothing on its first line"));
    }
    Ok(Secret::new(key.to_owned()))
}

/// Returns output and status of a command; `None` if it has not ended in time.
fn wait(child: &mut Child) -> io::Result<Option<(Zeroizing<Vec<u8>>, ExitStatus)>> {
    let deadline = Instant::now() + TIMEOUT;
    let pipe = child.stdout.take();
    let (sender, receiver) = mpsc::channel();
    let read = move || {
        let mut output = Zeroizing::new(Vec::with_capacity(4096));
        let result = pipe.map_or(Ok(0), |pipe| pipe.take(MAX_OUTPUT).read_to_end(&mut output));
        let _ = sender.send(result.map(|_| output));
    };
    thread::Builder::new().name("key".to_owned()).spawn(read)?;
    let Ok(output) = receiver.recv_timeout(TIMEOUT) else {
        return Ok(None);
    };
    let output = output?;
    // A command that closes its stdout is about to end, in all but odd cases.
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some((output, status))),
            None if Instant::now() >= deadline => return Ok(None),
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
}
