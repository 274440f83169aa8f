//! A batch as the provider describes it.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::date::rfc3339;
use qwen_shared::text::{clip, escape_json, one_line};
use serde_json::Value;

use super::api::Odd;

/// The most errors of a rejected batch that are shown.
const SHOWN_ERRORS: usize = 20;

/// A batch object. Providers may leave out any member but the ID, and spell members and states in their own way.
#[derive(Clone, Debug)]
pub(crate) struct Batch(Value);

/// What a batch's state means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Completed,
    Failed,
    Expired,
    Cancelled,
    /// A word that is not known.
    Unknown,
}

/// The words for each state, in small letters without anything between them.
const STATES: [(State, &[&str]); 5] = [
    (
        State::Completed,
        &[
            "completed",
            "complete",
            "succeeded",
            "success",
            "successful",
            "done",
            "finished",
            "ended",
        ],
    ),
    (
        State::Failed,
        &["failed", "failure", "error", "errored", "invalid", "rejected"],
    ),
    (
        State::Expired,
        &["expired", "timeout", "timedout", "timeoutexceeded"],
    ),
    (
        State::Cancelled,
        &["cancelled", "canceled", "aborted", "stopped", "terminated"],
    ),
    (
        State::Running,
        &[
            "validating",
            "queued",
            "pending",
            "created",
            "submitted",
            "scheduled",
            "starting",
            "started",
            "preparing",
            "preparinginput",
            "inprogress",
            "progress",
            "running",
            "processing",
            "paused",
            "finalizing",
            "finalising",
            "cancelling",
            "canceling",
            "cancelrequested",
            "cancellationrequested",
        ],
    ),
];

impl State {
    fn parse(word: &str) -> Self {
        let mut word: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
        word.make_ascii_lowercase();
        let known = |word: &str| {
            let mut states = STATES.iter();
            states
                .find(|(_, words)| words.contains(&word))
                .map(|(state, _)| *state)
        };
        // As in BATCH_STATE_SUCCEEDED.
        let bare = || {
            ["batchstate", "jobstate"]
                .iter()
                .find_map(|start| word.strip_prefix(start))
        };
        known(&word)
            .or_else(|| known(bare()?))
            .unwrap_or_else(|| Self::guess(&word))
    }

    /// Guesses by a part of the word: `completed_with_errors`, `cancelled_by_user`, `optimizing`.
    fn guess(word: &str) -> Self {
        let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
        match word {
            word if word.ends_with("ing") || word.ends_with("requested") || word.contains("queue") => {
                Self::Running
            }
            _ if has(&["incomplet", "unsuccess"]) => Self::Unknown,
            _ if has(&["complet", "succe"]) => Self::Completed,
            _ if has(&["cancel", "abort"]) => Self::Cancelled,
            _ if has(&["expire", "timeout", "timedout"]) => Self::Expired,
            _ if has(&["fail", "error", "reject"]) => Self::Failed,
            _ => Self::Unknown,
        }
    }
}

/// The numbers of a batch's requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) total: u64,
    /// With a good answer.
    pub(crate) completed: u64,
    pub(crate) failed: u64,
}

/// Words by which engines say that more is queued than the account may have: it passes when other batches have ended.
const QUEUE_IS_FULL: [&str; 8] = [
    "token_limit_exceeded",
    "enqueued token",
    "enqueued_token",
    "queue limit",
    "queue is full",
    "too many batches",
    "concurrent batch",
    "队列上限",
];

/// True for a text that says that the queue is full.
pub(crate) fn says_queue_is_full(text: &str) -> bool {
    let text = text.to_lowercase();
    QUEUE_IS_FULL.iter().any(|words| text.contains(words))
}

impl Batch {
    /// Reads an answer that is to be a batch; some put it into a member of its own.
    pub(crate) fn read(value: Value) -> Result<Self, Odd> {
        let batch = Self::listed(value).ok_or(Odd::Not("batch"))?;
        match batch.status().is_empty() {
            true => Err(Odd::Not("batch")),
            false => Ok(batch),
        }
    }

    /// Reads an entry of a list; `None` for one without an ID.
    pub(crate) fn listed(mut value: Value) -> Option<Self> {
        for name in ["data", "batch", "job"] {
            if value["id"].is_null() && value[name].is_object() {
                value = value[name].take();
            }
        }
        let batch = Self(value);
        (!batch.id().is_empty()).then_some(batch)
    }

    pub(crate) fn id(&self) -> &str {
        self.text(&["id", "batch_id"])
    }

    pub(crate) fn status(&self) -> &str {
        self.text(&["status", "state"])
    }

    pub(crate) fn state(&self) -> State {
        State::parse(self.status())
    }

    /// True when nothing more will come: by its state, or, where that is not known, by its results.
    pub(crate) fn has_ended(&self) -> bool {
        match self.state() {
            State::Running => false,
            State::Unknown => self.result_files().next().is_some(),
            _ => true,
        }
    }

    /// The ID of the file of which it was made.
    pub(crate) fn input_file(&self) -> &str {
        self.text(&["input_file_id", "input_file"])
    }

