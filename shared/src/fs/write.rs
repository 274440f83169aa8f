//! Writing a file so that readers see the old content or the new.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::{Links, create_private_dir, directory_of, options};

/// Replaces a file's content by way of a temporary name: readers see the old content or the new, never a part.
///
/// The file has mode 0600, is synced, and renamed over the path; the directory, which is created with mode 0700 where it is
/// missing, is synced too. A symbolic link in the file's place is replaced, not followed. Where the file system can, the
/// temporary file has no name until it is whole, so that a process that is killed leaves nothing behind.
///
/// A file that is a mount of its own, as Docker's `-v FILE:FILE` makes one, cannot be replaced. It is written in place, while
/// the new content stands whole at its [`whole_copy`], for a power cut in the middle.
///
/// # Errors
/// The error of the system call that failed; the old content is then still there and the temporary file is gone.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, None)
}

/// As [`write_private`], for a file that holds no secret: whoever may read the old one may read the new one.
///
/// # Errors
/// As [`write_private`].
pub fn write_readable_as_before(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let old = path.symlink_metadata().ok().filter(Metadata::is_file);
    replace(path, bytes, old.as_ref())
}

/// Gives a file mode 0600, and those a right to read it who have it of an `old` one.
fn set_rights(file: &File, old: Option<&Metadata>) -> io::Result<()> {
    let mut readers = old.map_or(0, |old| old.mode() & 0o044);
    if let Some(old) = old.filter(|_| readers & 0o040 != 0)
        && file.metadata()?.gid() != old.gid()
        && fchown(file, None, Some(old.gid())).is_err()
    {
        // It would be another group's.
        readers &= !0o040;
    }
    file.set_permissions(Permissions::from_mode(0o600 | readers))
}

fn replace(path: &Path, bytes: &[u8], old: Option<&Metadata>) -> io::Result<()> {
    let directory = directory_of(path);
    create_private_dir(directory)?;
    refuse_directory(path)?;
    let (mut file, name) = match open_unnamed(directory) {
        Some(file) => (file, None),
        None => {
            let name = temporary_name(path);
            (create_new(&name)?, Some(name))
        }
    };
    let temporary = name.clone().unwrap_or_else(|| temporary_name(path));
    let written = set_rights(&file, old)
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| make_newer(&file, path))
        .and_then(|()| sync(&file))
        .and_then(|()| match name {
            Some(_) => Ok(()),
            None => link(&file, &temporary),
        })
        .and_then(|()| match std::fs::rename(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && path.exists() => {
                write_in_place(path, bytes, &temporary)
            }
            Ok(()) => {
                let _ = std::fs::remove_file(whole_copy(path));
                Ok(())
            }
            refused => refused,
        });
    written.inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })?;
    // The new content is in place: a file system that cannot sync a directory must not make it look refused.
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
    Ok(())
}

/// Returns the name beside `path` that has the whole content while the file is written in place. What is found there is of a
/// write that was cut short: where the file holds no valid content, that is what it was to hold.
#[must_use]
pub fn whole_copy(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".whole");
    path.with_file_name(name)
}

/// Writes a file's content over the old one. `temporary` holds the new one, synced; it is gone afterwards.
fn write_in_place(path: &Path, bytes: &[u8], temporary: &Path) -> io::Result<()> {
    let file = options(Links::Refuse).read(true).write(true).open(path)?;
    let mut old = Zeroizing::new(Vec::new());
    (&file).read_to_end(&mut old)?;
    let copy = whole_copy(path);
    std::fs::rename(temporary, &copy)?;
    if let Some(directory) = path.parent() {
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
    }
    let written = overwrite(&file, bytes);
    // Where even the old content cannot be put back, the copy is the only whole one.
    if written.is_ok() || overwrite(&file, &old).is_ok() {
        let _ = std::fs::remove_file(&copy);
    }
    written
}

/// Writes a new content over the old one by a single write. Line feeds take the rest of a longer one until it is cut off,
/// so that at no time there is more than white space behind the new content.
pub(super) fn overwrite(file: &File, bytes: &[u8]) -> io::Result<()> {
    let old = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    let mut content = Zeroizing::new(Vec::with_capacity(old.max(bytes.len())));
    content.extend_from_slice(bytes);
    content.resize(old.max(bytes.len()), b'\n');
    file.write_all_at(&content, 0)?;
    let _ = file.set_len(bytes.len() as u64);
    sync(file)
}

