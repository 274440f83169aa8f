//! The content of a store's lock file, for the processes that wait for the lock.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::time::SystemTime;

use super::document::to_millis;
use crate::exit::{Exit, Failure};

/// In bytes.
const MAX_SIZE: u64 = 4096;

/// Two lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LockRecord {
    /// The UUID in Qwen Code's lock file, if this toolkit wrote it; may be empty.
    pub(super) qwen_code_lock_id: String,
    last_failure: Option<RefreshFailure>,
}

/// How and when a refresh failed.
#[derive(Debug, PartialEq, Eq)]
struct RefreshFailure {
    /// In milliseconds since 1970.
    at: u64,
    exit: u8,
    message: String,
}

impl LockRecord {
    /// Reads the record; empty if it cannot be read.
    pub(super) fn read(mut file: &File) -> Self {
        let mut text = String::new();
        let read = file
            .rewind()
            .and_then(|()| file.take(MAX_SIZE).read_to_string(&mut text));
        match read {
            Ok(_) => Self::parse(&text),
            Err(_) => Self::default(),
        }
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let qwen_code_lock_id = lines.next().unwrap_or_default().to_owned();
        let last_failure = lines.next().and_then(|line| {
            let mut words = line.splitn(3, ' ');
            Some(RefreshFailure {
                at: words.next()?.parse().ok()?,
                exit: words.next()?.parse().ok()?,
                message: words.next()?.to_owned(),
            })
        });
        Self {
            qwen_code_lock_id,
            last_failure,
        }
    }

    /// Overwrites the record without truncating it first: a process that is killed in between would lose the ID of its
    /// lock.
    pub(super) fn write(&self, mut file: &File) -> io::Result<()> {
        let mut text = format!("{}\n", self.qwen_code_lock_id);
        if let Some(RefreshFailure { at, exit, message }) = &self.last_failure {
            text.push_str(&format!("{at} {exit} {message}\n"));
        }
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)
    }

    /// Records a failed refresh. Messages contain no secrets.
    pub(super) fn set_failure(&mut self, failure: &Failure, now: SystemTime) {
        self.last_failure = Some(RefreshFailure {
            at: to_millis(now),
            exit: failure.exit.code(),
            message: crate::text::clip(&crate::text::one_line(&failure.message), 500),
        });
    }

    /// Returns the last failure if it happened in this time.
    pub(super) fn failure_between(&self, from: SystemTime, to: SystemTime) -> Option<Failure> {
        let failure = self.last_failure.as_ref()?;
        if !(to_millis(from)..=to_millis(to)).contains(&failure.at) {
            return None;
        }
        let exit = Exit::from_code(i32::from(failure.exit))?;
        Some(Failure::new(exit, failure.message.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::LockRecord;
    use std::time::{Duration, UNIX_EPOCH};

    use crate::exit::{Exit, Failure};

    #[test]
    fn a_failure_is_for_those_who_waited_when_it_happened() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let mut record = LockRecord {
            qwen_code_lock_id: "a-mark".to_owned(),
            ..LockRecord::default()
        };
        record.set_failure(&Failure::new(Exit::TryAgain, "two\nlines \u{1b}[0m"), at(100));
        let file = tempfile::tempfile().unwrap();
        record.write(&file).unwrap();
        let read = LockRecord::read(&file);
        assert_eq!(read, record);
        for (from, to, expected) in [(90, 110, true), (101, 110, false), (90, 99, false)] {
            let failure = read.failure_between(at(from), at(to));
            assert_eq!(failure.is_some(), expected, "{from} {to}");
            if let Some(failure) = failure {
                assert_eq!(
                    (failure.exit, failure.message.as_str()),
                    (Exit::TryAgain, "two lines [0m")
                );
            }
        }
    }

    #[test]
    fn a_shorter_record_leaves_nothing_of_a_longer_one() {
        let mut long = LockRecord::default();
        long.set_failure(&Failure::new(Exit::TryAgain, "a failure"), UNIX_EPOCH);
        let file = tempfile::tempfile().unwrap();
        for record in [long, LockRecord::default()] {
            record.write(&file).unwrap();
            assert_eq!(LockRecord::read(&file), record);
        }
    }

    #[test]
    fn a_malformed_record_is_ignored() {
        for text in [
            "",
            "\n",
            "mark",
            "mark\nnot a number 75 x",
            "mark\n1",
            "mark\n1 2",
            "mark\n1 999 x",
        ] {
            assert!(
                LockRecord::parse(text)
                    .failure_between(UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(9))
                    .is_none()
            );
        }
    }
}
