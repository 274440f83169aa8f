//! Files that are written whole and, where they hold secrets, for their owner alone.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What was read from a private file.
#[derive(Debug)]
pub struct PrivateFile {
    /// The content.
    pub bytes: Vec<u8>,
    /// The permission bits, for a notice when others could read it.
    pub mode: u32,
}

impl PrivateFile {
    /// True when group or others have any right to it.
    #[must_use]
    pub const fn is_loose(&self) -> bool {
        self.mode & 0o077 != 0
    }
}

/// Reads a file that holds secrets; `None` when there is none.
///
/// # Errors
/// A symbolic link in the file's own place is an error, never followed, so that nobody can point a tool at another
/// file; anything but a regular file, and one above `limit` bytes, is refused too.
pub fn read_private(path: &Path, limit: u64) -> io::Result<Option<PrivateFile>> {
    // O_NONBLOCK: a FIFO planted in the file's place must not make the open wait for a writer.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(io::Error::other("is a symbolic link"));
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("is not a regular file"));
    }
    if metadata.len() > limit {
        return Err(io::Error::other(format!("is larger than {limit} bytes")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    let mode = metadata.mode() & 0o7777;
    Ok(Some(PrivateFile { bytes, mode }))
}

/// Creates a directory and its parents, each that is new with mode 0700 whatever the umask.
///
/// # Errors
/// The error of the system call that failed.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Replaces a file's content by way of a temporary name: readers see the old content or the new, never a part.
///
/// The temporary file is created with mode 0600 in the same directory, synced, renamed over `path`, and the directory
/// is synced, so that the new content survives a power cut once this returns. A symbolic link at `path` is replaced,
/// not followed. The file's modification time always grows, because Qwen Code reloads by it (facts: Qwen Code, the
/// credential file).
///
/// # Errors
/// The error of the system call that failed; the old content is then still there and the temporary file is gone.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    create_private_dir(directory)?;
    let temporary = temporary_name(path);
    let written = write_temporary(&temporary, bytes, path).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
        return written;
    }
    // The new content is in place: a file system that cannot sync a directory must not make it look refused.
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
    Ok(())
}

fn write_temporary(temporary: &Path, bytes: &[u8], target: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    if let (Ok(old), Ok(new)) = (
        target.symlink_metadata().and_then(|old| old.modified()),
        file.metadata().and_then(|new| new.modified()),
    ) && new <= old
    {
        file.set_modified(old + std::time::Duration::from_millis(1))?;
    }
    file.sync_all()
}

/// Returns a name beside `path` that no other process or thread uses.
fn temporary_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".tmp.{}.{count}", std::process::id()));
    path.with_file_name(name)
}

/// Removes temporary files that writers of `path` left behind when they were killed.
///
/// Call it with the lock held that all writers of `path` take: then none of them is at work.
pub fn sweep_temporaries(path: &Path) {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return;
    };
    let prefix = format!("{name}.tmp.");
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry
            .file_name()
            .to_str()
            .is_some_and(|other| other.starts_with(&prefix))
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
