//! `--check`: probable mistakes in the files.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use qwen_shared::address::{is_loopback_address, parse_plain};
use qwen_shared::dotenv::{
    Assignment, CandidateStatus, Decision, EnvChain, EnvFile, RawAssignment, Scanner, Trust, Variable,
    is_space, key_name,
};
use qwen_shared::output::Reporter;
use qwen_shared::process;
use qwen_shared::shell::is_shell_name;
use qwen_shared::text::one_line;
use serde::Serialize;

use super::copied;
use super::lint::{Lint, lines_odd_to_node, malformed_lines, oddly_blank_lines};
use super::plan::is_word;
use super::portable;
use super::unresolved::Unresolved;
use super::value::shown;

/// A probable mistake.
#[derive(Serialize)]
pub(crate) struct Finding {
    file: String,
    /// The line, from 1; none for the file as a whole.
    line: Option<u32>,
    fault: String,
}

impl Finding {
    fn new(file: &Path, line: Option<u32>, fault: impl Into<String>) -> Self {
        Self {
            file: file.to_string_lossy().into_owned(),
            line,
            fault: fault.into(),
        }
    }

    /// `file:line: fault`, as compilers write it.
    pub(crate) fn text(&self) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        one_line(&format!("{}{line}: {}", self.file, self.fault))
    }
}

/// Checks every file of the chain, those that are ignored included.
pub(crate) fn findings(chain: &EnvChain, reporter: &Reporter) -> Vec<Finding> {
    let mut all = Vec::new();
    for candidate in &chain.candidates {
        if let CandidateStatus::PassedOver(reason) = &candidate.status {
            all.push(Finding::new(&candidate.path, None, reason.to_string()));
        }
    }
    for file in &chain.files {
        let mut own = check_file(file, reporter);
        if file.is_utf16() {
            // Whatever else would be said is about bytes that nobody meant.
            let fault = "is UTF-16, as PowerShell's '>' writes it: nothing reads it; save it as UTF-8";
            own.push(Finding::new(&file.path, None, fault));
        } else {
            own.extend(check_bytes(file));
            own.extend(check_lines(file));
        }
        own.sort_by_key(|finding| finding.line);
        all.extend(own);
    }
    all
}

fn check_file(file: &EnvFile, reporter: &Reporter) -> Vec<Finding> {
    let mut found = Vec::new();
    if file.mode & 0o077 != 0 {
        let fault = format!("other users have rights to it (mode {:04o})", file.mode);
        found.push(Finding::new(&file.path, None, fault));
    }
    if git_ignores(&file.path, reporter) == Some(false) {
        let fault = "git does not ignore it: a commit would publish its secrets";
        found.push(Finding::new(&file.path, None, fault));
    }
    found
}

fn check_lines(file: &EnvFile) -> Vec<Finding> {
    let text = file.text.expose();
    let mut found = Vec::new();
    let mut add = |line: u32, fault: String| found.push(Finding::new(&file.path, Some(line), fault));
    for line in malformed_lines(text) {
        add(line, "is no assignment; it is skipped".to_owned());
    }
    for line in oddly_blank_lines(text) {
        add(line, "has a blank that a shell takes for a command".to_owned());
    }
    for (line, fault) in lines_odd_to_node(text) {
        add(line, fault.to_string());
    }
    for assignment in Scanner::new(text) {
        for lint in Lint::all_in(text, &assignment) {
            add(assignment.line, format!("'{}' {lint}", assignment.name));
        }
        let is_quoted = text[assignment.value_span.clone()].trim_start().starts_with('\'');
        if let Some(unresolved) = Unresolved::find(&assignment.value, is_quoted) {
            add(assignment.line, format!("'{}' {unresolved}", assignment.name));
        } else if let Some(fault) = copied::fault(assignment.name, &assignment.value) {
            add(assignment.line, format!("'{}': {fault}", assignment.name));
        }
        if let Some(difference) = difference(text, &assignment) {
            add(assignment.line, format!("'{}': {difference}", assignment.name));
        }
    }
    let keys = keys_of(file);
    for assignment in &file.assignments {
        if let Some(fault) = fault_of(&keys, assignment) {
            add(assignment.variable.line, fault);
        }
    }
    found
}

