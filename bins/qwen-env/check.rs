//! `--check`: what a file's author is likely to regret.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use qwen_shared::dotenv::{
    Assignment, EnvChain, EnvFile, Fate, Scanner, Standing, Surprise, Variable, Verdict, key_name,
    malformed_lines,
};
use qwen_shared::output::Reporter;
use qwen_shared::process;
use qwen_shared::shell::is_shell_name;
use qwen_shared::text::one_line;
use serde_json::{Value, json};

/// Something to mend.
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
        let line = self.line.map(|line| format!("{line}: ")).unwrap_or_default();
        let separator = if self.line.is_some() { ":" } else { ": " };
        one_line(&format!("{}{separator}{line}{}", self.file, self.fault))
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "file": self.file, "line": self.line, "fault": self.fault })
    }
}

/// Looks at every file of the chain, those that were passed over included.
pub(crate) fn findings(chain: &EnvChain, reporter: &Reporter) -> Vec<Finding> {
    let passed_over = chain
        .candidates
        .iter()
        .filter_map(|candidate| match &candidate.fate {
            Fate::PassedOver(reason) => Some(Finding::new(&candidate.path, None, reason.to_string())),
            _ => None,
        });
    let mut all: Vec<Finding> = passed_over.collect();
    for file in &chain.files {
        let mut own = whole_file(file, reporter);
        own.extend(lines(file));
        own.sort_by_key(|finding| finding.line);
        all.extend(own);
    }
    all
}

fn whole_file(file: &EnvFile, reporter: &Reporter) -> Vec<Finding> {
    let mut found = Vec::new();
    let others = file.mode & 0o077;
    if others != 0 {
        let fault = format!("other users have rights to it (mode {:04o})", file.mode);
        found.push(Finding::new(&file.path, None, fault));
    }
    if git_ignores(&file.path, reporter) == Some(false) {
        let fault = "git does not ignore it: a commit would publish its secrets";
        found.push(Finding::new(&file.path, None, fault));
    }
    found
}

fn lines(file: &EnvFile) -> Vec<Finding> {
    let text = file.text.expose();
    let finding = |line: u32, fault: String| Finding::new(&file.path, Some(line), fault);
    let malformed = malformed_lines(text)
        .into_iter()
        .map(|line| finding(line, "is no assignment; it is skipped".to_owned()));
    let surprises = Scanner::new(text).flat_map(|statement| {
        let name = statement.name.to_owned();
        let seen = Surprise::all_in(text, &statement);
        seen.into_iter()
            .map(move |surprise| finding(statement.line, format!("'{name}' {surprise}")))
    });
    let keys = keys_of(file);
    let assignments = file
        .assignments
        .iter()
        .filter_map(|assignment| Some(finding(assignment.variable.line, fault_of(&keys, assignment)?)));
    malformed.chain(surprises).chain(assignments).collect()
}

/// What is wrong with an assignment in a file that has these keys.
fn fault_of(keys: &BTreeSet<&str>, assignment: &Assignment) -> Option<String> {
    let name = &assignment.variable.name;
    match assignment.verdict {
        Verdict::Overwritten(line) => Some(format!("'{name}' is set again on line {line}, which wins")),
        Verdict::Refused(reach) => Some(format!(
            "'{name}' is refused: a project file may not set {} variables",
            reach.name()
        )),
        Verdict::Record => Some(format!("'{name}' is refused: no file may set it")),
        Verdict::TooLong => Some(format!(
            "'{name}' is refused: with its value it is longer than 131071 bytes"
        )),
        Verdict::Nul => Some(format!("'{name}' is refused: its value holds a NUL")),
        Verdict::Excluded => None,
        Verdict::Accepted if !is_shell_name(name) => {
            Some(format!("'{name}' cannot be the name of a shell variable"))
        }
        Verdict::Accepted => lonely_address(keys, &assignment.variable),
    }
}

/// The names that a file gives a value which is not blank.
fn keys_of(file: &EnvFile) -> BTreeSet<&str> {
    file.assignments
        .iter()
        .filter(|assignment| assignment.verdict == Verdict::Accepted)
        .map(|assignment| &assignment.variable)
        .filter(|variable| !variable.value.expose().trim().is_empty())
        .map(|variable| variable.name.as_str())
        .collect()
}

/// An address in an untrusted project file counts only with the key of the same file.
fn lonely_address(keys: &BTreeSet<&str>, address: &Variable) -> Option<String> {
    let name = &address.name;
    let key = key_name(name).filter(|_| address.standing == Standing::UntrustedProject)?;
    (!keys.contains(key.as_str())).then(|| format!("'{name}' is not exported: '{key}' is not set beside it"))
}

/// Asks git; `None` outside a repository, or when git cannot be asked.
///
/// The repository may be hostile: the switches keep git from running what its configuration names, also for the sake of
/// an object that it lacks and would fetch.
fn git_ignores(file: &Path, reporter: &Reporter) -> Option<bool> {
    let directory = file.parent()?;
    directory.ancestors().find(|above| above.join(".git").exists())?;
    let Some(git) = process::find("git") else {
        reporter.notice("cannot tell whether git ignores the files: git is not on PATH");
        return None;
    };
    let asked = Command::new(git)
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
    let code = asked.ok().and_then(|status| status.code());
    match code {
        Some(0) => Some(true),
        Some(1) => Some(false),
        _ => {
            reporter.notice("cannot tell whether git ignores the files: git does not answer");
            None
        }
    }
}
