//! What is printed: the statements or the data, and the notices.

use qwen_shared::dotenv::{EnvChain, RECORD, Record, Verdict, dotenv_line, key_name};
use qwen_shared::output::Reporter;
use qwen_shared::shell::{Change, Shell};
use qwen_shared::text::escape_json;
use serde_json::{Map, Value};

use super::plan::{Entry, Fate, Origin, Plan, taken_back};

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

/// Why an excluded variable is left out.
pub(crate) const EXCLUSION: &str = "Qwen Code does not take it from a project's .env";

/// Says what the chain passed over and refused, each hint once; with `--verbose`, what else of it does not count.
pub(crate) fn of_chain(chain: &EnvChain, reporter: &Reporter) {
    let mut hints: Vec<&str> = Vec::new();
    for notice in chain.notices() {
        reporter.notice(&notice.to_string());
        if let Some(hint) = notice.hint.as_deref().filter(|hint| !hints.contains(hint)) {
            hints.push(hint);
        }
    }
    for hint in hints {
        reporter.hint(hint);
    }
    for assignment in chain.assignments().filter(|_| reporter.is_verbose()) {
        let (place, name) = (assignment.variable.place(), &assignment.variable.name);
        match assignment.verdict {
            Verdict::Excluded => reporter.detail(&format!("{place}: '{name}' is excluded: {EXCLUSION}")),
            Verdict::Overwritten(line) => {
                reporter.detail(&format!("{place}: '{name}' is overwritten by line {line}"));
            }
            // Said above, or by the plan.
            _ => {}
        }
    }
}

/// Says which variables are not exported though the environment lacks them; with `--verbose`, what becomes of all.
pub(crate) fn of_plan(plan: &Plan<'_>, reporter: &Reporter) {
    for entry in &plan.entries {
        let (place, name) = (place(entry), entry.name);
        match (reason(entry), entry.fate) {
            (Some(reason), _) => reporter.notice(&format!("{place}: '{name}' is not exported: {reason}")),
            (None, Fate::Kept) => reporter.detail(&format!("{place}: '{name}' is kept from the environment")),
            (None, _) => reporter.detail(&format!("{place}: '{name}' is exported")),
        }
    }
    for name in &plan.unset {
        reporter.detail(&format!("'{name}' was exported earlier and is taken back"));
    }
    if plan.entries.iter().any(|entry| entry.fate == Fate::Withheld) {
        reporter.hint("run 'qwen-env --trust' if this project may choose where keys are sent");
    }
}

fn place(entry: &Entry<'_>) -> String {
    match entry.origin {
        Origin::File(variable) => variable.place(),
        Origin::Token => "qwen-token".to_owned(),
    }
}

/// Why a variable is not exported, when the user ought to know.
pub(crate) fn reason(entry: &Entry<'_>) -> Option<String> {
    match entry.fate {
        Fate::Exported | Fate::Kept => None,
        Fate::Withheld => {
            let key = key_name(entry.name).unwrap_or_default();
            Some(format!(
                "an untrusted project file may set it only together with '{key}', and that is not the key in force"
            ))
        }
        Fate::Cannot(cannot) => Some(cannot.to_string()),
        Fate::Crowded => Some("the environment has no room for more".to_owned()),
    }
}
