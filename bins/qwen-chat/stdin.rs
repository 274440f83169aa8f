//! What is piped in: read to its end however slow it is, or not at all, but never in part.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, io_reason};
use qwen_shared::out::Talk;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::cli::InputArgs;
use crate::input::{LIMIT, too_large, utf8};

/// How long a silent pipe is waited for before the user is told. An inherited pipe that nobody closes is the most
/// frequent reason for a tool that seems to hang (facts: chat, what users ask for).
const NOTICE_AFTER: Duration = Duration::from_secs(2);

/// True when standard input is to be read: a pipe, a file or a socket always, a terminal when asked.
pub(crate) fn is_wanted(args: &InputArgs) -> bool {
    !args.no_stdin && (args.stdin || !io::stdin().is_terminal())
}

/// Reads standard input to its end, as text. `has_prompt` says that there is something to ask without it.
///
/// # Errors
/// 65 for bytes that are not UTF-8, with their offset; 74 for a failed read; 75 when `--stdin-timeout` is over and
/// nothing has come. No request has been sent by then.
pub(crate) fn read(args: &InputArgs, has_prompt: bool, talk: &Talk) -> Result<String, Failure> {
    wait_for_first(args.stdin_timeout, has_prompt, talk)?;
    let stdin = rustix::stdio::stdin();
    let mut bytes = Vec::new();
    loop {
        bytes.reserve(64 << 10);
        match rustix::io::read(stdin, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => break,
            Ok(_) if bytes.len() > LIMIT => return Err(too_large("standard input")),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None);
            }
            Err(errno) => {
                let reason = io_reason(&errno.into());
                return Err(Failure::new(
                    Exit::Io,
                    format!("cannot read standard input: {reason}"),
                ));
            }
        }
    }
    utf8(bytes, "standard input")
}

/// Waits until the first byte, or the end, is there.
fn wait_for_first(timeout: Option<Duration>, has_prompt: bool, talk: &Talk) -> Result<(), Failure> {
    let started = Instant::now();
    let mut notice = has_prompt.then_some(NOTICE_AFTER);
    loop {
        let elapsed = started.elapsed();
        let next = [timeout, notice].into_iter().flatten().min();
        let stdin = rustix::stdio::stdin();
        let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
        let limit = next.map(|next| timespec(next.saturating_sub(elapsed)));
        match poll(&mut watched, limit.as_ref()) {
            Ok(0) => {}
            // A descriptor that cannot be polled is one that the read below will judge.
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(_) => return Ok(()),
        }
        if timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
            return Err(nothing_came(timeout.unwrap_or_default()));
        }
        if notice.is_some_and(|notice| started.elapsed() >= notice) {
            notice = None;
            talk.notice("waiting for standard input to end");
            talk.hint("give --no-stdin if nothing is piped in");
        }
    }
}

fn nothing_came(timeout: Duration) -> Failure {
    let seconds = timeout.as_secs_f64();
    let message = format!("nothing came on standard input within {seconds} s; nothing was sent");
    Failure::new(Exit::TryAgain, message).hint("give --no-stdin if nothing is piped in")
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}
