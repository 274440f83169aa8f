//! What is at the place of a `.env` file. It is found without opening the file, since opening is an act in itself, for the
//! writer of a FIFO above all; and what is read later is what was found, or nothing.

use std::ffi::{OsStr, OsString};
use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::Errno;

use super::content::{Content, Patience, Unusable, read_all, read_stream, unreadable};
use crate::fs::is_link_error;

// A directory that may be searched but not listed will do.
#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// A file by the directory that it was found in and by its identity there.
#[derive(Debug)]
pub(super) struct Place {
    /// The directory, held open: it cannot become another one.
    directory: File,
    name: OsString,
    metadata: Metadata,
    /// The user named the file.
    named: bool,
    /// It lies where the system shows devices and processes, or leads there.
    is_of_system: bool,
    /// The owner of the symbolic link that is there.
    link_owner: Option<u32>,
    /// The owner of the symbolic link in the place of the directory `.qwen`: whoever made it chose the file.
    directory_link_owner: Option<u32>,
}

/// What a name in a directory leads to.
struct Entry {
    metadata: Metadata,
    /// What it is in itself, where it leads on; whose the link is.
    link_owner: Option<u32>,
    is_of_system: bool,
}

impl Place {
    /// Looks; `None` when nothing is there.
    ///
    /// A directory that may not be searched holds none, as for Qwen Code.
    ///
    /// # Errors
    /// Why it cannot be told whether there is one, or what it is; a link may lead to nothing.
    pub(super) fn look(path: &Path, named: bool) -> Result<Option<Self>, Unusable> {
        // Most places of a search are empty, and one call tells.
        let found = match path.symlink_metadata() {
            Err(error) if is_nothing(&error) || is_link_error(&error) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && is_closed(path) => {
                return Ok(None);
            }
            Err(error) => return Err(unreadable(&error)),
            Ok(found) => found,
        };
        match Self::find(path, named) {
            Ok(place) => Ok(Some(place)),
            Err(error) if is_link_error(&error) => Err(Unusable::LinkLoop),
            Err(error) if is_nothing(&error) && found.is_symlink() => Err(Unusable::Dangling),
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(unreadable(&error)),
        }
    }

    fn find(path: &Path, named: bool) -> io::Result<Self> {
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        let above = above.unwrap_or_else(|| Path::new("."));
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let (directory, directory_link_owner) = open_directory(above)?;
        let entry = Entry::find(&directory, name, named)?;
        let leads_on = entry.link_owner.is_some() || directory_link_owner.is_some();
        let is_of_system = !named
            && (entry.is_of_system
                || (leads_on || path.starts_with("/dev") || path.starts_with("/proc"))
                    && is_of_system(&entry.metadata));
        Ok(Self {
            directory,
            name: name.to_owned(),
            metadata: entry.metadata,
            named,
            is_of_system,
            link_owner: entry.link_owner,
            directory_link_owner,
        })
    }

    /// Returns what it is where that is nothing to read. A file that the user named may be a device too.
    pub(super) fn is_no_file(&self) -> Option<Unusable> {
        let kind = self.metadata.file_type();
        if !is_read(kind, self.named) {
            return Some(Unusable::NotAFile(name_of(kind)));
        }
        self.is_of_system.then_some(Unusable::OfSystem)
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

    /// True for a regular file of the user's own tree.
    pub(super) fn is_regular(&self) -> bool {
        self.metadata.is_file() && !self.is_of_system
    }

    /// True when a symbolic link stands in the place of the directory `.qwen`.
    pub(super) const fn is_in_linked_directory(&self) -> bool {
        self.directory_link_owner.is_some()
    }

    /// Returns whether the directory that the file was found in is one of these.
    pub(super) fn is_in<'p>(&self, directories: impl IntoIterator<Item = &'p Path>) -> bool {
        let identity = |found: &Metadata| (found.dev(), found.ino());
        let Ok(own) = self.directory.metadata() else {
            return false;
        };
        let mut others = directories.into_iter().filter_map(|path| path.metadata().ok());
        others.any(|other| identity(&other) == identity(&own))
    }

    /// Reads it. The open never waits, and takes no terminal.
    pub(super) fn read(&self, patience: Patience) -> Result<Content, Unusable> {
        if let Some(reason) = self.is_no_file() {
            return Err(reason);
        }
        let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if self.link_owner.is_none() {
            flags |= OFlags::NOFOLLOW;
        }
        let file = open(&self.directory, self.name.as_os_str(), flags).map_err(|error| unreadable(&error))?;
        let metadata = file.metadata().map_err(|error| unreadable(&error))?;
        let is_same = (metadata.dev(), metadata.ino()) == (self.metadata.dev(), self.metadata.ino());
        if !is_same {
            return Err(Unusable::Unreadable("another file took its place".to_owned()));
        }
        let bytes = match metadata.is_file() {
            true => read_all(file.as_fd(), metadata.len()),
            false => read_stream(file.as_fd(), patience),
        }?;
        Ok(Content {
            bytes,
            mode: metadata.mode() & 0o7777,
            objection: objection(&metadata, self.link_owners()),
        })
    }
}

