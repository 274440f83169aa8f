//! Files: private ones, atomic replacement, and kernel locks.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jsonc_parser::{ParseOptions, parse_to_serde_value};
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde_json::Value;

use super::exit::{Exit, Failure, io_reason};

mod own;

pub use own::{NotOwn, check_own_directory, open_own};

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

/// Reads a file that holds secrets, or decides where they go, as [`open_own`] opens it; `None` when there is none.
///
/// # Errors
/// As [`open_own`]. A symbolic link in the file's own place is an error, never followed, so that nobody can point a tool at
/// another file; anything but a regular file, and one above `limit` bytes, is refused too.
pub fn read_private(path: &Path, limit: u64) -> io::Result<Option<PrivateFile>> {
    let Some(file) = open_own(path, Links::Refuse)? else {
        return Ok(None);
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

/// What to do about a symbolic link in a file's own place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Open what it leads to.
    Follow,
    /// Fail; [`is_link_error`] knows the error.
    Refuse,
}

/// Returns the options to open a file with: never waiting for the other end of a FIFO that stands in the file's place, never
/// taking a terminal, and with mode 0600 if the file is created.
#[must_use]
pub fn options(links: Links) -> OpenOptions {
    let nofollow = match links {
        Links::Follow => OFlags::empty(),
        Links::Refuse => OFlags::NOFOLLOW,
    };
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | nofollow;
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(flags.bits().cast_signed());
    options
}

/// True when an open failed because of a symbolic link: one that was refused, or that leads to itself.
#[must_use]
pub fn is_link_error(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// The failure of reading a file, exit 66: `cannot read 'X': permission denied`; of one that is not the user's own, exit 78.
#[must_use]
pub fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    if let Some(not_own) = NotOwn::of(error) {
        return not_own.failure();
    }
    Failure::new(Exit::NoInput, cannot("read", path, error))
}

/// The failure of writing a file, exit 74; in a directory that is not the user's own, exit 78.
#[must_use]
pub fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    if let Some(not_own) = NotOwn::of(error) {
        return not_own.failure();
    }
    Failure::new(Exit::Io, cannot("write", path, error))
}

/// The failure of reading standard input, exit 74.
#[must_use]
pub fn cannot_read_stdin(error: &io::Error) -> Failure {
    let reason = io_reason(error);
    Failure::new(Exit::Io, format!("cannot read standard input: {reason}"))
}

/// Returns the message `cannot ACTION 'PATH': REASON`.
#[must_use]
pub fn cannot(action: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {action} '{}': {}", path.display(), io_reason(error))
}

/// True when an open failed because nothing has the name: also where a part of the path is no directory, as with the
/// `HOME=/dev/null` of a service.
#[must_use]
pub fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The largest file that [`read_jsonc`] reads, in bytes.
const JSONC_LIMIT: u64 = 1 << 20;

/// Reads JSON with comments and trailing commas, as Qwen Code writes its `settings.json`.
///
/// `None` where there is no such file, somebody else could have written it, or it holds something else: it is Qwen Code's
/// file, and Qwen Code reports the fault.
#[must_use]
pub fn read_jsonc(path: &Path) -> Option<Value> {
    let file = open_own(path, Links::Follow).ok()??;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > JSONC_LIMIT {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(JSONC_LIMIT).read_to_end(&mut bytes).ok()?;
    parse_jsonc(&String::from_utf8_lossy(&bytes)).ok()
}

/// Parses JSON with comments and trailing commas. A blank text is `null`.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse_jsonc(text: &str) -> Result<Value, jsonc_parser::errors::ParseError> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    parse_to_serde_value(text.trim_start_matches('\u{feff}'), &options)
}

/// Creates a directory and its parents, each that is new with mode 0700 whatever the umask.
///
/// # Errors
/// The error of the system call that failed; where something else has the name, which it is.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::other(format!("'{}' is not a directory", path.display())),
        _ => error,
    })
}

/// Replaces a file's content by way of a temporary name: readers see the old content or the new, never a part.
///
/// As [`Replacement`], in one step.
///
/// # Errors
/// The error of the system call that failed; the old content is then still there and the temporary file is gone.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Replacement::begin(path, 0)?.commit(bytes)
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

