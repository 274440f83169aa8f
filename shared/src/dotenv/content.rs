//! What is at the place of a `.env` file, and how it is read.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::place::Place;
use crate::exit::io_reason;

/// The largest file that is read, in bytes; also the largest text that its bytes may decode to.
pub const FILE_LIMIT: usize = 1024 * 1024;

/// How long is waited for a file that gives its content when it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// For somebody to write to a FIFO at all.
    writer: Duration,
    /// For the end.
    whole: Duration,
}

impl Patience {
    /// For a file that the user named.
    pub(super) const NAMED: Self = Self {
        writer: Duration::from_secs(10),
        whole: Duration::from_secs(10),
    };
    /// For a file of the chain.
    pub(super) const CHAIN: Self = Self {
        writer: Duration::from_secs(1),
        whole: Duration::from_secs(10),
    };
    /// For a file of the chain while a prompt waits.
    pub(super) const PROMPT: Self = Self {
        writer: Duration::from_millis(200),
        whole: Duration::from_secs(2),
    };
}

/// The name under which standard input is a file.
pub(super) const STDIN: &str = "/dev/stdin";

/// Why a file that is there is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is a directory, a socket or a device.
    NotAFile(&'static str),
    /// Its symbolic links go in a circle.
    LinkLoop,
    /// It is a symbolic link to a file that is not there, or not mounted now.
    Dangling,
    /// It, or the symbolic link in its place, belongs to the user with this number.
    Foreign(u32),
    /// Any user may write to it.
    WritableByAll,
    /// It is larger than [`FILE_LIMIT`].
    TooLarge,
    /// It lies where the system shows devices and processes, or leads there.
    OfSystem,
    /// It is a FIFO to which nobody writes.
    NoWriter,
    /// Its writer did not come to an end within this time.
    TooSlow(Duration),
    /// It may not be opened or read, or is another file by now.
    Unreadable(String),
    /// What it lies on fails: a disk, or a file system over the network or in user space that has gone.
    Failing(String),
    /// It cannot be opened or read now: what the system has of this is used up.
    Exhausted(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile(kind) => write!(f, "is a {kind}, not a file"),
            Self::LinkLoop => f.write_str("is a symbolic link that leads to itself"),
            Self::Dangling => f.write_str("is a symbolic link to nothing"),
            Self::Foreign(uid) => write!(f, "belongs to another user (uid {uid})"),
            Self::WritableByAll => f.write_str("is writable by all"),
            Self::TooLarge => f.write_str("is larger than 1 MiB"),
            Self::OfSystem => f.write_str("leads into /dev or /proc, not to a file"),
            Self::NoWriter => f.write_str("is a fifo that nobody writes to"),
            Self::TooSlow(limit) => write!(f, "did not come to an end within {} s", limit.as_secs()),
            Self::Unreadable(reason) | Self::Failing(reason) | Self::Exhausted(reason) => {
                write!(f, "cannot be read: {reason}")
            }
        }
    }
}

/// The content of a file.
#[derive(Debug)]
pub struct Content {
    /// The bytes, at most [`FILE_LIMIT`].
    pub bytes: Vec<u8>,
    /// The permission bits.
    pub mode: u32,
    /// Why it does not count unless the user consents to it: its owner or its mode.
    pub objection: Option<Unusable>,
}

/// Reads a file whoever owns it and whatever its mode: what a consent is to cover. `None` when there is none.
///
/// # Errors
/// Why it cannot be read.
pub fn read(path: &Path) -> Result<Option<Content>, Unusable> {
    let place = Place::look(path, false)?;
    place.map(|place| place.read(Patience::CHAIN)).transpose()
}

/// Reads one of the user's home files as the chain would; `None` when there is none that counts without consent.
pub(super) fn read_home(path: &Path) -> Result<Option<Content>, Unusable> {
    let Some(place) = Place::look(path, false)?.filter(Place::is_regular) else {
        return Ok(None);
    };
    match place.objection() {
        Some(reason) => Err(reason),
        None => place.read(Patience::CHAIN).map(Some),
    }
}

/// Reads standard input to its end.
pub(super) fn read_stdin() -> Result<Content, Unusable> {
    Ok(Content {
        bytes: read_stream(rustix::stdio::stdin(), Patience::NAMED)?,
        mode: 0o600,
        objection: None,
    })
}

pub(super) fn unreadable(error: &io::Error) -> Unusable {
    let reason = io_reason(error);
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Unusable::Exhausted(reason),
        Some(
            Errno::IO
            | Errno::NOTCONN
            | Errno::STALE
            | Errno::TIMEDOUT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::REMOTEIO
            | Errno::NODEV
            | Errno::NXIO
            | Errno::SHUTDOWN
            | Errno::CONNABORTED,
        ) => Unusable::Failing(reason),
        _ => Unusable::Unreadable(reason),
    }
}

/// Reads to the end, or to one byte past the limit. One call is enough for a file that keeps its size.
pub(super) fn read_all(file: BorrowedFd<'_>, size: u64) -> Result<Vec<u8>, Unusable> {
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(FILE_LIMIT + 1);
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match rustix::io::read(file, &mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(unreadable(&errno.into())),
        }
    }
    bytes.truncate(filled);
    bounded(bytes)
}

/// Reads what comes, each part when it is there, up to the end or the limits.
///
/// It waits before it reads: a FIFO without a writer would look as if it had ended.
pub(super) fn read_stream(file: BorrowedFd<'_>, patience: Patience) -> Result<Vec<u8>, Unusable> {
    let start = Instant::now();
    let (end, mut until) = (start + patience.whole, start + patience.writer);
    let mut bytes = Vec::new();
    let mut part = vec![0; 64 * 1024];
    while bytes.len() <= FILE_LIMIT {
        if Instant::now() >= end {
            return Err(Unusable::TooSlow(patience.whole));
        }
        if !is_ready(file, until)? {
            if until >= end {
                continue;
            }
            // Whoever waits to open the other end is counted as its writer already, and then there is no end to read.
            match rustix::io::read(file, &mut part) {
                Ok(0) => return Err(Unusable::NoWriter),
                Ok(count) => bytes.extend_from_slice(&part[..count]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(unreadable(&errno.into())),
            }
            until = end;
            continue;
        }
        until = end;
        match rustix::io::read(file, &mut part) {
            Ok(0) => return bounded(bytes),
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(unreadable(&errno.into())),
        }
    }
    bounded(bytes)
}

/// Waits until something can be read, or the end; false when the time is over.
fn is_ready(file: BorrowedFd<'_>, until: Instant) -> Result<bool, Unusable> {
    let rest = until.saturating_duration_since(Instant::now());
    let timeout = Timespec {
        tv_sec: rest.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: rest.subsec_nanos().into(),
    };
    let mut polled = [PollFd::from_borrowed_fd(file, PollFlags::IN)];
    match poll(&mut polled, Some(&timeout)) {
        Ok(0) => Ok(false),
        Ok(_) => Ok(true),
        Err(Errno::INTR) => is_ready(file, until),
        Err(errno) => Err(unreadable(&errno.into())),
    }
}

fn bounded(bytes: Vec<u8>) -> Result<Vec<u8>, Unusable> {
    if bytes.len() > FILE_LIMIT {
        return Err(Unusable::TooLarge);
    }
    Ok(bytes)
}
