//! The statements or the data on stdout.

use std::ffi::OsStr;

use qwen_shared::dotenv::{RECORD, Record};
use qwen_shared::shell::{Change, Shell};
use qwen_shared::text::escape_json;
use serde_json::{Map, Value};

use super::plan::{Plan, unchanged_exports};

/// Writes the statements that bring a shell's environment from `before` to what is planned; none where it is there.
pub(crate) fn script(shell: Shell, plan: &Plan<'_>) -> String {
    let record = plan.record.text();
    if is_there(plan, &record) {
        return String::new();
    }
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

/// True when the environment is what is planned, record and all.
fn is_there(plan: &Plan<'_>, record: &str) -> bool {
    let holds =
        |name: &str, value: &str| std::env::var_os(name).is_some_and(|known| known == OsStr::new(value));
    let is_recorded = match plan.record.is_empty() {
        true => std::env::var_os(RECORD).is_none(),
        false => holds(RECORD, record),
    };
    is_recorded && plan.unset.is_empty() && plan.exports().all(|(name, value)| holds(name, value))
}

/// Writes the statements that unset what the record names, unless it was changed since.
pub(crate) fn unset_script(shell: Shell, before: &Record) -> String {
    let ours = unchanged_exports(before, Some(shell));
    let mut changes: Vec<Change<'_>> = ours.map(Change::Unset).collect();
    let left = before.unproven();
    let record = left.text();
    if !left.is_empty() {
        changes.push(Change::Set(RECORD, &record));
    } else if std::env::var_os(RECORD).is_some() {
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
