//! A batch as the provider describes it.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use qwen_shared::date::rfc3339;
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::text::{clip, escape_json, one_line};
use serde_json::Value;

/// The most reasons of a failed batch that are shown.
const MOST_REASONS: usize = 20;

/// A batch. Whatever members a provider leaves out are missed only where they are needed.
#[derive(Clone, Debug)]
pub(crate) struct Batch(Value);

/// How many of a batch's requests are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) total: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
}

impl Batch {
    /// Reads a batch; `None` when it has no ID or no status.
    pub(crate) fn from_json(value: Value) -> Option<Self> {
        let batch = Self(value);
        (!batch.text("id").is_empty() && !batch.text("status").is_empty()).then_some(batch)
    }

    pub(crate) fn id(&self) -> &str {
        self.text("id")
    }

    pub(crate) fn status(&self) -> &str {
        self.text("status")
    }

    /// True once nothing will change any more.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.status(), "completed" | "failed" | "expired" | "cancelled")
    }

    /// The files that hold results: of those that were answered, of those that were not.
    pub(crate) fn result_files(&self) -> impl Iterator<Item = &str> {
        ["output_file_id", "error_file_id"]
            .into_iter()
            .map(|name| self.text(name))
            .filter(|id| !id.is_empty())
    }

    pub(crate) fn counts(&self) -> Counts {
        let count = |name: &str| self.0["request_counts"][name].as_u64().unwrap_or(0);
        Counts {
            total: count("total"),
            completed: count("completed"),
            failed: count("failed"),
        }
    }

    /// Says how far it has come: `in_progress, 40 of 100 done, 2 failed`.
    pub(crate) fn words(&self) -> String {
        let Counts {
            total,
            completed,
            failed,
        } = self.counts();
        let mut words = one_line(self.status());
        if total > 0 {
            let _ = write!(words, ", {completed} of {total} done");
        }
        if failed > 0 {
            let _ = write!(words, ", {failed} failed");
        }
        words
    }

    /// Says why the provider did not take the batch, a reason a line, each with the line of the file that it is about.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let list = match &self.0["errors"] {
            Value::Array(list) => list.as_slice(),
            errors => errors["data"].as_array().map_or(&[][..], Vec::as_slice),
        };
        let reason = |error: &Value| {
            let text = |name: &str| error[name].as_str().unwrap_or_default().trim();
            let words = match text("message") {
                "" => text("code"),
                message => message,
            };
            let words = clip(one_line(words).trim_end_matches('.'), 400);
            error["line"]
                .as_u64()
                .map_or_else(|| words.clone(), |line| format!("line {line}: {words}"))
        };
        list.iter().take(MOST_REASONS).map(reason).collect()
    }

    /// The failure of a batch that the provider did not take.
    pub(crate) fn refusal(&self) -> Failure {
        let mut reasons = self.reasons();
        let reason = match reasons.len() {
            0 => "no reason given".to_owned(),
            _ => reasons.remove(0),
        };
        let mut failure = Failure::new(Exit::Data, format!("batch '{}' was refused: {reason}", self.id()));
        for reason in reasons {
            failure = failure.hint(format!("also: {reason}"));
        }
        failure
    }

    /// Writes it for people and awk: a name, a colon, a value on each line.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                let _ = writeln!(text, "{name}: {}", one_line(value));
            }
        };
        line("id", self.id());
        line("status", self.status());
        let counts = self.counts();
        if self.0["request_counts"].is_object() {
            line("requests", &counts.total.to_string());
            line("completed", &counts.completed.to_string());
            line("failed", &counts.failed.to_string());
        }
        for (name, member) in [
            ("created", "created_at"),
            ("expires", "expires_at"),
            ("ended", self.end_member()),
        ] {
            line(name, &self.time(member));
        }
        for (name, member) in [
            ("input_file", "input_file_id"),
            ("output_file", "output_file_id"),
            ("error_file", "error_file_id"),
        ] {
            line(name, self.text(member));
        }
        for reason in self.reasons() {
            line("error", &reason);
        }
        text
    }

    /// Writes it on one line of a list: ID, status, done/total, when it was made, separated by tabs.
    pub(crate) fn to_row(&self) -> String {
        let counts = self.counts();
        format!(
            "{}\t{}\t{}/{}\t{}\n",
            one_line(self.id()),
            one_line(self.status()),
            counts.completed + counts.failed,
            counts.total,
            self.time("created_at")
        )
    }

    /// Writes the provider's own object on one line.
    pub(crate) fn to_json(&self) -> String {
        format!("{}\n", escape_json(&self.0.to_string()))
    }

    fn end_member(&self) -> &'static str {
        match self.status() {
            "completed" => "completed_at",
            "failed" => "failed_at",
            "expired" => "expired_at",
            "cancelled" => "cancelled_at",
            _ => "",
        }
    }

    fn time(&self, name: &str) -> String {
        self.0[name].as_u64().map_or_else(String::new, |seconds| {
            UNIX_EPOCH
                .checked_add(Duration::from_secs(seconds))
                .map_or_else(String::new, rfc3339)
        })
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }
}
