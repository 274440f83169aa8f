//! `--explain`: every file of the search and every variable, with its status and the reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use qwen_shared::dotenv::{
    Assignment, Candidate, CandidateStatus, Decision, EnvChain, Search, Trust, Variable,
};
use qwen_shared::shell::Shell;
use qwen_shared::text::{escape_json, one_line};
use serde_json::{Value, json};

use super::plan::{Action, Entry, Origin, Plan};
use crate::output;

/// What the explanation is made from.
pub(crate) struct Explanation<'c> {
    pub(crate) search: &'c Search,
    pub(crate) chain: &'c EnvChain,
    pub(crate) plan: &'c Plan<'c>,
    pub(crate) shell: Shell,
    pub(crate) show_secrets: bool,
}

/// A line of the list of variables.
struct Row {
    name: String,
    value: String,
    /// The file, none for a value of `qwen-token`.
    file: Option<String>,
    line: Option<u32>,
    trust: Option<Trust>,
    /// One word.
    status: &'static str,
    /// The rest of the sentence; empty when the word says it all.
    reason: String,
}

impl Explanation<'_> {
    /// Returns it as text.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("files (rule '{}'):\n", self.search.rule.name());
        let files: Vec<(String, String)> = self
            .chain
            .candidates
            .iter()
            .map(|file| self.file_line(file))
            .collect();
        table(
            &mut text,
            files.iter().map(|(path, status)| [path.as_str(), status]),
        );
        let rows = self.rows();
        let _ = writeln!(text, "variables (shell '{}'):", self.shell.name());
        if rows.is_empty() {
            text.push_str("  none\n");
        }
        let lines: Vec<[String; 4]> = rows.iter().map(Row::cells).collect();
        table(
            &mut text,
            lines.iter().map(|cells| cells.each_ref().map(String::as_str)),
        );
        for name in &self.plan.unset {
            let _ = writeln!(text, "  {name} was exported earlier and is unset");
        }
        text
    }

    /// Returns it as JSON.
    pub(crate) fn json(&self) -> String {
        let files: Vec<Value> = self
            .chain
            .candidates
            .iter()
            .map(|file| self.file_json(file))
            .collect();
        let variables: Vec<Value> = self
            .rows()
            .iter()
            .map(|row| row.json(self.show_secrets))
            .collect();
        let whole = json!({
            "rule": self.search.rule.name(),
            "directory": self.search.start.as_ref().map(|start| start.to_string_lossy()),
            "shell": self.shell.name(),
            "files": files,
            "variables": variables,
            "unset": self.plan.unset,
        });
        escape_json(&format!("{whole:#}\n")).into_owned()
    }

    fn file_line(&self, file: &Candidate) -> (String, String) {
        let (word, reason) = self.file_status(file);
        let status = if reason.is_empty() {
            word.to_owned()
        } else {
            format!("{word}: {reason}")
        };
        (file.path.to_string_lossy().into_owned(), status)
    }

    fn file_json(&self, file: &Candidate) -> Value {
        let (word, reason) = self.file_status(file);
        let trust = self.trust(file).map(Trust::name);
        json!({ "path": file.path.to_string_lossy(), "status": word, "reason": reason, "trust": trust })
    }

    fn trust(&self, file: &Candidate) -> Option<Trust> {
        let read = self.chain.files.iter().find(|read| read.path == file.path);
        read.map(|read| read.trust)
    }

    /// A word and a reason.
    fn file_status(&self, file: &Candidate) -> (&'static str, String) {
        match &file.status {
            CandidateStatus::Read => {
                let trust = self.trust(file).map_or("", Trust::name);
                ("read", format!("{trust} file"))
            }
            CandidateStatus::Ignored(reason) => ("ignored", reason.to_string()),
            // Nothing but this explanation needs to know whether it exists.
            CandidateStatus::NotReached if file.path.symlink_metadata().is_ok() => (
                "not read",
                "an earlier file ends the search, files are not merged".to_owned(),
            ),
            CandidateStatus::Absent | CandidateStatus::NotReached => ("absent", String::new()),
        }
    }

    fn rows(&self) -> Vec<Row> {
        let from_token = self
            .plan
            .entries
            .iter()
            .filter(|entry| matches!(entry.origin, Origin::Token));
        let mut rows: Vec<Row> = from_token.map(|entry| self.token_row(entry)).collect();
        let entries: BTreeMap<&str, &Entry<'_>> = self
            .plan
            .entries
            .iter()
            .map(|entry| (entry.name, entry))
            .collect();
        let assignments = self.chain.assignments();
        rows.extend(assignments.map(|assignment| self.row(assignment, &entries)));
        rows
    }

    fn token_row(&self, entry: &Entry<'_>) -> Row {
        let (status, reason) = status_of(entry);
        Row {
            name: entry.name.to_owned(),
            value: self.shown(entry.value),
            file: None,
            line: None,
            trust: None,
            status,
            reason,
        }
    }

    fn row(&self, assignment: &Assignment, entries: &BTreeMap<&str, &Entry<'_>>) -> Row {
        let variable = &assignment.variable;
        let (status, reason) = match assignment.decision {
            Decision::Accepted => accepted(variable, entries),
            Decision::Overwritten(line) => ("overwritten", format!("by line {line}")),
            Decision::Excluded => ("excluded", output::EXCLUSION.to_owned()),
            decision => ("refused", decision.refusal().unwrap_or_default()),
        };
        Row {
            name: variable.name.clone(),
            value: self.shown(variable.value.expose()),
            file: Some(variable.path.to_string_lossy().into_owned()),
            line: Some(variable.line),
            trust: Some(variable.trust),
            status,
            reason,
        }
    }

    /// A value as it may be shown: masked, or with every control character escaped.
    fn shown(&self, value: &str) -> String {
        if self.show_secrets {
            return value.to_owned();
        }
        qwen_shared::secret::mask(value)
    }
}