/// Opens the directory of a file; returns too whose the symbolic link is that stands in the place of a directory `.qwen`. A
/// directory of another name is on the way that the user went.
fn open_directory(path: &Path) -> io::Result<(File, Option<u32>)> {
    let flags = LOOK | OFlags::DIRECTORY;
    if !path.ends_with(".qwen") {
        return Ok((open(CWD, path, flags)?, None));
    }
    match openat(CWD, path, flags | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(directory) => return Ok((directory.into(), None)),
        Err(Errno::LOOP | Errno::NOTDIR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or_else(|| Path::new("."));
    let above = open(CWD, above, flags)?;
    let (directory, link_owner) = open_link(&above, OsStr::new(".qwen"), flags, false)?;
    Ok((directory, Some(link_owner)))
}

/// Opens what a symbolic link leads to, and returns whose the link is. The link that is followed is the one that is judged.
#[cfg(target_os = "linux")]
fn open_link(at: &File, name: &OsStr, flags: OFlags, named: bool) -> io::Result<(File, u32)> {
    use rustix::fs::{ResolveFlags, openat2};
    let link = open(at, name, LOOK | OFlags::NOFOLLOW)?;
    let owner = link.metadata()?.uid();
    let target = readlinkat(&link, "", Vec::new())?;
    let target = OsStr::from_bytes(target.as_bytes());
    if named {
        // The name, not the text: what `/dev/fd` shows is no path.
        return Ok((open(at, name, flags)?, owner));
    }
    match openat2(at, target, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => Ok((open(at, target, flags)?, owner)),
        opened => Ok((opened?.into(), owner)),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_link(at: &File, name: &OsStr, flags: OFlags, _named: bool) -> io::Result<(File, u32)> {
    let owner = statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?.st_uid;
    let target = readlinkat(at, name, Vec::new())?;
    let target = OsStr::from_bytes(target.as_bytes());
    Ok((open(at, target, flags)?, owner))
}

impl Entry {
    fn find(directory: &File, name: &OsStr, named: bool) -> io::Result<Self> {
        match open(directory, name, LOOK | OFlags::NOFOLLOW) {
            Ok(itself) => {
                let metadata = itself.metadata()?;
                if !metadata.is_symlink() {
                    return Ok(Self {
                        metadata,
                        link_owner: None,
                        is_of_system: false,
                    });
                }
            }
            // Where a link cannot be opened itself.
            Err(error) if is_link_error(&error) => {}
            Err(error) => return Err(error),
        }
        match open_link(directory, name, LOOK, named) {
            Ok((target, owner)) => Ok(Self {
                metadata: target.metadata()?,
                link_owner: Some(owner),
                is_of_system: false,
            }),
            // It leads by a link of /proc, which is no path, and not in a circle: then the kernel could follow it.
            Err(error) if is_link_error(&error) && statat(directory, name, AtFlags::empty()).is_ok() => {
                let there = open(directory, name, LOOK)?;
                let link = open(directory, name, LOOK | OFlags::NOFOLLOW)?;
                Ok(Self {
                    metadata: there.metadata()?,
                    link_owner: Some(link.metadata()?.uid()),
                    is_of_system: true,
                })
            }
            Err(error) => Err(error),
        }
    }
}

fn open(at: impl AsFd, name: impl rustix::path::Arg, flags: OFlags) -> io::Result<File> {
    Ok(openat(at, name, flags, Mode::empty())?.into())
}

/// True for what lies on the file systems of `/proc` and `/dev`, a pipe among them that has no name. What is mounted below
/// them, such as `/dev/shm`, is another file system.
fn is_of_system(file: &Metadata) -> bool {
    let root = Path::new("/").metadata().map(|root| root.dev());
    let is_on = |mount: &str| {
        let mount = Path::new(mount).metadata().map(|mount| mount.dev());
        mount.is_ok_and(|mount| mount == file.dev()) && !matches!(root, Ok(root) if root == file.dev())
    };
    is_on("/dev") || is_on("/proc")
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

/// True where nothing is there: the directory lacks it, or there is no such directory.
fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename
    )
}

/// True when the user may not search the directory of a path: what is in it is not there for them, as it is not for Qwen
/// Code.
fn is_closed(path: &Path) -> bool {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or_else(|| Path::new("."));
    rustix::fs::access(above, Access::EXEC_OK) == Err(Errno::ACCESS)
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
