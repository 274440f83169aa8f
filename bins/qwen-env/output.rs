//! The statements or the data on stdout, and the notices.

use std::collections::BTreeSet;

use qwen_shared::dotenv::{
    CandidateStatus, Decision, EnvChain, EnvError, RECORD, Record, Search, Unusable, key_name,
};
use qwen_shared::output::Reporter;
use qwen_shared::shell::{Change, Shell};
use qwen_shared::text::escape_json;
use serde_json::{Map, Value};

use super::plan::{Action, Entry, Origin, Plan, unchanged_exports};
use super::quote::dotenv_line;

/// Writes the statements that bring a shell's environment from `before` to what is planned.
pub(crate) fn script(shell: Shell, plan: &Plan<'_>) -> String {
    let record = plan.record.text();
    let mut changes = Vec::new();
    // The record goes first: should a statement fail, nothing is exported that the record does not name.
    if !plan.record.is_empty() {
        changes.push(Change::Set(RECORD, &record));
    } else if std::env::var_os(RECORD).is_some() {
        changes.push(Change::Unset(RECORD));
    }
    changes.extend(plan.unset.iter().map(|name| Change::Unset(name)));
    changes.extend(plan.exports().map(|(name, value)| Change::Set(name, value)));
    statements(shell, &changes)
}

/// Writes the statements that unset what the record names, unless it was changed since.
pub(crate) fn unset_script(shell: Shell, before: &Record) -> String {
    let ours = unchanged_exports(before, Some(shell));
    let mut changes: Vec<Change<'_>> = ours.map(Change::Unset).collect();
    if std::env::var_os(RECORD).is_some() {
        changes.push(Change::Unset(RECORD));
    }
    statements(shell, &changes)
}

/// Writes the statement that remembers a record.
pub(crate) fn record_script(shell: Shell, record: &Record) -> String {
    statements(shell, &[Change::Set(RECORD, &record.text())])
}

/// Writes statements; for nushell one record, also where nothing changes.
pub(crate) fn statements(shell: Shell, changes: &[Change<'_>]) -> String {
    let mut taken = Vec::new();
    if shell.needs_helpers() {
        taken.extend(std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()));
    }
    shell.script(changes, taken.iter().map(String::as_str))
}

/// One JSON object of names and values.
pub(crate) fn json(plan: &Plan<'_>) -> String {
    let members: Map<String, Value> = plan
        .exports()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect();
    escape_json(&format!("{:#}\n", Value::Object(members))).into_owned()
}

/// `NAME=value`, each ended by a NUL, as `env -0` writes it.
pub(crate) fn null(plan: &Plan<'_>) -> String {
    plan.exports()
        .map(|(name, value)| format!("{name}={value}\0"))
        .collect()
}

/// A `.env` file that npm `dotenv` reads back to the same values.
pub(crate) fn dotenv(plan: &Plan<'_>, reporter: &Reporter) -> String {
    let mut file = String::new();
    for (name, value) in plan.exports() {
        if let Some(line) = dotenv_line(name, value) {
            file.push_str(&line);
            file.push('\n');
        } else {
            reporter.notice(&format!(
                "'{name}' is left out: no line of a .env file can hold its value"
            ));
        }
    }
    file
}

/// The hint for a file that any user may write to.
pub(crate) const WRITABLE_HINT: &str = "take the right to write from others ('chmod o-w')";

/// The reason for an excluded variable.
pub(crate) const EXCLUSION: &str = "Qwen Code does not take it from a project's .env";

/// Reports what the chain ignores and refuses; with `--verbose`, also what is excluded or overwritten.
pub(crate) fn report_chain(search: &Search, chain: &EnvChain, reporter: &Reporter) {
    if let Some(notice) = search.missing_start() {
        reporter.notice(notice);
    }
    if let Some(error) = &chain.trust_error {
        reporter.notice(&format!("{error}; no project file is trusted"));
    }
    report_refusals(chain, reporter);
    for assignment in chain.assignments().filter(|_| reporter.is_verbose()) {
        let (place, name) = (assignment.variable.place(), &assignment.variable.name);
        match assignment.decision {
            Decision::Excluded => reporter.detail(&format!("{place}: '{name}' is excluded: {EXCLUSION}")),
            Decision::Overwritten(line) => {
                reporter.detail(&format!("{place}: '{name}' is overwritten by line {line}"));
            }
            // Reported above, or with the plan.
            _ => {}
        }
    }
}

/// Reports the files that are ignored and the names that are refused, each hint once.
fn report_refusals(chain: &EnvChain, reporter: &Reporter) {
    let mut hints: Vec<String> = Vec::new();
    for candidate in &chain.candidates {
        if let CandidateStatus::PassedOver(reason) = &candidate.status {
            let path = candidate.path.display();
            let error = EnvError::Unusable {
                path: candidate.path.to_path_buf(),
                reason: reason.clone(),
            };
            reporter.notice(&format!("{error}; ignored"));
            hints.extend(match reason {
                Unusable::WritableByAll => Some(WRITABLE_HINT.to_owned()),
                Unusable::Foreign(_) => Some(format!("run 'qwen-env --trust {path}' if you trust it")),
                _ => None,
            });
        }
        let read = chain.files.iter().find(|file| file.path == candidate.path);
        for assignment in read.iter().flat_map(|file| &file.assignments) {
            if let Some(reason) = assignment.decision.refusal() {
                let (place, name) = (assignment.variable.place(), &assignment.variable.name);
                reporter.notice(&format!("{place}: refused '{name}': {reason}"));
            }
            if assignment.decision.is_waiting() {
                hints.push("run 'qwen-env --trust' if this project may set them".to_owned());
            }
        }
    }
    let mut given = BTreeSet::new();
    for hint in hints.iter().filter(|hint| given.insert(*hint)) {
        reporter.hint(hint);
    }
}

/// Reports the variables that the environment lacks and that are not exported; with `--verbose`, all.
pub(crate) fn report_plan(plan: &Plan<'_>, reporter: &Reporter) {
    for entry in &plan.entries {
        let (place, name) = (place(entry), entry.name);
        match (reason(entry), entry.action) {
            (Some(reason), _) => reporter.notice(&format!("{place}: '{name}' is not exported: {reason}")),
            (None, Action::Keep) => {
                reporter.detail(&format!("{place}: '{name}' is kept from the environment"))
            }
            (None, _) => reporter.detail(&format!("{place}: '{name}' is exported")),
        }
    }
    for name in &plan.unset {
        reporter.detail(&format!("'{name}' was exported earlier and is unset"));
    }
    if plan.entries.iter().any(|entry| entry.action == Action::Withhold) {
        reporter.hint("run 'qwen-env --trust' if this project may choose where keys are sent");
    }
}

fn place(entry: &Entry<'_>) -> String {
    match entry.origin {
        Origin::File(variable) => variable.place(),
        Origin::Token => "qwen-token".to_owned(),
    }
}

/// Why a variable is not exported; `None` when it is, or when the environment has it.
pub(crate) fn reason(entry: &Entry<'_>) -> Option<String> {
    match entry.action {
        Action::Export | Action::Keep => None,
        Action::Withhold => {
            let key = key_name(entry.name).unwrap_or_default();
            Some(format!(
                "an untrusted project file may set it only together with '{key}', and that is not the key in force"
            ))
        }
        Action::Refuse(reason) => Some(reason.to_string()),
        Action::NoRoom => Some("the environment has no room for more".to_owned()),
    }
}
