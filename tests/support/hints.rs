//! Hints can be typed: a flag that one names is a flag of the program that says it, or of the one that it tells to run.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// Where the programs under test are.
fn directory() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_qwen")).parent().unwrap()
}

/// What a program says about its flags: its help, and that of its subcommands.
fn help(program: &str) -> String {
    static KNOWN: OnceLock<Mutex<HashMap<String, String>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap();
    let text = known.entry(program.to_owned()).or_insert_with(|| {
        let ask = |args: &[&str]| {
            let mut command = Command::new(directory().join(program));
            let output = command.args(args).env_clear().output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let mut text = ask(&["--help"]);
        let (_, commands) = text.split_once("Commands:\n").unwrap_or_default();
        let names: Vec<String> = commands
            .lines()
            .take_while(|line| line.starts_with("  "))
            .filter(|line| !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
            .map(str::to_owned)
            .collect();
        for name in names {
            text.push_str(&ask(&[&name, "--help"]));
        }
        text
    });
    text.clone()
}

fn is_ours(program: &str) -> bool {
    let is_name = program == "qwen" || program.starts_with("qwen-");
    is_name && directory().join(program).is_file()
}

/// The flags in a text.
fn flags(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    words.filter(|word| word.len() > 3 && word.starts_with("--"))
}

/// Checks the hints of a program's stderr.
#[track_caller]
pub fn check(stderr: &str, shown: &str) {
    for line in stderr.lines() {
        let Some((program, hint)) = line.split_once(": hint: ") else {
            continue;
        };
        if !is_ours(program) {
            continue;
        }
        // Behind `--` there is no flag.
        let hint = hint.split(" -- ").next().unwrap_or_default();
        // What stands between quotes is a command, or a word of the settings.
        for (place, part) in hint.split('\'').enumerate() {
            let command = part.split_whitespace().next().unwrap_or_default();
            let program = match place % 2 == 1 && is_ours(command) {
                true => command,
                false => program,
            };
            for flag in flags(part) {
                let is_known = flags(&help(program)).any(|known| known == flag);
                assert!(is_known, "{program} has no {flag}: {line}\n{shown}");
            }
        }
    }
}
