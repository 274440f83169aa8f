//! The counts of a run, and the words about them.

use std::time::{Duration, Instant};

use qwen_shared::exit::Exit;
use qwen_shared::net::ratelimit::Notice;
use qwen_shared::output::Reporter;

use crate::progress::Progress;

/// How often waits are announced: once a minute says it all where every request waits.
const BETWEEN_WORDS: Duration = Duration::from_secs(60);

/// The counts of a run.
#[derive(Debug)]
pub(crate) struct Tally {
    progress: Progress,
    answered: u64,
    failed: u64,
    /// Those that were there before this run.
    there: u64,
    there_failed: u64,
    /// Those of the answered that a limit or a filter cut.
    cut: u64,
    last_word: Option<Instant>,
}

impl Tally {
    pub(crate) const fn new(progress: Progress) -> Self {
        Self {
            progress,
            answered: 0,
            failed: 0,
            there: 0,
            there_failed: 0,
            cut: 0,
            last_word: None,
        }
    }

    /// Counts a result that was there.
    pub(crate) fn skip(&mut self, failed: bool) {
        self.there += 1;
        self.there_failed += u64::from(failed);
        self.progress.skip(1);
    }

    /// Counts a result of this run.
    pub(crate) fn count(&mut self, failed: bool, cut: bool) {
        self.failed += u64::from(failed);
        self.answered += u64::from(!failed);
        self.cut += u64::from(cut && !failed);
        self.progress.step();
        let failed = self.failed + self.there_failed;
        if failed > 0 {
            self.progress.remark(&format!(", {failed} failed"));
        }
    }

    /// Draws the bar again.
    pub(crate) fn tick(&self) {
        self.progress.tick();
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.progress.clear();
    }

    /// True when there is a bar to draw.
    pub(crate) fn is_shown(&self) -> bool {
        self.progress.is_shown()
    }

    /// Says something beside the bar.
    pub(crate) fn say(&self, speak: impl FnOnce(&Reporter)) {
        self.progress.aside(speak);
    }

    /// Passes on a word about the quota; of waits not every one.
    pub(crate) fn word(&mut self, word: &Notice) {
        if matches!(word, Notice::Wait(..)) {
            let now = Instant::now();
            if self.last_word.is_some_and(|last| now - last < BETWEEN_WORDS) {
                return;
            }
            self.last_word = Some(now);
        }
        self.say(|reporter| reporter.notice(&word.to_string()));
    }

    /// Says how the run went: on a terminal always, elsewhere when not all is good.
    pub(crate) fn sum_up(&self, is_whole: bool) {
        let failed = self.failed + self.there_failed;
        let done = self.answered + failed + (self.there - self.there_failed);
        if failed > 0 || self.cut > 0 || self.is_shown() || !is_whole {
            let mut words = format!("{done} done");
            for (count, what) in [
                (self.there, "there already"),
                (failed, "failed"),
                (self.cut, "cut by a limit or a filter"),
            ] {
                if count > 0 {
                    words.push_str(&format!(", {count} {what}"));
                }
            }
            self.say(|reporter| reporter.notice(&words));
        }
    }

    /// Returns how to go on, where the results are kept.
    pub(crate) const fn hint(&self, is_whole: bool) -> Option<&'static str> {
        match (is_whole, self.failed + self.there_failed) {
            (true, 0) => None,
            (true, _) => Some("add --retry-failed to ask again what failed"),
            (false, 0) => Some("run the same command again: it goes on where this one stopped"),
            (false, _) => Some(
                "run the same command again: it goes on where this one stopped, and with --retry-failed asks again what failed",
            ),
        }
    }

    /// Returns how a whole run ends.
    pub(crate) const fn exit(&self) -> Exit {
        if self.failed + self.there_failed > 0 {
            Exit::No
        } else {
            Exit::Ok
        }
    }
}