/// A new content for a file, in two steps: room for it is taken first, and filled when the content is known.
///
/// What is to be written may be impossible to get twice (a single-use refresh token): a full disk or a read-only
/// directory must show before it is fetched. Where the file system can, the room is a file without a name, so that
/// a process that is killed leaves nothing behind.
#[derive(Debug)]
pub struct Replacement {
    file: File,
    temporary: Option<PathBuf>,
    path: PathBuf,
}

impl Replacement {
    /// Takes room for `room` bytes beside `path`, creating its directory with mode 0700 where it is missing.
    ///
    /// # Errors
    /// The error of the system call that failed: no space, no permission, a read-only file system; a directory in the
    /// file's place.
    pub fn begin(path: &Path, room: usize) -> io::Result<Self> {
        let directory = directory_of(path);
        create_private_dir(directory)?;
        if path.symlink_metadata().is_ok_and(|there| there.is_dir()) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (file, temporary) = match open_unnamed(directory) {
            Some(file) => (file, None),
            None => {
                let name = temporary_name(path);
                (create_new(&name)?, Some(name))
            }
        };
        let mut replacement = Self {
            file,
            temporary,
            path: path.to_path_buf(),
        };
        replacement
            .file
            .set_permissions(std::fs::Permissions::from_mode(0o600))?;
        replacement.file.write_all(&vec![0; room])?;
        Ok(replacement)
    }

    /// Puts `bytes` in the file's place.
    ///
    /// The file has mode 0600, is synced, and renamed over the path; the directory is synced too, so that the new
    /// content survives a power cut once this returns. A symbolic link in the file's place is replaced, not followed.
    /// The modification time always grows, because Qwen Code reloads the file when it does.
    ///
    /// # Errors
    /// The error of the system call that failed; the old content is then still there.
    pub fn commit(mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(bytes)?;
        self.file.set_len(bytes.len() as u64)?;
        self.make_newer()?;
        self.file.sync_all()?;
        let temporary = match self.temporary.take() {
            Some(name) => name,
            None => {
                let name = temporary_name(&self.path);
                link(&self.file, &name)?;
                name
            }
        };
        std::fs::rename(&temporary, &self.path).inspect_err(|_| {
            let _ = std::fs::remove_file(&temporary);
        })?;
        // The new content is in place: a file system that cannot sync a directory must not make it look refused.
        let _ = File::open(directory_of(&self.path)).and_then(|directory| directory.sync_all());
        Ok(())
    }

    fn make_newer(&self) -> io::Result<()> {
        if let (Ok(old), Ok(new)) = (
            self.path.symlink_metadata().and_then(|old| old.modified()),
            self.file.metadata().and_then(|new| new.modified()),
        ) && new <= old
        {
            self.file
                .set_modified(old + std::time::Duration::from_millis(1))?;
        }
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(name) = &self.temporary {
            let _ = std::fs::remove_file(name);
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Opens a file that has no name yet; `None` where the file system has no such thing, or the open fails for a
/// reason that the attempt with a name will report.
#[cfg(target_os = "linux")]
fn open_unnamed(directory: &Path) -> Option<File> {
    // Naming it later goes through /proc (linkat needs a privilege otherwise).
    if !Path::new("/proc/self/fd").exists() {
        return None;
    }
    OpenOptions::new()
        .write(true)
        .mode(0o600)
        .custom_flags(OFlags::TMPFILE.bits().cast_signed())
        .open(directory)
        .ok()
}

#[cfg(not(target_os = "linux"))]
fn open_unnamed(_directory: &Path) -> Option<File> {
    None
}

/// Gives a nameless file a name that nothing has yet.
fn link(file: &File, name: &Path) -> io::Result<()> {
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
fn temporary_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // The time too: in containers that share a home, processes share numbers.
    let time = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".tmp.{}.{time}.{count}", std::process::id()));
    path.with_file_name(name)
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

/// How long to wait before `notify` is called.
const NOTICE_AFTER: Duration = Duration::from_secs(2);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// An exclusive lock, held until dropped. The lock file itself stays: removing it would let two holders in.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// A wait for something that another process holds.
pub(crate) struct Wait<'a> {
    started: Instant,
    limit: Duration,
    notify: Option<&'a dyn Fn(&str)>,
}

impl<'a> Wait<'a> {
    /// Begins. `notify` is called once with what is waited for, if that takes long.
    pub(crate) fn new(limit: Duration, notify: &'a dyn Fn(&str)) -> Self {
        Self {
            started: Instant::now(),
            limit,
            notify: Some(notify),
        }
    }

