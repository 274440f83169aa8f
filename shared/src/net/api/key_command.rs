//! A key that a command prints: `{"command": ["pass", "show", "x"]}`.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::exit::{Exit, Failure, io_reason};
use crate::secret::{self, Secret};

/// Time enough to type a passphrase.
const LIMIT: Duration = Duration::from_secs(60);

/// More than any key, in bytes.
const LONGEST: u64 = 64 << 10;

/// Runs the command without a shell and returns the first line that it prints, trimmed.
///
/// Its stderr is the program's own, so that it can ask and complain; its stdin is empty, because ours may be the
/// data of the request.
///
/// # Errors
/// 78 when it cannot be run, 77 when it fails or prints nothing, 75 when it takes too long.
pub(super) fn key_from(words: &[String]) -> Result<Secret<String>, Failure> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::new(Exit::Config, "the profile's key command is empty"));
    };
    // The limit on core dumps is ours alone: this process stays undumpable while the child takes the user's.
    secret::restore_core_limit();
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    secret::forbid_core_dump();
    let mut child = spawned.map_err(|error| {
        let reason = io_reason(&error);
        Failure::new(
            Exit::Config,
            format!("key command '{program}': cannot run: {reason}"),
        )
    })?;
    let deadline = Instant::now() + LIMIT;
    let printed = output(&mut child, program)?;
    let status = wait(&mut child, program, deadline)?;
    if !status.success() {
        return Err(Failure::new(
            Exit::NoAuth,
            format!("key command '{program}' failed: {status}"),
        ));
    }
    let text = String::from_utf8_lossy(&printed);
    let key = text.lines().next().unwrap_or_default().trim();
    if key.is_empty() {
        let message = format!("key command '{program}' printed nothing on its first line");
        return Err(Failure::new(Exit::NoAuth, message));
    }
    Ok(Secret::new(key.to_owned()))
}

/// Reads what the command prints, on a thread, so that one that never ends can be ended.
fn output(child: &mut Child, program: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut pipe = child.stdout.take();
    let (done, read) = mpsc::channel();
    let reading = move || {
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        let result: io::Result<usize> = match &mut pipe {
            Some(pipe) => pipe.take(LONGEST).read_to_end(&mut bytes),
            None => Ok(0),
        };
        let _ = done.send(result.map(|_| bytes));
    };
    let started = thread::Builder::new().name("key".to_owned()).spawn(reading);
    let failed = |error: io::Error| {
        Failure::new(
            Exit::Io,
            format!("key command '{program}': {}", io_reason(&error)),
        )
    };
    started.map_err(failed)?;
    match read.recv_timeout(LIMIT) {
        Ok(result) => result.map_err(failed),
        Err(_) => Err(too_long(child, program)),
    }
}

/// Waits for a command that has closed its stdout, which is its end in all but odd cases.
fn wait(child: &mut Child, program: &str, deadline: Instant) -> Result<ExitStatus, Failure> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() >= deadline => return Err(too_long(child, program)),
            Ok(None) => thread::sleep(Duration::from_millis(2)),
            Err(error) => {
                let message = format!("key command '{program}': {}", io_reason(&error));
                return Err(Failure::new(Exit::Io, message));
            }
        }
    }
}

fn too_long(child: &mut Child, program: &str) -> Failure {
    let _ = child.kill();
    let _ = child.wait();
    let message = format!(
        "key command '{program}' was not done within {} s",
        LIMIT.as_secs()
    );
    Failure::new(Exit::TryAgain, message)
}
