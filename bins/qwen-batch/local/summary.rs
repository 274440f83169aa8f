//! The counts of a run, and what is printed of them.

use std::time::{Duration, Instant};

use qwen_shared::exit::Exit;
use qwen_shared::net::ratelimit::Notice;

use crate::progress::Progress;

/// How often waits for the rate limit are announced at most.
const BETWEEN_WAIT_NOTICES: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) progress: Progress,
    succeeded: u64,
    failed: u64,
    /// Results that an earlier run wrote, failed ones included.
    existing: u64,
    /// Successful answers that were limited or filtered, or whose end is doubtful.
    cut: u64,
    last_wait_notice: Option<Instant>,
}

impl Summary {
    pub(crate) const fn new(progress: Progress) -> Self {
        Self {
            progress,
            succeeded: 0,
            failed: 0,
            existing: 0,
            cut: 0,
            last_wait_notice: None,
        }
    }

    /// Counts a result of an earlier run.
    pub(crate) fn count_existing(&mut self, failed: bool) {
        self.existing += 1;
        self.count_outcome(failed);
        self.progress.skip();
    }

    /// Counts a result of this run.
    pub(crate) fn count(&mut self, failed: bool, is_cut: bool) {
        self.cut += u64::from(is_cut && !failed);
        self.count_outcome(failed);
        self.progress.step();
    }

    fn count_outcome(&mut self, failed: bool) {
        if failed {
            self.failed += 1;
            self.progress.set_message(&format!(", {} failed", self.failed));
        } else {
            self.succeeded += 1;
        }
    }

    /// Prints a notice about the rate limit; of waits not every one.
    pub(crate) fn print_notice(&mut self, notice: &Notice) {
        if matches!(notice, Notice::Wait(..)) {
            if self
                .last_wait_notice
                .is_some_and(|last| last.elapsed() < BETWEEN_WAIT_NOTICES)
            {
                return;
            }
            self.last_wait_notice = Some(Instant::now());
        }
        self.progress
            .suspend(|reporter| reporter.notice(&notice.to_string()));
    }

    /// Prints the counts: on a terminal always, elsewhere only if there is something to note.
    pub(crate) fn print(&self, is_complete: bool) {
        if is_complete && self.failed == 0 && self.cut == 0 && !self.progress.is_shown() {
            return;
        }
        let mut text = format!("{} done", self.succeeded + self.failed);
        for (count, what) in [
            (self.existing, "there already"),
            (self.failed, "failed"),
            (self.cut, "limited, filtered or of doubtful end"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        self.progress.suspend(|reporter| reporter.notice(&text));
    }

    /// Returns how to continue where the results are in a file.
    pub(crate) const fn hint(&self, is_complete: bool) -> Option<&'static str> {
        match (is_complete, self.failed) {
            (true, 0) => None,
            (true, _) => Some("add --retry-failed to retry what failed"),
            (false, 0) => Some("run the same command again: it continues where this run stopped"),
            (false, _) => Some(
                "run the same command again: it continues where this run stopped; with --retry-failed it also retries what failed",
            ),
        }
    }

    /// Returns the exit of a complete run.
    pub(crate) const fn exit(&self) -> Exit {
        match self.failed {
            0 => Exit::Ok,
            _ => Exit::No,
        }
    }
}
