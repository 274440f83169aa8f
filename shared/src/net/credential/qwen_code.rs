//! Qwen Code's lock file beside its `oauth_creds.json` (facts: Qwen Code, section 2).
//!
//! The protocol: create the file exclusively with a random UUID in it; a lock older than 10 s (Qwen Code 0.7.1) or
//! 35 s (0.24) is stale and renamed away; release by unlinking. Its programs unlink it on exit whoever owns it, and
//! a crashed holder leaves it behind. So ours:
//!
//! - is taken only with our own kernel lock held, which keeps processes of ours apart whatever becomes of this one;
//! - counts as stale only past the longest limit, and whatever its time stamp says once it stood unchanged that long;
//! - is touched every few seconds while held, so that it never looks stale to the other side;
//! - is removed only if it is still ours, and at once when a killed process of ours left it (its UUID is noted in
//!   the kernel lock's file).
//!
//! What stays open: a program of Qwen Code's that exits while we refresh removes our lock; another may then refresh
//! with the same refresh token.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::error::StoreError;
use super::note::Note;
use crate::fs::{Wait, create_private};

/// When a lock of others is taken to be abandoned: the longest limit that any version of Qwen Code uses.
const STALE: Duration = Duration::from_secs(35);

/// How often a held lock is touched: well within the shortest limit, 10 s.
const BEAT: Duration = Duration::from_secs(3);

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Qwen Code's lock, held. Dropping it releases it.
#[derive(Debug)]
pub(super) struct SharedLock {
    path: PathBuf,
    mark: String,
    beat: Option<(Sender<()>, JoinHandle<()>)>,
}

impl SharedLock {
    /// Waits at most `limit` for the lock; `tell` is told so when it takes long. `note` is the file of the kernel lock,
    /// which the caller holds.
    pub(super) fn acquire(
        path: PathBuf,
        note: &File,
        limit: Duration,
        tell: &dyn Fn(&str),
    ) -> Result<Self, StoreError> {
        let failed = |error| StoreError::io(&path, "lock", error);
        let mut wait = Wait::new(limit, tell);
        let mark = random_uuid().map_err(failed)?;
        let mut left = Note::read(note);
        // Before our own mark takes its place in the note: killed in between, we would leave a lock that nobody knows.
        if !left.mark.is_empty() {
            remove_if(&path, &left.mark);
        }
        left.mark.clone_from(&mark);
        left.write(note).map_err(failed)?;
        let mut pause = FIRST_PAUSE;
        let mut watched = Watched::default();
        loop {
            if let Some(file) = create(&path, &mark).map_err(failed)? {
                let beat = keep_fresh(path.clone(), mark.clone(), file);
                return Ok(Self { path, mark, beat });
            }
            let Some(seen) = Seen::at(&path).map_err(failed)? else {
                continue;
            };
            if watched.is_stale(&seen) {
                take_away(&path, &seen, &mark);
            } else if wait.is_over(&path) {
                let place = path.display().to_string();
                return Err(StoreError::Busy { place, limit });
            } else {
                thread::sleep(pause);
                pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Returns what releases this lock from another thread, when the program is about to die.
    pub(super) fn release(&self) -> impl Fn() + Send + Sync + 'static {
        let (path, mark) = (self.path.clone(), self.mark.clone());
        move || remove_if(&path, &mark)
    }
}

impl Drop for SharedLock {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.beat.take() {
            drop(stop);
            let _ = thread.join();
        }
        remove_if(&self.path, &self.mark);
    }
}

/// Creates the lock; `None` when there is one. It is never seen empty: one without our mark would not be known as ours.
fn create(path: &Path, mark: &str) -> io::Result<Option<File>> {
    match create_private(path, mark.as_bytes()) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

/// Touches the lock until the sender is dropped, or the lock is no longer ours.
fn keep_fresh(path: PathBuf, mark: String, file: File) -> Option<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = mpsc::channel::<()>();
    let beat = move || {
        while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            if read_mark(&path).as_deref() != Some(&mark) {
                return;
            }
            let _ = file.set_modified(SystemTime::now());
        }
    };
    let thread = thread::Builder::new().name("lock".to_owned()).spawn(beat).ok()?;
    Some((stop, thread))
}

/// A lock of others as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    mark: String,
    modified: SystemTime,
}

impl Seen {
    /// `None` when the lock is gone.
    fn at(path: &Path) -> io::Result<Option<Self>> {
        let modified = match path.symlink_metadata() {
            Ok(metadata) => metadata.modified()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mark = read_mark(path).unwrap_or_default();
        Ok(Some(Self { mark, modified }))
    }
}

/// The last lock that was found, and since when.
#[derive(Debug, Default)]
struct Watched {
    last: Option<(Seen, Instant)>,
}

impl Watched {
    /// True when the lock's time stamp is too old, or it stood here unchanged for too long: a time stamp in the
    /// future would else keep it for ever.
    fn is_stale(&mut self, seen: &Seen) -> bool {
        let age = seen.modified.elapsed().unwrap_or_default();
        match &self.last {
            Some((last, since)) if last == seen => age > STALE || since.elapsed() > STALE,
            _ => {
                self.last = Some((seen.clone(), Instant::now()));
                age > STALE
            }
        }
    }
}

/// Removes a stale lock as Qwen Code does, by renaming it first; a fresh one that took its place meanwhile is put
/// back.
fn take_away(path: &Path, stale: &Seen, mark: &str) {
    let mut name = path.as_os_str().to_os_string();
    name.push(format!(".stale.{mark}"));
    let aside = PathBuf::from(name);
    if fs::rename(path, &aside).is_err() {
        return;
    }
    if read_mark(&aside).unwrap_or_default() != stale.mark {
        let _ = fs::hard_link(&aside, path);
    }
    // A directory of that name is no lock of Qwen Code's, but stands in the way like one.
    let _ = fs::remove_file(&aside).or_else(|_| fs::remove_dir(&aside));
}

fn remove_if(path: &Path, mark: &str) {
    if read_mark(path).as_deref() == Some(mark) {
        let _ = fs::remove_file(path);
    }
}

fn read_mark(path: &Path) -> Option<String> {
    let read = crate::fs::read_private(path, 4096).ok()??;
    String::from_utf8(read.bytes).ok()
}

/// Returns a random UUID (RFC 9562, version 4), which is what Qwen Code writes.
fn random_uuid() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let number = u128::from_be_bytes(bytes) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{number:032x}");
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

#[cfg(test)]
mod tests {
    use super::STALE;
    use super::Seen;
    use super::Watched;
    use super::random_uuid;
    use std::time::Duration;
    use std::time::SystemTime;

    #[test]
    fn a_uuid_says_that_it_is_random() {
        let uuid = random_uuid().unwrap();
        let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert!(matches!(uuid.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_ne!(uuid, random_uuid().unwrap());
    }

    #[test]
    fn a_lock_is_stale_past_the_longest_limit_only() {
        let now = SystemTime::now();
        for (modified, stale) in [
            (now, false),
            (now - Duration::from_secs(11), false),
            (now - STALE - Duration::from_secs(1), true),
            (now + Duration::from_secs(3600), false),
        ] {
            let seen = Seen {
                mark: "x".to_owned(),
                modified,
            };
            assert_eq!(Watched::default().is_stale(&seen), stale, "{modified:?}");
        }
    }
}
