//! The counts of a run, and what is printed of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use qwen_shared::exit::Exit;
use qwen_shared::net::chat::Usage;
use qwen_shared::net::ratelimit::Notice;
use serde_json::{Value, json};

use super::dispatcher::RunNotice;
use crate::duration::spell;
use crate::progress::Progress;
use crate::record::{InvalidLine, Record, RecordError};

/// How often waits are announced at most.
const BETWEEN_WAIT_NOTICES: Duration = Duration::from_secs(60);

/// What is counted of a result.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordOutcome {
    /// The code of its error.
    error: Option<&'static str>,
    /// What is wrong with a line of the input, which no further attempt mends.
    invalid_line: Option<InvalidLine>,
    cut: Option<String>,
    usage: Usage,
}

impl RecordOutcome {
    pub(crate) fn of(record: &Record) -> Self {
        Self {
            error: record.error.as_ref().map(|error| error.code),
            invalid_line: record.error.as_ref().and_then(RecordError::invalid_line),
            cut: record.cut.clone(),
            usage: record.usage,
        }
    }
}

/// The results that an earlier run, or a provider, has left.
#[derive(Clone, Copy, Debug, Default)]
struct Existing {
    count: u64,
    failed: u64,
    /// Those of which it is not known what request they answer.
    not_compared: u64,
}

