//! Every program, with each of its system calls failing once and killed once at each: `tests/torture`.
use std::process::Command;
use std::time::Duration;

use crate::support::{Run, Sandbox, Tool, binary, peers, tree};

/// How long all of it, and a sample, may take on a busy machine; elsewhere it is minutes.
const LONG: Duration = Duration::from_secs(4 * 3600);
const SAMPLE: Duration = Duration::from_secs(3600);

/// `tests/torture`, where the machine lets strace look at programs.
fn torture(sandbox: &Sandbox) -> Option<Tool> {
    let traces = Command::new("/usr/bin/strace")
        .args(["-o", "/dev/null", "/bin/true"])
        .status()
        .is_ok_and(|status| status.success());
    let there = traces && peers::command("python3").is_some();
    if !peers::present("torture", there) {
        return None;
    }
    let programs = binary("qwen");
    let tool = sandbox.command(tree::root().join("tests/torture")).arg("--bin");
    Some(tool.arg(programs.parent().unwrap()).env("TMPDIR", sandbox.root()))
}

/// Shows the table, and fails with every fault that was not borne: those are the last lines, after the table.
#[track_caller]
fn is_borne(run: &Run) {
    let said = run.text();
    assert!(
        run.code() == 0 && said.contains("\nall "),
        "exit {}\n{}\n{}",
        run.code(),
        last_lines(&run.stderr, 10),
        last_lines(&said, 30)
    );
    println!("{said}");
}

/// The end of a text: the log of a machine that runs many tests may be cut.
fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[test]
fn a_sample_of_all_faults_is_borne_and_every_one_while_a_login_is_renewed() {
    let sandbox = Sandbox::new();
    if let Some(torture) = torture(&sandbox) {
        is_borne(&torture.args(["--every", "30", "--jobs", "6"]).limit(SAMPLE).run());
    }
}

/// A sample has one call of each name over all programs, and these were not borne in one of them alone.
#[test]
fn limits_that_may_not_be_asked_for_are_no_bug_of_the_proxys() {
    let sandbox = Sandbox::new();
    if let Some(torture) = torture(&sandbox) {
        is_borne(&torture.args(["proxy", "prlimit64"]).limit(SAMPLE).run());
    }
}

#[test]
fn every_fault_is_borne() {
    if std::env::var_os("QWEN_LONG").is_none() {
        return;
    }
    let sandbox = Sandbox::new();
    if let Some(torture) = torture(&sandbox) {
        is_borne(&torture.args(["--jobs", "8"]).limit(LONG).run());
    }
}

#[test]
fn what_may_not_be_is_found_by_the_judge_of_faults() {
    let sandbox = Sandbox::new();
    if torture(&sandbox).is_some() {
        let modules = ["-B", "-m", "unittest", "fault_injection.self_test"];
        let tool = sandbox.command("/usr/bin/python3").args(modules);
        let run = tool.current_dir(tree::root().join("tests")).run().exits(0);
        assert!(!run.stderr.contains("Ran 0 tests"), "{}", run.stderr);
    }
}

#[test]
fn every_program_has_a_scenario() {
    let scenarios = tree::read("tests/fault_injection/scenarios.py");
    for program in tree::built() {
        let named = format!("Command((\"{program}\",");
        assert!(scenarios.contains(&named), "{program} is in no scenario");
    }
}
