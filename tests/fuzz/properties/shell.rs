//! The encoders of the shells: a real shell that evaluates the statements has every value, whatever it is.
//!
//! The first byte of an input chooses the shell; the rest are values, each ended by a NUL.

use std::io::Write;
use std::process::{Command, Stdio};

use qwen_shared::shell::{Change, Shell};

/// A shell, the words that start it, and how it evaluates what it reads from its standard input.
type Mode = (Shell, &'static [&'static str], &'static str);

const EVAL: &str = "eval $(/bin/cat); exec /usr/bin/env -0";

const MODES: [Mode; 10] = [
    (Shell::Dash, &["dash", "-c"], EVAL),
    (Shell::Sh, &["dash", "-c"], EVAL),
    (Shell::Bash, &["bash", "--norc", "-c"], EVAL),
    (Shell::Zsh, &["zsh", "-f", "-c"], EVAL),
    (Shell::Ksh, &["ksh93", "-c"], EVAL),
    (Shell::Mksh, &["mksh", "-c"], EVAL),
    (Shell::Busybox, &["busybox", "ash", "-c"], EVAL),
    (Shell::Yash, &["yash", "-c"], EVAL),
    (Shell::Posh, &["posh", "-c"], EVAL),
    (
        Shell::Fish,
        &["fish", "-N", "-c"],
        "/bin/cat | source; exec /usr/bin/env -0",
    ),
];

/// Encodes the values and lets the shell evaluate them. A shell that is not installed is passed over.
pub(crate) fn holds(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let (shell, words, evaluation) = MODES[usize::from(*first) % MODES.len()];
    let texts: Vec<String> = rest
        .split(|byte| *byte == 0)
        .take(64)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect();
    let named: Vec<(String, &str)> = texts
        .iter()
        .enumerate()
        .map(|(number, value)| (format!("V{number}"), value.as_str()))
        .filter(|(name, value)| shell.unsupported(name, value, true).is_none())
        .collect();
    let changes: Vec<Change<'_>> = named
        .iter()
        .map(|(name, value)| Change::Set(name, value))
        .collect();
    let script = shell.script(&changes, std::iter::empty());
    assert!(!script.contains("  "), "two blanks side by side: {script}");
    let Some(printed) = evaluate(words, evaluation, &script) else {
        return;
    };
    for (name, value) in &named {
        let wanted = format!("{name}={value}");
        let is_there = printed
            .split(|byte| *byte == 0)
            .any(|line| line == wanted.as_bytes());
        assert!(is_there, "{words:?}: {wanted:?} of {script}");
    }
}

/// The environment after the evaluation; `None` where there is no such shell.
fn evaluate(words: &[&str], evaluation: &str, script: &str) -> Option<Vec<u8>> {
    let child = Command::new(words[0])
        .args(&words[1..])
        .arg(evaluation)
        .env_clear()
        .envs([
            ("PATH", "/usr/bin:/bin"),
            ("LC_ALL", "C.UTF-8"),
            ("HOME", "/nonexistent"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.ok()?;
    // More than a pipe holds is read while it is written: the shell reads all before it prints.
    child.stdin.take()?.write_all(script.as_bytes()).ok()?;
    Some(child.wait_with_output().ok()?.stdout)
}