impl Existing {
    fn text(self) -> String {
        let Self {
            count, not_compared, ..
        } = self;
        match (count, not_compared) {
            (0, _) => String::new(),
            (_, 0) => format!(", {count} there already"),
            _ if not_compared == count => format!(", {count} there already, not compared"),
            _ => format!(", {count} there already ({not_compared} not compared)"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) progress: Progress,
    began: Instant,
    succeeded: u64,
    failed: u64,
    existing: Existing,
    /// Requests whose name had the result of another request.
    asked_again: u64,
    /// How many lines of the input are no valid request, and the first of them.
    invalid: u64,
    first_invalid: Option<InvalidLine>,
    /// Failures of this run, by their code.
    errors: BTreeMap<&'static str, u64>,
    /// Answers of this run that were limited or filtered, or whose end is doubtful, by the reason.
    cut: BTreeMap<String, u64>,
    usage: Usage,
    last_wait_notice: Option<Instant>,
}

impl Summary {
    pub(crate) fn new(progress: Progress) -> Self {
        Self {
            progress,
            began: Instant::now(),
            succeeded: 0,
            failed: 0,
            existing: Existing::default(),
            asked_again: 0,
            invalid: 0,
            first_invalid: None,
            errors: BTreeMap::new(),
            cut: BTreeMap::new(),
            usage: Usage::default(),
            last_wait_notice: None,
        }
    }

    /// Counts a result of an earlier run.
    pub(crate) fn count_existing(&mut self, failed: bool, is_compared: bool) {
        self.existing.count += 1;
        self.existing.failed += u64::from(failed);
        self.existing.not_compared += u64::from(!is_compared);
        self.count_outcome(failed);
        self.progress.skip();
    }

    /// Counts a request that is asked again because the result of its name is of another one.
    pub(crate) const fn count_asked_again(&mut self) -> u64 {
        self.asked_again += 1;
        self.asked_again
    }

    /// Counts a result of this run.
    pub(crate) fn count(&mut self, outcome: RecordOutcome) {
        match (outcome.error, outcome.cut) {
            (Some(code), _) => *self.errors.entry(code).or_default() += 1,
            (None, Some(reason)) => *self.cut.entry(reason).or_default() += 1,
            _ => {}
        }
        if let Some(line) = outcome.invalid_line {
            self.invalid += 1;
            // Results come in any order.
            match &self.first_invalid {
                Some(first) if first.number <= line.number => {}
                _ => self.first_invalid = Some(line),
            }
        }
        self.usage.prompt_tokens += outcome.usage.prompt_tokens;
        self.usage.completion_tokens += outcome.usage.completion_tokens;
        self.usage.cached_tokens += outcome.usage.cached_tokens;
        self.usage.reasoning_tokens += outcome.usage.reasoning_tokens;
        self.count_outcome(outcome.error.is_some());
        self.progress.step();
    }

    fn count_outcome(&mut self, failed: bool) {
        match failed {
            true => self.failed += 1,
            false => self.succeeded += 1,
        }
        if !self.progress.is_shown() {
            return;
        }
        let mut message = String::new();
        if self.failed > 0 {
            message.push_str(&format!(", {} failed", self.failed));
        }
        if let Some(tokens) = self.tokens() {
            message.push_str(&format!(", {tokens} tokens"));
        }
        self.progress.set_message(&message);
    }

    /// Returns the failures of this run, and how many results it has.
    pub(crate) fn failures(&self) -> (u64, u64) {
        (
            self.failed - self.existing.failed,
            self.done() - self.existing.count,
        )
    }

    const fn done(&self) -> u64 {
        self.succeeded + self.failed
    }

    fn tokens(&self) -> Option<u64> {
        let tokens = self.usage.prompt_tokens + self.usage.completion_tokens;
        (tokens > 0).then_some(tokens)
    }

    /// Prints a notice; of waits not every one.
    pub(crate) fn print_notice(&mut self, notice: &RunNotice) {
        let text = match notice {
            RunNotice::RateLimit(notice) => {
                let is_wait = matches!(notice, Notice::Wait(..));
                let is_recent = |last: Instant| last.elapsed() < BETWEEN_WAIT_NOTICES;
                if is_wait && self.last_wait_notice.is_some_and(is_recent) {
                    return;
                }
                if is_wait {
                    self.last_wait_notice = Some(Instant::now());
                }
                notice.to_string()
            }
            RunNotice::Text(text) => text.clone(),
        };
        self.notice(&text);
    }

    pub(crate) fn notice(&self, text: &str) {
        self.progress.suspend(|reporter| reporter.notice(text));
    }

    /// Prints how far the run has come, where no bar shows it.
    pub(crate) fn print_heartbeat(&self, total: Option<u64>) {
        let per_second = self.progress.per_second();
        let mut text = match total {
            Some(total) => format!("{} of {total} done", self.done()),
            None => format!("{} done so far", self.done()),
        };
        if self.failed > 0 {
            text.push_str(&format!(", {} of them failed", self.failed));
        }
        text.push_str(&format!(", {per_second:.1}/s"));
        let left = total.map(|total| total.saturating_sub(self.done()));
        if let Some(left) = left.filter(|left| *left > 0 && per_second > 0.0) {
            let seconds = Duration::try_from_secs_f64((left as f64 / per_second).ceil());
            text.push_str(&format!(", {} left", spell(seconds.unwrap_or(Duration::MAX))));
        }
        self.notice(&text);
    }

    /// Prints the counts: on a terminal always, elsewhere only if there is something to note.
    pub(crate) fn print(&self, is_complete: bool) {
        let is_plain =
            self.failed == 0 && self.cut.is_empty() && self.existing.count == 0 && self.asked_again == 0;
        if is_complete && is_plain && !self.progress.is_shown() {
            return;
        }
        self.notice(&self.text());
        if let Some(line) = &self.first_invalid {
            let first = match self.invalid {
                1 => String::new(),
                count => format!("the first of {count} lines that are no valid request: "),
            };
            self.notice(&format!("{first}{}", line.message));
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{} done", self.done());
        if self.failed > 0 {
            let codes = in_parentheses(&self.errors);
            text.push_str(&format!(", {} of them failed{codes}", self.failed));
        }
        text.push_str(&self.existing.text());
        if self.asked_again > 0 {
            text.push_str(&format!(", {} asked again", self.asked_again));
        }
        let cut: u64 = self.cut.values().sum();
        if cut > 0 {
            let reasons = in_parentheses(&self.cut);
            text.push_str(&format!(", {cut} limited, filtered or of doubtful end{reasons}"));
        }
        if let Some(tokens) = self.tokens() {
            let usage = self.usage;
            text.push_str(&format!(", {tokens} tokens ({} in", usage.prompt_tokens));
            if usage.cached_tokens > 0 {
                text.push_str(&format!(", {} of them cached", usage.cached_tokens));
            }
            text.push_str(&format!(", {} out)", usage.completion_tokens));
        }
        text
    }

    /// Returns the counts for programs.
    pub(crate) fn to_json(&self, exit: Option<Exit>) -> Value {
        let usage = self.usage;
        json!({
            "done": self.done(),
            "succeeded": self.succeeded,
            "failed": self.failed,
            "there_already": self.existing.count,
            "not_compared": self.existing.not_compared,
            "asked_again": self.asked_again,
            "errors": self.errors,
            "finish_reasons": self.cut,
            "usage": {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "cached_tokens": usage.cached_tokens,
                "reasoning_tokens": usage.reasoning_tokens,
            },
            "seconds": (self.began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            "exit": exit.map(Exit::code),
        })
    }

    /// Returns how to continue where the results are in a file; `retries_failed` is `--retry-failed`.
    pub(crate) const fn hint(&self, is_complete: bool, retries_failed: bool) -> Option<&'static str> {
        match (is_complete, self.failed) {
            (true, 0) => None,
            (true, failed) if retries_failed && failed == self.invalid => {
                Some("correct the input, then run the same command again")
            }
            (true, _) if retries_failed => Some("run the same command again to retry what failed"),
            (false, _) if retries_failed => {
                Some("run the same command again: it continues where this run stopped")
            }
            (true, failed) if failed == self.invalid => Some("correct the input, then add --retry-failed"),
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

/// Lists counts, the largest first: ` (3 length, 1 content_filter)`.
fn in_parentheses<K: AsRef<str>>(counts: &BTreeMap<K, u64>) -> String {
    let mut counts: Vec<(&str, u64)> = counts
        .iter()
        .map(|(name, count)| (name.as_ref(), *count))
        .collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if counts.is_empty() {
        return String::new();
    }
    let listed: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    format!(" ({})", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use qwen_shared::exit::Exit;
    use qwen_shared::net::chat::Usage;
    use qwen_shared::output::{Color, Reporter};

    use super::{RecordOutcome, Summary};
    use crate::progress::Progress;

    fn summary() -> Summary {
        Summary::new(Progress::hidden(&Reporter::new(
            "qwen-batch",
            true,
            false,
            Color::Never,
        )))
    }

    fn outcome(error: Option<&'static str>, cut: Option<&str>) -> RecordOutcome {
        RecordOutcome {
            error,
            invalid_line: None,
            cut: cut.map(str::to_owned),
            usage: Usage {
                prompt_tokens: 10,
                completion_tokens: 2,
                cached_tokens: 5,
                reasoning_tokens: 0,
            },
        }
    }

    #[test]
    fn the_summary_names_reasons_and_tokens() {
        let mut summary = summary();
        summary.count_existing(true, true);
        summary.count_existing(false, false);
        summary.count_asked_again();
        for (error, cut) in [
            (None, None),
            (Some("data"), None),
            (None, Some("content_filter")),
            (None, Some("length")),
            (None, Some("length")),
        ] {
            summary.count(outcome(error, cut));
        }
        assert_eq!(
            summary.text(),
            "7 done, 2 of them failed (1 data), 2 there already (1 not compared), 1 asked again, \
             3 limited, filtered or of doubtful end (2 length, 1 content_filter), \
             60 tokens (50 in, 25 of them cached, 10 out)"
        );
        let json = summary.to_json(Some(Exit::No));
        assert_eq!(
            (&json["done"], &json["errors"]["data"], &json["exit"]),
            (&7.into(), &1.into(), &1.into())
        );
        assert_eq!(summary.failures(), (1, 5));
    }

    #[test]
    fn results_of_which_nothing_is_known_are_said_not_to_be_compared() {
        let mut summary = summary();
        summary.count_existing(false, false);
        assert_eq!(summary.text(), "1 done, 1 there already, not compared");
    }
}
