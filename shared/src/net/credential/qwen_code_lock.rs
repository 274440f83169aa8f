//! The lock file beside Qwen Code's `oauth_creds.json`.
//!
//! Qwen Code creates the file exclusively, with a random UUID in it. It renames a lock away that is older than 10 s (0.7)
//! or 35 s (0.24), and unlinks its own to release it; on exit it unlinks any. A crash leaves the file behind. So this
//! lock
//!
//! - is taken with the kernel lock held, which keeps the toolkit's own processes apart in any case;
//! - takes another lock for abandoned after the longer limit, by its time or by the time it was seen unchanged;
//! - is touched every few seconds, so that Qwen Code does not take it for abandoned;
//! - is removed only if it still has the own UUID. The UUID is also in the [`LockRecord`], so that the next process
//!   removes at once what a killed one left behind.
//!
//! One race remains: Qwen Code may exit, and unlink the lock, during a refresh.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::error::StoreError;
use super::lock_record::LockRecord;
use crate::fs::{Wait, create_private};
use crate::net::random;

/// The age at which a lock counts as abandoned: the longest limit of any version of Qwen Code.
const MAX_AGE: Duration = Duration::from_secs(35);

/// Shorter than the shortest limit of any version of Qwen Code, 10 s.
const TOUCH_INTERVAL: Duration = Duration::from_secs(3);

const MIN_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Qwen Code's lock. Dropping it releases it.
#[derive(Debug)]
pub(super) struct QwenCodeLock {
    path: PathBuf,
    id: String,
    touch: Option<(Sender<()>, JoinHandle<()>)>,
}

impl QwenCodeLock {
    /// Waits for the lock up to `limit`, and tells `notify` so. `record` is the file of the kernel lock, which the caller
    /// holds.
    pub(super) fn acquire(
        path: PathBuf,
        record: &File,
        limit: Duration,
        notify: &dyn Fn(&str),
    ) -> Result<Self, StoreError> {
        let failed = |error| StoreError::io(&path, "lock", error);
        let mut wait = Wait::new(limit, notify);
        let id = random::uuid().map_err(failed)?;
        let mut content = LockRecord::read(record);
        // First: a process that is killed here must not leave a lock whose ID is lost.
        if !content.qwen_code_lock_id.is_empty() {
            remove_if(&path, &content.qwen_code_lock_id);
        }
        content.qwen_code_lock_id.clone_from(&id);
        content.write(record).map_err(failed)?;
        let mut pause = MIN_PAUSE;
        let mut other = OtherLock::default();
        loop {
            if let Some(file) = create(&path, &id).map_err(failed)? {
                let touch = touch_periodically(path.clone(), id.clone(), file);
                return Ok(Self { path, id, touch });
            }
            let Some(seen) = Observation::of(&path).map_err(failed)? else {
                continue;
            };
            if other.is_abandoned(&seen) {
                remove_abandoned(&path, &seen, &id);
            } else if wait.is_over(&path) {
                let place = path.display().to_string();
                return Err(StoreError::Busy { place, limit });
            } else {
                thread::sleep(pause);
                pause = (pause * 3 / 2).min(MAX_PAUSE);
            }
        }
    }

    /// Returns a function that releases the lock from another thread.
    pub(super) fn releaser(&self) -> impl Fn() + Send + Sync + 'static {
        let (path, id) = (self.path.clone(), self.id.clone());
        move || remove_if(&path, &id)
    }
}

impl Drop for QwenCodeLock {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.touch.take() {
            drop(stop);
            let _ = thread.join();
        }
        remove_if(&self.path, &self.id);
    }
}

/// Creates the lock with its ID in one step; `None` if there is one.
fn create(path: &Path, id: &str) -> io::Result<Option<File>> {
    match create_private(path, id.as_bytes()) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

/// Touches the lock until the sender is dropped or the lock is gone.
fn touch_periodically(path: PathBuf, id: String, file: File) -> Option<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = mpsc::channel::<()>();
    let touch = move || {
        while stopped.recv_timeout(TOUCH_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            if read_id(&path).as_deref() != Some(&id) {
                return;
            }
            let _ = file.set_modified(SystemTime::now());
        }
    };
    let thread = thread::Builder::new().name("lock".to_owned()).spawn(touch).ok()?;
    Some((stop, thread))
}

/// The state of a lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Observation {
    id: String,
    modified: SystemTime,
}

impl Observation {
    /// `None` if there is no lock file.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        let modified = match path.symlink_metadata() {
            Ok(metadata) => metadata.modified()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let id = read_id(path).unwrap_or_default();
        Ok(Some(Self { id, modified }))
    }
}

/// The last observation of another process's lock, and when it was first made.
#[derive(Debug, Default)]
struct OtherLock {
    last: Option<(Observation, Instant)>,
}

impl OtherLock {
    /// True if the lock is too old, or did not change for too long: its time may be in the future.
    fn is_abandoned(&mut self, seen: &Observation) -> bool {
        let age = seen.modified.elapsed().unwrap_or_default();
        match &self.last {
            Some((last, since)) if last == seen => age > MAX_AGE || since.elapsed() > MAX_AGE,
            _ => {
                self.last = Some((seen.clone(), Instant::now()));
                age > MAX_AGE
            }
        }
    }
}

/// Removes an abandoned lock, as Qwen Code does: renames it first, and puts it back if it is another one by now.
fn remove_abandoned(path: &Path, abandoned: &Observation, id: &str) {
    let mut name = path.as_os_str().to_os_string();
    name.push(format!(".stale.{id}"));
    let renamed = PathBuf::from(name);
    if fs::rename(path, &renamed).is_err() {
        return;
    }
    if read_id(&renamed).unwrap_or_default() != abandoned.id {
        let _ = fs::hard_link(&renamed, path);
    }
    // Qwen Code makes no directories, but one would block the lock too.
    let _ = fs::remove_file(&renamed).or_else(|_| fs::remove_dir(&renamed));
}

fn remove_if(path: &Path, id: &str) {
    if read_id(path).as_deref() == Some(id) {
        let _ = fs::remove_file(path);
    }
}

fn read_id(path: &Path) -> Option<String> {
    let read = crate::fs::read_private(path, 4096).ok()??;
    String::from_utf8(read.bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{MAX_AGE, Observation, OtherLock};

    #[test]
    fn a_lock_is_abandoned_past_the_longest_limit_only() {
        let now = SystemTime::now();
        for (modified, abandoned) in [
            (now, false),
            (now - Duration::from_secs(11), false),
            (now - MAX_AGE - Duration::from_secs(1), true),
            (now + Duration::from_secs(3600), false),
        ] {
            let seen = Observation {
                id: "x".to_owned(),
                modified,
            };
            assert_eq!(
                OtherLock::default().is_abandoned(&seen),
                abandoned,
                "{modified:?}"
            );
        }
    }
}
