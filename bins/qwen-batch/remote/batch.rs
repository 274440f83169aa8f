//! A batch as the provider describes it.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::date::rfc3339;
use qwen_shared::text::{clip, escape_json, one_line};
use serde_json::Value;

/// The most errors of a rejected batch that are shown.
const SHOWN_ERRORS: usize = 20;

/// A batch object. Providers may leave out any member but `id` and `status`.
#[derive(Clone, Debug)]
pub(crate) struct Batch(Value);

/// The numbers of a batch's requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) total: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
}

impl Batch {
    /// Returns `None` for an object without ID or status.
    pub(crate) fn from_json(value: Value) -> Option<Self> {
        let batch = Self(value);
        (!batch.id().is_empty() && !batch.status().is_empty()).then_some(batch)
    }

    pub(crate) fn id(&self) -> &str {
        self.text("id")
    }

    pub(crate) fn status(&self) -> &str {
        self.text("status")
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.status(), "completed" | "failed" | "expired" | "cancelled")
    }

    /// Returns the IDs of output file and error file, as far as there are any.
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

    /// For example `in_progress, 40 of 100 done, 2 failed`.
    pub(crate) fn progress(&self) -> String {
        let counts = self.counts();
        let mut text = one_line(self.status());
        if counts.total > 0 {
            let _ = write!(text, ", {} of {} done", counts.completed, counts.total);
        }
        if counts.failed > 0 {
            let _ = write!(text, ", {} failed", counts.failed);
        }
        text
    }

    /// Returns why the provider rejected the batch, with the lines of the input file.
    fn errors(&self) -> impl Iterator<Item = String> {
        let list = match &self.0["errors"] {
            Value::Array(list) => list.as_slice(),
            errors => errors["data"].as_array().map_or(&[][..], Vec::as_slice),
        };
        list.iter().take(SHOWN_ERRORS).map(|error| {
            let text = |name: &str| error[name].as_str().unwrap_or_default().trim();
            let message = match text("message") {
                "" => text("code"),
                message => message,
            };
            let message = clip(one_line(message).trim_end_matches('.'), 400);
            match error["line"].as_u64() {
                Some(line) => format!("line {line}: {message}"),
                None => message,
            }
        })
    }

    /// The failure of a batch that the provider rejected.
    pub(crate) fn rejection(&self) -> Failure {
        let mut errors = self.errors();
        let first = errors.next().unwrap_or_else(|| "no reason given".to_owned());
        let message = format!("batch '{}' was rejected: {first}", self.id());
        errors.fold(Failure::new(Exit::Data, message), |failure, error| {
            failure.hint(format!("also: {error}"))
        })
    }

    /// One `name: value` per line.
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
        for error in self.errors() {
            line("error", &error);
        }
        text
    }

    /// ID, status, done/total and date of creation, separated by tabs.
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

    /// The provider's object on one line.
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
