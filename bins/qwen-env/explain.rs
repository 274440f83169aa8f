//! `--explain`: every file of the search and every variable, with its status and the reason.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use qwen_shared::dotenv::{
    Answer, Assignment, CandidateStatus, Decision, EnvChain, EnvFile, Mark, Search, Variable,
};
use qwen_shared::shell::Shell;
use qwen_shared::text::{escape_json, one_line};
use serde::Serialize;
use serde_json::{Value, json};

use super::consent::count_of;
use super::plan::{Action, Entry, Origin, Plan};
use super::value::shown;
use crate::notices;

pub(crate) struct Explanation<'c> {
    pub(crate) search: &'c Search,
    pub(crate) chain: &'c EnvChain,
    pub(crate) plan: &'c Plan<'c>,
    pub(crate) shell: Shell,
    pub(crate) show_secrets: bool,
    /// Hints are typed in another directory than the one that was searched.
    pub(crate) elsewhere: bool,
}

/// A file of the list.
#[derive(Serialize)]
struct FileRow<'c> {
    path: Cow<'c, str>,
    status: &'static str,
    /// Empty when the status needs none.
    reason: String,
    trust: Option<&'static str>,
    /// What the user said about the file with this content: `yes`, `no`, or nothing.
    answer: Option<&'static str>,
}

/// A variable of the list.
#[derive(Serialize)]
struct VariableRow {
    name: String,
    value: String,
    masked: bool,
    /// The file, none for a value of `qwen-token`.
    file: Option<String>,
    line: Option<u32>,
    trust: Option<&'static str>,
    status: &'static str,
    /// Empty when the status needs none.
    reason: String,
    /// By which a program is known to run code or move secrets.
    mark: Option<MarkRow>,
}

#[derive(Serialize)]
struct MarkRow {
    program: &'static str,
    effect: &'static str,
}

impl Explanation<'_> {
    /// Returns it as text.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("files (rule '{}'):\n", self.search.rule.name());
        let files = self.files().map(|file| {
            let status = with_reason(file.status, &file.reason);
            [file.path.into_owned(), status]
        });
        table(&mut text, files);
        let _ = writeln!(text, "variables (shell '{}'):", self.shell.name());
        let variables = self.variables();
        if variables.is_empty() {
            text.push_str("  none\n");
        }
        table(&mut text, variables.iter().map(VariableRow::cells));
        for name in &self.plan.unset {
            let _ = writeln!(text, "  {name} was exported earlier and is unset");
        }
        if let Some(notice) = self.notice() {
            let _ = writeln!(text, "{}", one_line(&notice));
        }
        text
    }

    /// Returns it as JSON.
    pub(crate) fn json(&self) -> String {
        let whole = json!({
            "rule": self.search.rule.name(),
            "directory": self.search.start.as_ref().map(|start| start.to_string_lossy()),
            "shell": self.shell.name(),
            "files": self.files().collect::<Vec<_>>(),
            "variables": self.variables(),
            "unset": self.plan.unset,
            "notice": self.notice(),
        });
        escape_json(&format!("{whole:#}\n")).into_owned()
    }

    fn files(&self) -> impl Iterator<Item = FileRow<'_>> {
        self.chain.candidates.iter().map(|candidate| {
            let read = self.chain.files.iter().find(|file| file.path == candidate.path);
            let (status, reason) = match &candidate.status {
                CandidateStatus::Read => ("read", read.map(of_file).unwrap_or_default()),
                CandidateStatus::PassedOver(reason) => ("passed over", reason.to_string()),
                // Nothing but this explanation needs to know whether it exists.
                CandidateStatus::NotReached if candidate.path.symlink_metadata().is_ok() => (
                    "not read",
                    "an earlier file ends the search, files are not merged".to_owned(),
                ),
                CandidateStatus::Absent | CandidateStatus::NotReached => ("absent", String::new()),
            };
            FileRow {
                path: candidate.path.to_string_lossy(),
                status,
                reason,
                trust: read.map(|file| file.trust.name()),
                answer: read.and_then(|file| file.answer).map(|answer| match answer {
                    Answer::Yes => "yes",
                    Answer::No => "no",
                }),
            }
        })
    }

    /// What waits and the command that lets it through, or what was refused and the command that forgets that.
    fn notice(&self) -> Option<String> {
        let file = self
            .chain
            .files
            .iter()
            .find(|file| file.waiting().next().is_some())?;
        let count = file.waiting().count();
        if file.answer == Some(Answer::No) {
            let left_out = count_of(count, "variable is", "variables are");
            let command = self.chain.untrust_command(&file.path, self.elsewhere);
            return Some(format!("{left_out} left out: {}", notices::refusal(command)));
        }
        let waiting = count_of(count, "variable waits", "variables wait");
        let command = self.chain.trust_command(&file.path, self.elsewhere);
        let hint =
            command.map(|command| format!(": run '{command}' to see what this file sets, and to let it"));
        Some(format!("{waiting} for your consent{}", hint.unwrap_or_default()))
    }

    fn variables(&self) -> Vec<VariableRow> {
        let from_token = self
            .plan
            .entries
            .iter()
            .filter(|entry| matches!(entry.origin, Origin::Token));
        let mut rows: Vec<VariableRow> = from_token.map(|entry| self.token_row(entry)).collect();
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

    fn token_row(&self, entry: &Entry<'_>) -> VariableRow {
        let (status, reason) = status_of(entry);
        VariableRow {
            name: entry.name.to_owned(),
            value: self.shown(entry.name, entry.value),
            masked: !self.show_secrets,
            file: None,
            line: None,
            trust: None,
            status,
            reason,
            mark: None,
        }
    }

    fn row(&self, assignment: &Assignment, entries: &BTreeMap<&str, &Entry<'_>>) -> VariableRow {
        let variable = &assignment.variable;
        let (status, reason) = match assignment.decision {
            Decision::Accepted => accepted(variable, entries),
            Decision::Overwritten(line) => ("overwritten", format!("by line {line}")),
            Decision::Waiting(mark) if self.chain.is_refused(&variable.path) => {
                ("left out", with_mark(notices::refusal(None), mark))
            }
            Decision::Waiting(mark) => ("waiting", with_mark("for your consent".to_owned(), mark)),
            decision => match decision.exclusion() {
                Some(reason) => ("excluded", reason),
                None => ("refused", decision.refusal().unwrap_or_default()),
            },
        };
        VariableRow {
            name: variable.name.clone(),
            value: self.shown(&variable.name, variable.value.expose()),
            masked: !self.show_secrets,
            file: Some(variable.path.to_string_lossy().into_owned()),
            line: Some(variable.line),
            trust: Some(variable.trust.name()),
            status,
            reason,
            mark: match assignment.decision {
                Decision::Waiting(mark) => mark.map(|mark| MarkRow {
                    program: mark.program,
                    effect: mark.effect,
                }),
                _ => None,
            },
        }
    }

    /// A value as it may be shown: as it is, or masked.
    fn shown(&self, name: &str, value: &str) -> String {
        if self.show_secrets {
            return value.to_owned();
        }
        shown(name, value)
    }
}