    /// True when the lock file `path` has been waited for long enough.
    pub(crate) fn is_over(&mut self, path: &Path) -> bool {
        let waited = self.started.elapsed();
        if (NOTICE_AFTER..self.limit).contains(&waited)
            && let Some(notify) = self.notify.take()
        {
            let (path, limit) = (path.display(), self.limit.as_secs());
            notify(&format!(
                "{path}: locked by another process; waiting up to {limit} s"
            ));
        }
        waited >= self.limit
    }
}

impl Lock {
    /// Takes a lock that others hold for milliseconds, as [`Lock::take_with_notice`], without a notice.
    ///
    /// # Errors
    /// As [`Lock::take_with_notice`].
    pub fn take(path: &Path, limit: Duration) -> Result<Self, Failure> {
        Self::take_with_notice(path, limit, &|_| {})
    }

    /// Takes the lock, waiting at most `limit` for other holders; after two seconds `notify` is called with a message. The file is created
    /// with mode 0600; a symbolic link in its place is refused.
    ///
    /// # Errors
    /// 75 when the limit is reached, 74 when the file cannot be opened or locked at all.
    pub fn take_with_notice(path: &Path, limit: Duration, notify: &dyn Fn(&str)) -> Result<Self, Failure> {
        let refused = |error: io::Error| Failure::new(Exit::Io, cannot("lock", path, &error));
        let mut wait = Wait::new(limit, notify);
        let mut pause = Duration::from_millis(1);
        let mut file = open(path).map_err(refused)?;
        loop {
            match file.try_lock() {
                Ok(()) if is_at(&file, path) => return Ok(Self { file }),
                // Someone removed the file while we waited: a lock on what has no name guards nothing.
                Ok(()) => file = open(path).map_err(refused)?,
                Err(TryLockError::Error(error)) => return Err(refused(error)),
                Err(TryLockError::WouldBlock) if wait.is_over(path) => {
                    let waited = limit.as_secs();
                    return Err(Failure::new(
                        Exit::TryAgain,
                        format!(
                            "{}: still locked by another process after {waited} s",
                            path.display()
                        ),
                    ));
                }
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Returns the lock file, for state that is kept in it.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }
}

fn open(path: &Path) -> io::Result<File> {
    options(Links::Refuse)
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(ours), Ok(there)) => ours.dev() == there.dev() && ours.ino() == there.ino(),
        _ => false,
    }
}

/// Returns the name of the lock that writers of `path` take: the same with `.lock` at its end.
#[must_use]
pub fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".lock");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::{Lock, lock_path, parse_jsonc};
    use crate::exit::Exit;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn comments_and_trailing_commas_are_no_part_of_json() {
        for (text, value) in [
            ("{}", json!({})),
            ("{\"a\":1,// x\n\"b\":\"//no\"}", json!({"a": 1, "b": "//no"})),
            ("/* * / */{\"a\":[1,2,],}", json!({"a": [1, 2]})),
            ("{\"a\":\"\\\"/*\"/**/}", json!({"a": "\"/*"})),
            ("\u{feff}{\"a\":\",}\"}", json!({"a": ",}"})),
            ("{\"a\":1 , // last\n}", json!({"a": 1})),
            ("{\"a\":1 /*/ \"b\":2 */}", json!({"a": 1})),
        ] {
            assert_eq!(parse_jsonc(text).ok(), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_holds_nothing() {
        for text in [
            "{\n/* one\ntwo */ x}",
            "{\"a\":1 /",
            "{\"a\":1}/**",
            "{a: 1}",
            "{'a': 1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":+1}",
        ] {
            assert_eq!(parse_jsonc(text).ok(), None, "{text}");
        }
    }

    #[test]
    fn a_second_holder_waits_and_a_link_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = lock_path(&directory.path().join("state"));
        let held = Lock::take(&path, Duration::ZERO).unwrap();
        let refused = Lock::take(&path, Duration::from_millis(5)).unwrap_err();
        assert_eq!(refused.exit, Exit::TryAgain);
        drop(held);
        Lock::take(&path, Duration::ZERO).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(Lock::take(&link, Duration::ZERO).unwrap_err().exit, Exit::Io);
    }
}
