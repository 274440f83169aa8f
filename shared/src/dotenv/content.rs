//! What is at the place of a `.env` file, and how it is read.

use std::fmt;
use std::fs::{FileType, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::exit::io_reason;
use crate::fs::{Links, is_link_error, options};

/// The largest file that is read, in bytes; also the largest text that its bytes may decode to.
pub const FILE_LIMIT: usize = 1024 * 1024;

/// How long the writer of a FIFO, or whatever is behind a named file, may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The name under which standard input is a file.
pub(super) const STDIN: &str = "/dev/stdin";

/// Why a file that is there is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is a directory, a socket or a device.
    NotAFile(&'static str),
    /// Its symbolic links go in a circle.
    LinkLoop,
    /// It, or the symbolic link in its place, belongs to the user with this number.
    Foreign(u32),
    /// Any user may write to it.
    WritableByAll,
    /// It is larger than [`FILE_LIMIT`].
    TooLarge,
    /// Its writer did not come to an end in time.
    TooSlow,
    /// It cannot be opened or read, and why.
    Unreadable(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile(kind) => write!(f, "is a {kind}, not a file"),
            Self::LinkLoop => f.write_str("is a symbolic link that leads to itself"),
            Self::Foreign(uid) => write!(f, "belongs to another user (uid {uid})"),
            Self::WritableByAll => f.write_str("is writable by all"),
            Self::TooLarge => f.write_str("is larger than 1 MiB"),
            Self::TooSlow => write!(f, "did not come to an end within {} s", TIME_LIMIT.as_secs()),
            Self::Unreadable(reason) => write!(f, "cannot be read: {reason}"),
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
    Place::look(path)?.map(|place| place.read(false)).transpose()
}

/// Reads one of the user's home files as the chain would; `None` when there is none that counts without consent.
pub(super) fn read_home(path: &Path) -> Result<Option<Content>, Unusable> {
    let Some(place) = Place::look(path)?.filter(|place| place.metadata.is_file()) else {
        return Ok(None);
    };
    match place.objection() {
        Some(reason) => Err(reason),
        None => place.read(false).map(Some),
    }
}

/// What is at a path, found without opening it: opening is an act in itself, for the writer of a FIFO above all.
#[derive(Debug)]
pub(super) struct Place<'p> {
    path: &'p Path,
    metadata: Metadata,
    /// The owner of the symbolic link that is there.
    link_owner: Option<u32>,
    /// The owner of the symbolic link in the place of the directory `.qwen`: whoever made it chose the file.
    directory_link_owner: Option<u32>,
}

impl<'p> Place<'p> {
    /// Looks; `None` when nothing is there.
    ///
    /// A name that cannot be looked up (a dangling link, a directory above that may not be searched) counts as none, as
    /// it does for Qwen Code.
    pub(super) fn look(path: &'p Path) -> Result<Option<Self>, Unusable> {
        let found = match path.symlink_metadata() {
            Ok(found) => found,
            Err(error) => return absent_or(&error),
        };
        let directory_link_owner = path.parent().and_then(link_owner);
        if !found.is_symlink() {
            return Ok(Some(Self {
                path,
                metadata: found,
                link_owner: None,
                directory_link_owner,
            }));
        }
        match path.metadata() {
            Ok(metadata) => Ok(Some(Self {
                path,
                metadata,
                link_owner: Some(found.uid()),
                directory_link_owner,
            })),
            Err(error) if is_link_error(&error) => Err(Unusable::LinkLoop),
            Err(error) => absent_or(&error),
        }
    }

    /// Returns what it is where that is nothing to read. A file that the user named may be a device too.
    pub(super) fn is_no_file(&self, named: bool) -> Option<Unusable> {
        let kind = self.metadata.file_type();
        (!is_read(kind, named)).then(|| Unusable::NotAFile(name_of(kind)))
    }

    /// Returns why the file does not count unless the user consents to it.
    pub(super) fn objection(&self) -> Option<Unusable> {
        objection(&self.metadata, self.link_owners())
    }

    fn link_owners(&self) -> [Option<u32>; 2] {
        [self.link_owner, self.directory_link_owner]
    }

    /// Returns whether the file, and the link to it, belong to the user who runs this process.
    pub(super) fn is_own(&self) -> bool {
        let me = rustix::process::geteuid().as_raw();
        let mut links = self.link_owners().into_iter().flatten();
        self.metadata.uid() == me && links.all(|owner| owner == me)
    }

    /// Reads it. The open never waits, and takes no terminal.
    pub(super) fn read(&self, named: bool) -> Result<Content, Unusable> {
        if let Some(reason) = self.is_no_file(named) {
            return Err(reason);
        }
        let links = match self.link_owner {
            Some(_) => Links::Follow,
            None => Links::Refuse,
        };
        let file = options(links)
            .read(true)
            .open(self.path)
            .map_err(|error| unreadable(&error))?;
        // What was opened may be another file than the one that was looked at.
        let metadata = file.metadata().map_err(|error| unreadable(&error))?;
        if !is_read(metadata.file_type(), named) {
            return Err(Unusable::NotAFile(name_of(metadata.file_type())));
        }
        let bytes = match metadata.is_file() {
            true => read_all(file.as_fd(), metadata.len()),
            false => read_stream(file.as_fd()),
        }?;
        Ok(Content {
            bytes,
            mode: metadata.mode() & 0o7777,
            objection: objection(&metadata, self.link_owners()),
        })
    }
}

/// Reads standard input to its end.
pub(super) fn read_stdin() -> Result<Content, Unusable> {
    Ok(Content {
        bytes: read_stream(rustix::stdio::stdin())?,
        mode: 0o600,
        objection: None,
    })
}

/// Returns the owner of a symbolic link in the place of a directory `.qwen`. A directory of another name is on the way that
/// the user went.
fn link_owner(directory: &Path) -> Option<u32> {
    let link = directory
        .ends_with(".qwen")
        .then(|| directory.symlink_metadata().ok())?;
    link.filter(Metadata::is_symlink).map(|link| link.uid())
}

/// What root owns is safe for everybody: root could replace any file.
fn objection(metadata: &Metadata, links: [Option<u32>; 2]) -> Option<Unusable> {
    let me = rustix::process::geteuid().as_raw();
    let foreign = std::iter::once(metadata.uid())
        .chain(links.into_iter().flatten())
        .find(|&uid| uid != me && uid != 0);
    if let Some(uid) = foreign {
        return Some(Unusable::Foreign(uid));
    }
    (metadata.mode() & 0o002 != 0).then_some(Unusable::WritableByAll)
}

fn is_read(kind: FileType, named: bool) -> bool {
    kind.is_file() || kind.is_fifo() || (named && (kind.is_char_device() || kind.is_block_device()))
}

/// Tells a file that is not there, or not visible, from one that is there and cannot be looked at.
fn absent_or<T>(error: &io::Error) -> Result<Option<T>, Unusable> {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::PermissionDenied => Ok(None),
        _ if is_link_error(error) => Ok(None),
        _ => Err(unreadable(error)),
    }
}

