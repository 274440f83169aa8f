//! `--check`: probable mistakes in the files.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use qwen_shared::dotenv::{
    Assignment, CandidateStatus, Decision, EnvChain, EnvFile, RawAssignment, Scanner, Trust, Variable,
    is_loopback_address, key_name,
};
use qwen_shared::output::Reporter;
use qwen_shared::process;
use qwen_shared::secret::mask;
use qwen_shared::shell::is_shell_name;
use qwen_shared::text::one_line;
use serde::Serialize;

use super::lint::{Lint, malformed_lines};

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
        own.extend(check_lines(file));
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
    for assignment in Scanner::new(text) {
        for lint in Lint::all_in(text, &assignment) {
            add(assignment.line, format!("'{}' {lint}", assignment.name));
        }
        if let Some(difference) = dotenvy_difference(text, &assignment) {
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

/// What the crate dotenvy makes of an assignment, when that is not what npm `dotenv` makes of it.
///
/// Each assignment is read by itself, because dotenvy stops at the first line that it rejects. A name that it replaces
/// by a variable's value comes from the environment then, and is a difference in any case.
fn dotenvy_difference(text: &str, assignment: &RawAssignment<'_>) -> Option<String> {
    let statement = &text.as_bytes()[assignment.span.clone()];
    match dotenvy::from_read_iter(statement).next() {
        Some(Ok((name, value))) if name == assignment.name && value == assignment.value => None,
        Some(Ok((_, value))) if value.is_empty() => Some("dotenvy reads an empty value".to_owned()),
        Some(Ok((_, value))) => Some(format!("dotenvy reads '{}'", mask(&value))),
        Some(Err(_)) | None => Some("dotenvy cannot read it".to_owned()),
    }
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
        Decision::Accepted => address_without_key(keys, &assignment.variable),
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

/// An address in an untrusted project file counts only with the key of the same file, unless it is one of this machine.
fn address_without_key(keys: &BTreeSet<&str>, address: &Variable) -> Option<String> {
    let name = &address.name;
    let needs_key = address.trust == Trust::UntrustedProject && !is_loopback_address(address.value.expose());
    let key = key_name(name).filter(|_| needs_key)?;
    (!keys.contains(key.as_str())).then(|| format!("'{name}' is not exported: '{key}' is not set beside it"))
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