/// The status of a variable that the chain accepts.
fn accepted(variable: &Variable, entries: &BTreeMap<&str, &Entry<'_>>) -> (&'static str, String) {
    let Some(entry) = entries.get(variable.name.as_str()) else {
        return ("unknown", String::new());
    };
    match entry.origin {
        Origin::File(chosen) if std::ptr::eq(chosen, variable) => status_of(entry),
        Origin::File(chosen) => ("shadowed", format!("by {}", chosen.place())),
        Origin::Token => ("shadowed", "by qwen-token".to_owned()),
    }
}

fn status_of(entry: &Entry<'_>) -> (&'static str, String) {
    let reason = output::reason(entry).unwrap_or_default();
    match entry.action {
        Action::Export => ("exported", String::new()),
        Action::Keep => ("kept", "the environment has it".to_owned()),
        Action::Withhold => ("withheld", reason),
        Action::Refuse(_) | Action::NoRoom => ("refused", reason),
    }
}

impl Row {
    fn cells(&self) -> [String; 4] {
        let place = match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            _ => "qwen-token".to_owned(),
        };
        let status = if self.reason.is_empty() {
            self.status.to_owned()
        } else {
            format!("{}: {}", self.status, self.reason)
        };
        // A value with line ends or controls is shown as JSON writes it, on one line.
        let value = if self.value.chars().any(qwen_shared::text::is_hostile) {
            Value::from(self.value.as_str()).to_string()
        } else {
            self.value.clone()
        };
        [self.name.clone(), value, place, status]
    }

    fn json(&self, shown: bool) -> Value {
        json!({
            "name": self.name,
            "value": self.value,
            "masked": !shown,
            "file": self.file,
            "line": self.line,
            "trust": self.trust.map(Trust::name),
            "status": self.status,
            "reason": self.reason,
        })
    }
}

/// Writes rows with their columns aligned, without control characters.
fn table<'t, const N: usize>(text: &mut String, rows: impl Iterator<Item = [&'t str; N]>) {
    let rows: Vec<[String; N]> = rows.map(|row| row.map(one_line)).collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
            .min(60)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in &rows {
        let mut line = String::from(" ");
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, " {cell:width$} ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