/// What kind of file was read, and what the user said about it.
fn of_file(file: &EnvFile) -> String {
    let more = match file.answer {
        Some(Answer::No) => ", consent refused",
        None if file.changed => ", changed since you trusted it",
        _ => "",
    };
    format!("{} file{more}", file.trust.name())
}

/// Adds to why a variable does not count what programs are known to do by its name.
fn with_mark(reason: String, mark: Option<Mark>) -> String {
    let mark = mark.map(|mark| format!(" ({}: {})", mark.program, mark.effect));
    reason + &mark.unwrap_or_default()
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
    let reason = notices::reason(entry).unwrap_or_default();
    match entry.action {
        Action::Export => ("exported", String::new()),
        Action::Keep => ("kept", "the environment has it".to_owned()),
        Action::Withhold => ("withheld", reason),
        Action::NotPlain | Action::Refuse(_) | Action::NoRoom | Action::Parted => ("refused", reason),
    }
}

impl VariableRow {
    fn cells(&self) -> [String; 4] {
        let place = match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            _ => "qwen-token".to_owned(),
        };
        // A value with control characters is shown as a JSON string, on one line.
        let value = if self.value.chars().any(qwen_shared::text::is_hostile) {
            Value::from(self.value.as_str()).to_string()
        } else {
            self.value.clone()
        };
        let status = with_reason(self.status, &self.reason);
        [self.name.clone(), value, place, status]
    }
}

fn with_reason(status: &str, reason: &str) -> String {
    let colon = if reason.is_empty() { "" } else { ": " };
    format!("{status}{colon}{reason}")
}

/// Writes rows with their columns aligned, without control characters.
fn table<const N: usize>(text: &mut String, rows: impl Iterator<Item = [String; N]>) {
    let rows: Vec<[String; N]> = rows.map(|row| row.map(|cell| one_line(&cell))).collect();
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
