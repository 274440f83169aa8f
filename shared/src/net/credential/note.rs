//! What the holder of a lock leaves in the lock's file for those who wait.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::time::SystemTime;

use super::document::to_millis;
use crate::exit::{Exit, Failure};

/// The longest note that is read, in bytes.
const LONGEST: u64 = 4096;

/// Two lines: the mark in Qwen Code's lock while we hold it, and the last refresh that failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Note {
    /// The UUID that we wrote into Qwen Code's lock; empty where there is none.
    pub(super) mark: String,
    failed: Option<Failed>,
}

/// A refresh that failed: when, and how the program ended.
#[derive(Debug, PartialEq, Eq)]
struct Failed {
    at: u64,
    exit: u8,
    message: String,
}

impl Note {
    /// Reads the note; what cannot be read says nothing.
    pub(super) fn read(mut file: &File) -> Self {
        let mut text = String::new();
        let read = file
            .rewind()
            .and_then(|()| file.take(LONGEST).read_to_string(&mut text));
        match read {
            Ok(_) => Self::parse(&text),
            Err(_) => Self::default(),
        }
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let mark = lines.next().unwrap_or_default().to_owned();
        let failed = lines.next().and_then(|line| {
            let mut words = line.splitn(3, ' ');
            Some(Failed {
                at: words.next()?.parse().ok()?,
                exit: words.next()?.parse().ok()?,
                message: words.next()?.to_owned(),
            })
        });
        Self { mark, failed }
    }

    /// Writes the note over the one that is there, and never takes that one away first: killed in between, we would leave
    /// a lock in Qwen Code's place whose mark nobody knows.
    pub(super) fn write(&self, mut file: &File) -> io::Result<()> {
        let mut text = format!("{}\n", self.mark);
        if let Some(Failed { at, exit, message }) = &self.failed {
            text.push_str(&format!("{at} {exit} {message}\n"));
        }
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)
    }

    /// Says that a refresh failed. The message is for people and holds no secret.
    pub(super) fn set_failed(&mut self, failure: &Failure, now: SystemTime) {
        self.failed = Some(Failed {
            at: to_millis(now),
            exit: failure.exit.code(),
            message: crate::text::clip(&crate::text::one_line(&failure.message), 500),
        });
    }

    /// Returns the failure that happened between two points in time.
    pub(super) fn failure_between(&self, from: SystemTime, to: SystemTime) -> Option<Failure> {
        let failed = self.failed.as_ref()?;
        if !(to_millis(from)..=to_millis(to)).contains(&failed.at) {
            return None;
        }
        let exit = Exit::ALL.into_iter().find(|exit| exit.code() == failed.exit)?;
        Some(Failure::new(exit, failed.message.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::Note;
    use crate::exit::Exit;
    use crate::exit::Failure;
    use std::time::Duration;
    use std::time::UNIX_EPOCH;

    #[test]
    fn a_failure_is_for_those_who_waited_when_it_happened() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let mut note = Note {
            mark: "a-mark".to_owned(),
            ..Note::default()
        };
        note.set_failed(&Failure::new(Exit::TryAgain, "two\nlines \u{1b}[0m"), at(100));
        let file = tempfile::tempfile().unwrap();
        note.write(&file).unwrap();
        let read = Note::read(&file);
        assert_eq!(read, note);
        for (from, to, told) in [(90, 110, true), (101, 110, false), (90, 99, false)] {
            let failure = read.failure_between(at(from), at(to));
            assert_eq!(failure.is_some(), told, "{from} {to}");
            if let Some(failure) = failure {
                assert_eq!(
                    (failure.exit, failure.message.as_str()),
                    (Exit::TryAgain, "two lines [0m")
                );
            }
        }
    }

    #[test]
    fn a_shorter_note_leaves_nothing_of_a_longer_one() {
        let mut long = Note::default();
        long.set_failed(&Failure::new(Exit::TryAgain, "a failure"), UNIX_EPOCH);
        let file = tempfile::tempfile().unwrap();
        for note in [long, Note::default()] {
            note.write(&file).unwrap();
            assert_eq!(Note::read(&file), note);
        }
    }

    #[test]
    fn a_note_of_any_kind_is_no_harm() {
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
                Note::parse(text)
                    .failure_between(UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(9))
                    .is_none()
            );
        }
    }
}