    fn output_file(&self) -> &str {
        self.text(&["output_file_id", "output_file"])
    }

    fn error_file(&self) -> &str {
        self.text(&["error_file_id", "error_file"])
    }

    /// Returns the IDs of output file and error file, as far as there are any.
    pub(crate) fn result_files(&self) -> impl Iterator<Item = &str> {
        (0..2).filter_map(|index| self.result_file(index))
    }

    /// Returns the ID of the output file, or of the error file, which is the second one.
    pub(crate) fn result_file(&self, index: usize) -> Option<&str> {
        let files = [self.output_file(), self.error_file()];
        files.get(index).copied().filter(|id| !id.is_empty())
    }

    /// Returns a member of its metadata.
    pub(crate) fn metadata(&self, name: &str) -> Option<&str> {
        self.0["metadata"][name].as_str()
    }

    pub(crate) fn counts(&self) -> Counts {
        let within = &self.0["request_counts"];
        let count = |names: &[&str]| {
            let mut values = names.iter().flat_map(|name| {
                [
                    &within[*name],
                    &self.0[*name],
                    &self.0[format!("{name}_requests")],
                ]
            });
            values.find_map(number).unwrap_or(0)
        };
        Counts {
            total: count(&["total"]),
            completed: count(&["completed", "succeeded"]),
            failed: count(&["failed", "errored"]),
        }
    }

    /// True when every request has a good answer, as far as the provider says. Some have results and count nothing.
    pub(crate) fn is_good(&self) -> bool {
        let Counts {
            total,
            completed,
            failed,
        } = self.counts();
        let is_uncounted = completed == 0 && self.result_file(0).is_some();
        self.state() == State::Completed && failed == 0 && (completed >= total || is_uncounted)
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
        let list = self.error_list();
        list.into_iter().take(SHOWN_ERRORS).map(|error| {
            let text = |name: &str| error[name].as_str().unwrap_or_default().trim();
            let message = match (error.as_str(), text("message"), text("code")) {
                (Some(message), ..) => message,
                (None, "", code) => code,
                (None, message, _) => message,
            };
            let message = clip(one_line(message).trim_end_matches('.'), 400);
            match number(&error["line"]) {
                Some(line) => format!("line {line}: {message}"),
                None => message,
            }
        })
    }

