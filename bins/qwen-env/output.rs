//! The forms of the output.

use qwen_shared::env::dialect::{Change, Shell};
use qwen_shared::env::{RECORD, Record, dotenv_line};
use qwen_shared::out::Talk;
use qwen_shared::text::escape_json;
use serde_json::{Map, Value};

use crate::plan::{Plan, taken_back};

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

/// Writes the statements that take back what the record names, as far as it is still there.
pub(crate) fn unset_script(shell: Shell, before: &Record) -> String {
    let ours = taken_back(before, Some(shell));
    let mut changes: Vec<Change<'_>> = ours.map(Change::Unset).collect();
    if std::env::var_os(RECORD).is_some() {
        changes.push(Change::Unset(RECORD));
    }
    statements(shell, &changes)
}

fn statements(shell: Shell, changes: &[Change<'_>]) -> String {
    let mut taken = Vec::new();
    if shell.has_helpers() {
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
pub(crate) fn dotenv(plan: &Plan<'_>, talk: &Talk) -> String {
    let mut file = String::new();
    for (name, value) in plan.exports() {
        if let Some(line) = dotenv_line(name, value) {
            file.push_str(&line);
            file.push('\n');
        } else {
            talk.notice(&format!(
                "'{name}' is left out: no line of a .env file can hold its value"
            ));
        }
    }
    file
}