fn unreadable(error: &io::Error) -> Unusable {
    Unusable::Unreadable(io_reason(error))
}

fn name_of(kind: FileType) -> &'static str {
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
fn read_all(file: BorrowedFd<'_>, size: u64) -> Result<Vec<u8>, Unusable> {
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
fn read_stream(file: BorrowedFd<'_>) -> Result<Vec<u8>, Unusable> {
    let end = Instant::now() + TIME_LIMIT;
    let mut bytes = Vec::new();
    let mut part = vec![0; 64 * 1024];
    while bytes.len() <= FILE_LIMIT {
        let rest = end.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(Unusable::TooSlow);
        }
        let timeout = Timespec {
            tv_sec: rest.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: rest.subsec_nanos().into(),
        };
        match poll(
            &mut [PollFd::from_borrowed_fd(file, PollFlags::IN)],
            Some(&timeout),
        ) {
            Ok(0) => return Err(Unusable::TooSlow),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(unreadable(&errno.into())),
        }
        match rustix::io::read(file, &mut part) {
            Ok(0) => return bounded(bytes),
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(unreadable(&errno.into())),
        }
    }
    bounded(bytes)
}

fn bounded(bytes: Vec<u8>) -> Result<Vec<u8>, Unusable> {
    if bytes.len() > FILE_LIMIT {
        return Err(Unusable::TooLarge);
    }
    Ok(bytes)
}