    fn error_list(&self) -> Vec<&Value> {
        let errors = match &self.0["errors"] {
            Value::Null => &self.0["error"],
            errors => errors,
        };
        match errors {
            Value::Array(list) => list.iter().collect(),
            Value::String(text) if text.trim().is_empty() => Vec::new(),
            Value::String(_) => vec![errors],
            Value::Object(members) => match members.get("data").and_then(Value::as_array) {
                Some(list) => list.iter().collect(),
                None if members.contains_key("message") => vec![errors],
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// True for a batch that was rejected because more is queued than the account may have.
    fn found_queue_full(&self) -> bool {
        self.error_list()
            .into_iter()
            .any(|error| says_queue_is_full(&error.to_string()))
    }

    /// The failure of a batch that the provider rejected: 65, or 75 where the queue was full.
    pub(crate) fn rejection(&self) -> Failure {
        let mut errors = self.errors();
        let first = errors.next().unwrap_or_else(|| "no reason given".to_owned());
        let message = format!("batch '{}' was rejected: {first}", one_line(self.id()));
        if self.found_queue_full() {
            return queue_is_full(message);
        }
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
        if self.0["request_counts"].is_object() || counts.total > 0 {
            line("requests", &counts.total.to_string());
            line("completed", &counts.completed.to_string());
            line("failed", &counts.failed.to_string());
        }
        for (name, members) in [
            ("created", &["created_at"][..]),
            ("expires", &["expires_at"]),
            ("ended", self.end_members()),
        ] {
            line(name, &self.time(members));
        }
        for (name, file) in [
            ("input_file", self.input_file()),
            ("output_file", self.output_file()),
            ("error_file", self.error_file()),
        ] {
            line(name, file);
        }
        for error in self.errors() {
            line("error", &error);
        }
        text
    }

    /// ID, status, done/total and date of creation, separated by tabs.
    pub(crate) fn to_row(&self) -> String {
        let counts = self.counts();
        let status = match self.status() {
            "" => "unknown".to_owned(),
            status => one_line(status),
        };
        format!(
            "{}\t{status}\t{}/{}\t{}\n",
            one_line(self.id()),
            counts.completed + counts.failed,
            counts.total,
            self.time(&["created_at"])
        )
    }

    /// The provider's object on one line.
    pub(crate) fn to_json(&self) -> String {
        format!("{}\n", escape_json(&self.0.to_string()))
    }

    fn end_members(&self) -> &'static [&'static str] {
        match self.state() {
            State::Completed => &["completed_at", "ended_at"],
            State::Failed => &["failed_at", "completed_at", "ended_at"],
            State::Expired => &["expired_at", "completed_at", "ended_at"],
            State::Cancelled => &["cancelled_at", "canceled_at", "completed_at", "ended_at"],
            State::Running | State::Unknown => &[],
        }
    }

    /// Returns a point in time: seconds since 1970 are written as RFC 3339, a text is left as it is.
    fn time(&self, names: &[&str]) -> String {
        let value = names
            .iter()
            .map(|name| &self.0[*name])
            .find(|value| !value.is_null());
        let Some(value) = value else {
            return String::new();
        };
        match (number(value), value.as_str()) {
            (Some(seconds), _) => UNIX_EPOCH
                .checked_add(Duration::from_secs(seconds))
                .map_or_else(String::new, rfc3339),
            (None, text) => clip(&one_line(text.unwrap_or_default()), 40),
        }
    }

    fn text(&self, names: &[&str]) -> &str {
        let mut texts = names.iter().filter_map(|name| self.0[*name].as_str());
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    }
}

/// The failure where the queue is full.
pub(crate) fn queue_is_full(message: String) -> Failure {
    Failure::new(Exit::TryAgain, message)
        .hint("'qwen-batch list' shows what is in progress: submit again when some of it has ended")
}

/// Reads a count, which some write as text or as a float.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            (0.0..1e15).contains(&float).then_some(float as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Batch, Counts, State};

    fn batch(members: Value) -> Batch {
        Batch::listed(members).unwrap()
    }

    #[test]
    fn states_are_known_in_any_spelling() {
        for (word, state) in [
            ("COMPLETED", State::Completed),
            ("Completed", State::Completed),
            ("SUCCESS", State::Completed),
            ("BATCH_STATE_SUCCEEDED", State::Completed),
            ("JOB_STATE_FAILED", State::Failed),
            ("Failed", State::Failed),
            ("canceled", State::Cancelled),
            ("TIMEOUT_EXCEEDED", State::Expired),
            ("timed out", State::Expired),
            ("expired", State::Expired),
            ("IN_PROGRESS", State::Running),
            ("in-progress", State::Running),
            ("CANCELLATION_REQUESTED", State::Running),
            ("canceling", State::Running),
            ("queued", State::Running),
            ("in_queue", State::Running),
            ("completed_with_errors", State::Completed),
            ("cancelled_by_user", State::Cancelled),
            ("optimizing", State::Running),
            ("incomplete", State::Unknown),
            ("archived", State::Unknown),
            ("", State::Unknown),
        ] {
            assert_eq!(State::parse(word), state, "{word}");
        }
    }

    #[test]
    fn an_unknown_state_has_ended_once_there_are_results_and_a_known_one_by_its_word() {
        for (status, output, has_ended) in [
            ("archived", json!("file-1"), true),
            ("archived", json!(null), false),
            ("archived", json!(""), false),
            ("in_progress", json!("file-1"), false),
            ("cancelled", json!(null), true),
        ] {
            let batch = batch(json!({"id": "b", "status": status, "output_file_id": output}));
            assert_eq!(batch.has_ended(), has_ended, "{status} {output}");
        }
    }

    #[test]
    fn members_are_found_where_engines_put_them() {
        let counts = Counts {
            total: 9,
            completed: 7,
            failed: 2,
        };
        for members in [
            json!({"id": "b", "status": "x", "request_counts": {"total": 9, "completed": 7, "failed": 2}}),
            json!({"id": "b", "status": "x", "request_counts": {"total": "9", "completed": 7.0, "failed": 2}}),
            json!({"batch_id": "b", "state": "x", "total": 9, "completed": 7, "failed": 2}),
            json!({"id": "b", "status": "x", "total_requests": 9, "succeeded_requests": 7, "failed_requests": 2}),
            json!({"job": {"id": "b", "status": "x", "total": 9, "succeeded": 7, "failed": 2}, "warning": ""}),
            json!({"code": 0, "data": {"id": "b", "status": "x", "total": 9, "completed": 7, "failed": 2}}),
        ] {
            let batch = Batch::read(members.clone()).unwrap();
            assert_eq!(
                (batch.id(), batch.status(), batch.counts()),
                ("b", "x", counts),
                "{members}"
            );
        }
        assert!(Batch::read(json!([])).is_err());
        assert!(Batch::read(json!({"id": "b"})).is_err());
    }

    #[test]
    fn a_full_queue_passes_and_a_bad_line_does_not() {
        for (errors, exit) in [
            (
                json!({"data": [{"code": "token_limit_exceeded", "message": "Limit: 2,000,000"}]}),
                75,
            ),
            (
                json!([{"message": "The number of enqueued tokens has surpassed the configured limit"}]),
                75,
            ),
            (json!("Enqueued token limit reached for m"), 75),
            (json!({"message": "bad line"}), 65),
            (json!({"data": [{"code": "invalid_json_line", "line": "7"}]}), 65),
            (json!(null), 65),
        ] {
            let batch = batch(json!({"id": "b", "status": "failed", "errors": errors}));
            assert_eq!(batch.rejection().exit.code(), exit, "{errors}");
        }
    }
}
