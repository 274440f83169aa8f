//! One `.env` file: how it is opened, who may own it, how large it may be.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::exit::io_reason;

/// The largest file that is read, in bytes; also the largest text that its bytes may decode to.
pub const FILE_LIMIT: usize = 1024 * 1024;

/// The longest `NAME=value` in bytes. The kernel takes 131,072 with the final NUL; one byte more, once exported,
/// makes every later program start fail (facts: `.env`, section 2).
pub(super) const VARIABLE_LIMIT: usize = 131_071;

/// Why a file that is there is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is a directory, a FIFO, a socket or a device.
    NotAFile(&'static str),
    /// Its symbolic links go in a circle.
    LinkLoop,
    /// It, or the symbolic link in its place, belongs to the user with this number.
    Foreign(u32),
    /// Any user may write to it.
    WritableByAll,
    /// It is larger than [`FILE_LIMIT`].
    TooLarge,
    /// It cannot be opened or read, and why.
    Unreadable(String),
    /// Its readers disagree about the assignment on this line: an invariant of ours broke.
    Misread(u32),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile(kind) => write!(f, "is a {kind}, not a file"),
            Self::LinkLoop => f.write_str("is a symbolic link that leads to itself"),
            Self::Foreign(uid) => write!(f, "belongs to another user (uid {uid})"),
            Self::WritableByAll => f.write_str("is writable by all"),
            Self::TooLarge => f.write_str("is larger than 1 MiB"),
            Self::Unreadable(reason) => write!(f, "cannot be read: {reason}"),
            Self::Misread(line) => write!(f, "internal error reading line {line}; please report it"),
        }
    }
}

/// The content of a file that may be used.
#[derive(Debug)]
pub struct Content {
    /// The bytes, at most [`FILE_LIMIT`].
    pub bytes: Vec<u8>,
    /// The permission bits.
    pub mode: u32,
    /// The owner, when it is another user than the one who runs this process.
    pub foreign: Option<u32>,
}

/// Opens and reads a `.env` file; `None` when there is none.
///
/// A name that cannot be looked up (a dangling link, a directory above that may not be searched) counts as none, as
/// it does for Qwen Code. The open never waits: a FIFO in the file's place is refused, not read.
///
/// # Errors
/// Why the file cannot be used. A foreign owner is not an error here: trust may lift that.
pub fn read(path: &Path) -> Result<Option<Content>, Unusable> {
    let Some((file, link_owner)) = open(path)? else {
        return Ok(None);
    };
    let unreadable = |error: &io::Error| Unusable::Unreadable(io_reason(error));
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err(Unusable::NotAFile(kind(metadata.file_type())));
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(Unusable::WritableByAll);
    }
    let bytes = read_all(file, metadata.len()).map_err(|error| unreadable(&error))?;
    if bytes.len() > FILE_LIMIT {
        return Err(Unusable::TooLarge);
    }
    let me = rustix::process::geteuid().as_raw();
    let foreign = [metadata.uid(), link_owner.unwrap_or(me)]
        .into_iter()
        .find(|&uid| uid != me);
    Ok(Some(Content {
        bytes,
        mode: metadata.mode() & 0o7777,
        foreign,
    }))
}

/// Opens the file without following a symbolic link first, so that a link's owner is known; returns that owner.
fn open(path: &Path) -> Result<Option<(File, Option<u32>)>, Unusable> {
    let link = match open_with(path, OFlags::NOFOLLOW) {
        Ok(file) => return Ok(Some((file, None))),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            path.symlink_metadata().map_err(|error| lost(&error))?
        }
        Err(error) => return absent_or(path, &error),
    };
    match open_with(path, OFlags::empty()) {
        Ok(file) => Ok(Some((file, Some(link.uid())))),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Err(Unusable::LinkLoop),
        Err(error) => absent_or(path, &error),
    }
}

fn open_with(path: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | more;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// Tells a file that is not there, or not visible, from one that is there and refuses to open.
fn absent_or(path: &Path, error: &io::Error) -> Result<Option<(File, Option<u32>)>, Unusable> {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => Ok(None),
        _ => match path.metadata() {
            Ok(metadata) if metadata.is_dir() || metadata.is_file() => Err(lost(error)),
            Ok(metadata) => Err(Unusable::NotAFile(kind(metadata.file_type()))),
            Err(other) if other.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Err(Unusable::LinkLoop),
            Err(_) => Ok(None),
        },
    }
}

fn lost(error: &io::Error) -> Unusable {
    Unusable::Unreadable(io_reason(error))
}

fn kind(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() {
        "directory"
    } else if kind.is_fifo() {
        "fifo"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}

/// Reads to the end, or to one byte past the limit. One call is enough for a file that keeps its size.
fn read_all(mut file: File, size: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(FILE_LIMIT + 1);
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