/// As [`write_private`], for state that is written often and by the holder of a lock alone: it is not synced, so that after a
/// power cut an older content, or none, may be there.
///
/// # Errors
/// The error of the system call that failed; the old content is then still there.
pub fn write_private_locked(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // One name is enough. What has it was left by a killed holder, or is not ours.
    let temporary = path.with_extension("new");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create_new(&temporary)?.write_all(bytes)?;
    std::fs::rename(&temporary, path)
}

/// Creates a file with mode 0600 that holds `bytes` from its first moment, where the file system can do that.
///
/// # Errors
/// `AlreadyExists` when something has that name, a symbolic link too; else the error of the system call that failed.
pub fn create_private(path: &Path, bytes: &[u8]) -> io::Result<File> {
    if let Some(mut file) = open_unnamed(directory_of(path)) {
        file.write_all(bytes)?;
        link(&file, path)?;
        return Ok(file);
    }
    let mut file = create_new(path)?;
    file.write_all(bytes).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })?;
    Ok(file)
}

/// Removes temporary files that writers of `path` left behind when they were killed.
///
/// Call it with the lock held that all writers of `path` take: then none of them is at work.
pub fn remove_temporaries(path: &Path) {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return;
    };
    let prefix = format!("{name}.tmp.");
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        // Ours alone: Qwen Code's temporary files have a UUID there, and another profile's name may begin like this.
        let is_ours = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if entry
            .file_name()
            .to_str()
            .and_then(|other| other.strip_prefix(&prefix))
            .is_some_and(is_ours)
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Syncs a file. A file system that has no such thing, as some over the network and in user space, is no failure.
pub(super) fn sync(file: &File) -> io::Result<()> {
    unless_unsupported(file.sync_all())
}

/// As `sync`, without what readers of the content do not need.
///
/// # Errors
/// The error of the system call.
pub fn sync_data(file: &File) -> io::Result<()> {
    unless_unsupported(file.sync_data())
}

fn unless_unsupported(synced: io::Result<()>) -> io::Result<()> {
    synced.or_else(|error| match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Ok(()),
        _ => Err(error),
    })
}

/// Makes the file's modification time later than that of what is at `path`: Qwen Code reloads a file whose time has grown.
pub(super) fn make_newer(file: &File, path: &Path) -> io::Result<()> {
    if let (Ok(old), Ok(new)) = (
        path.symlink_metadata().and_then(|old| old.modified()),
        file.metadata().and_then(|new| new.modified()),
    ) && new <= old
    {
        file.set_modified(old + Duration::from_millis(1))?;
    }
    Ok(())
}

pub(super) fn refuse_directory(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Ok(()),
    }
}

pub(super) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Opens a file for reading and writing that has no name yet; `None` where the file system has no such thing, or the open
/// fails for a reason that the attempt with a name will report.
#[cfg(target_os = "linux")]
#[must_use]
pub fn open_unnamed(directory: &Path) -> Option<File> {
    // Naming it later goes through /proc (linkat needs a privilege otherwise).
    if !Path::new("/proc/self/fd").exists() {
        return None;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(OFlags::TMPFILE.bits().cast_signed())
        .open(directory)
        .ok()
}

#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn open_unnamed(_directory: &Path) -> Option<File> {
    None
}

/// Gives a file of [`open_unnamed`] a name that nothing has yet.
///
/// # Errors
/// `AlreadyExists` when something has that name; else the error of the system call.
pub fn link(file: &File, name: &Path) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(
        rustix::fs::CWD,
        nameless,
        rustix::fs::CWD,
        name,
        rustix::fs::AtFlags::SYMLINK_FOLLOW,
    )?;
    Ok(())
}

/// Returns a name beside `path` that no other process or thread uses.
pub(super) fn temporary_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // The time too: in containers that share a home, processes share numbers.
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".tmp.{}.{time}.{count}", std::process::id()));
    path.with_file_name(name)
}