/// Why an assignment means something else to other readers, with what npm `dotenv` and the crate dotenvy make of it; `None`
/// where it is in the form that all of them read alike.
///
/// dotenvy is given each assignment by itself, because it stops at the first line that it rejects. A name that it replaces by
/// a variable's value comes from the environment then, and is a difference in any case.
fn difference(text: &str, assignment: &RawAssignment<'_>) -> Option<String> {
    let start = text[..assignment.span.start].rfind('\n').map_or(0, |end| end + 1);
    // At the end of the file the blank lines and comments after it count to the last assignment.
    let value = &text[..assignment.value_span.end];
    let last = value
        .trim_end_matches(is_space)
        .len()
        .max(assignment.value_span.start);
    let end = text[last..].find('\n').map_or(text.len(), |length| last + length);
    let lines = text[start..end].trim_end_matches([' ', '\t']);
    let fault = portable::fault(lines);
    let statement = &text.as_bytes()[assignment.span.clone()];
    let (is_same, dotenvy) = match dotenvy::from_read_iter(statement).next() {
        Some(Ok((name, value))) if name == assignment.name && value == assignment.value => {
            (true, "reads the same".to_owned())
        }
        Some(Ok((_, value))) => (false, format!("reads {}", shown_value(assignment.name, &value))),
        Some(Err(_)) | None => (false, "cannot read it".to_owned()),
    };
    let reason = match fault {
        Some(fault) => fault.to_string(),
        None if is_same => return None,
        None => "it is in the portable form, but not to dotenvy".to_owned(),
    };
    let npm = shown_value(assignment.name, &assignment.value);
    Some(format!(
        "not portable: {reason}; npm dotenv reads {npm}, dotenvy {dotenvy}"
    ))
}

/// A value as a person may see it, in quotes.
fn shown_value(name: &str, value: &str) -> String {
    if value.is_empty() {
        return "an empty value".to_owned();
    }
    format!("'{}'", shown(name, value))
}

/// What is unusual about the bytes of a file as a whole.
fn check_bytes(file: &EnvFile) -> Vec<Finding> {
    let bytes = file.bytes.expose();
    let mut found = Vec::new();
    let mut add = |fault: &str| found.push(Finding::new(&file.path, None, fault));
    if bytes.starts_with(b"\xef\xbb\xbf") {
        add("begins with a byte order mark: to a shell it is part of the first name");
    }
    if bytes.contains(&b'\r') {
        add("has carriage returns: a shell keeps them in the values");
    }
    if std::str::from_utf8(bytes).is_err() {
        add("is not UTF-8: npm dotenv reads U+FFFD, others cannot read it");
    }
    if bytes.contains(&0) {
        add("holds a NUL, which a shell drops and others keep");
    }
    found
}

/// What is wrong with an assignment in a file that has these keys.
fn fault_of(keys: &BTreeSet<&str>, assignment: &Assignment) -> Option<String> {
    let name = &assignment.variable.name;
    match assignment.decision {
        Decision::Overwritten(line) => Some(format!("'{name}' is set again on line {line}, which wins")),
        Decision::Waiting(_) if assignment.variable.value.expose().contains('\0') => {
            Some(format!("'{name}' is refused: {}", Decision::Nul.refusal()?))
        }
        Decision::Accepted | Decision::Waiting(_) if !is_shell_name(name) => {
            Some(format!("'{name}' cannot be the name of a shell variable"))
        }
        Decision::Accepted => address_fault(keys, &assignment.variable),
        Decision::Waiting(_) => None,
        refused => Some(format!("'{name}' is refused: {}", refused.refusal()?)),
    }
}

/// The names that a file gives a value which is not blank.
fn keys_of(file: &EnvFile) -> BTreeSet<&str> {
    file.assignments
        .iter()
        .filter(|assignment| assignment.decision == Decision::Accepted)
        .map(|assignment| &assignment.variable)
        .filter(|variable| !variable.value.expose().trim().is_empty())
        .map(|variable| variable.name.as_str())
        .collect()
}

/// An address in an untrusted project file counts only with the key of the same file, unless it is one of this machine, and
/// only where every program reads it alike.
fn address_fault(keys: &BTreeSet<&str>, address: &Variable) -> Option<String> {
    let (name, value) = (&address.name, address.value.expose());
    let key = key_name(name).filter(|_| address.trust == Trust::UntrustedProject)?;
    if !is_word(value)
        && let Err(fault) = parse_plain(value)
    {
        return Some(format!("'{name}' is not exported: {fault}"));
    }
    let needs_key = !is_loopback_address(value);
    (needs_key && !keys.contains(key.as_str()))
        .then(|| format!("'{name}' is not exported: '{key}' is not set beside it"))
}

/// Asks git; `None` outside a repository, or when git cannot be asked.
///
/// The repository may be hostile: the options keep git from running what its configuration names, also when it would
/// fetch an object that is missing.
fn git_ignores(file: &Path, reporter: &Reporter) -> Option<bool> {
    let directory = file.parent()?;
    directory.ancestors().find(|above| above.join(".git").exists())?;
    let Some(git) = process::find("git") else {
        reporter.notice("cannot tell whether git ignores the files: git is not on PATH");
        return None;
    };
    let status = Command::new(git)
        .args([
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.hooksPath=/dev/null",
            "check-ignore",
            "-q",
            "--",
        ])
        .arg(file)
        .current_dir(directory)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_ALLOW_PROTOCOL", "")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let code = status.ok().and_then(|status| status.code());
    match code {
        Some(0) => Some(true),
        Some(1) => Some(false),
        _ => {
            reporter.notice("cannot tell whether git ignores the files: git does not answer");
            None
        }
    }
}
