//! What `qwen-env` prints survives an unquoted eval in every shell, whatever the values and the directory hold.

use std::collections::BTreeMap;

use crate::support::quote::dotenv_line;
use crate::support::random::Random;
use crate::support::shells::{Mode, OTHERS, POSIX, UNKNOWN};
use crate::support::{Sandbox, binary, hostile};
use clap::ValueEnum;
use qwen_shared::shell::Shell;

const COUNT: usize = 3000;
/// csh holds no longer record than one of some 140 names.
const BATCH: usize = 100;

/// What a shell's children see after it evaluated, and what was said on stderr.
struct Seen {
    environment: BTreeMap<Vec<u8>, Vec<u8>>,
    stderr: String,
}

/// Lets a shell evaluate a file of these values, in a directory full of hostile names.
fn evaluate(mode: &Mode, idiom: &str, values: &[String], locale: &str) -> Option<Seen> {
    let program = mode.program()?;
    let sandbox = Sandbox::new();
    hostile::fill(&sandbox.work());
    let line = |(number, value): (usize, &String)| dotenv_line(&format!("V{number}"), value).unwrap() + "\n";
    let file = sandbox.write(
        "batch.env",
        values.iter().enumerate().map(line).collect::<String>(),
    );
    let (tool, file) = (binary("qwen-env"), file.display().to_string());
    let call = format!("{} --shell {} --file {file}", tool.display(), mode.dialect);
    let last = match mode.dialect {
        "nu" => "^/usr/bin/env -0",
        _ => "/usr/bin/env -0",
    };
    let script = mode.script(idiom, &call, last);
    let shell = sandbox.command(program).args(&mode.command[1..]).arg(&script);
    let run = shell.env("LC_ALL", locale).run();
    assert!(
        !hostile::is_pwned(&sandbox.work()),
        "{}: {idiom}: something was executed: {run:#?}",
        mode.name
    );
    let variables = run.stdout.split(|&byte| byte == 0).filter_map(|line| {
        let equals = line.iter().position(|&byte| byte == b'=')?;
        Some((line[..equals].to_vec(), line[equals + 1..].to_vec()))
    });
    Some(Seen {
        environment: variables.collect(),
        stderr: run.stderr,
    })
}

fn holds(mode: &Mode, idiom: &str, values: &[String], locale: &str) {
    let shell = Shell::from_str(mode.dialect, false).unwrap();
    let Some(seen) = evaluate(mode, idiom, values, locale) else {
        return;
    };
    for (number, value) in values.iter().enumerate() {
        let name = format!("V{number}");
        let found = seen
            .environment
            .get(name.as_bytes())
            .map(|found| String::from_utf8_lossy(found));
        let place = format!(
            "{}: {idiom}: {name} in {locale}; stderr: {}",
            mode.name, seen.stderr
        );
        match shell.unsupported(&name, value, locale.contains("UTF-8")) {
            None => assert_eq!(found.as_deref(), Some(value.as_str()), "{place}"),
            Some(reason) => {
                assert_eq!(found, None, "{value:?} is refused and set; {place}");
                let notice = format!("'{name}' is not exported: {reason}");
                // Twenty are told one by one, the others are counted.
                let told = seen.stderr.contains(&notice) || seen.stderr.contains(" more notices");
                assert!(told, "{place}");
            }
        }
    }
}

fn all(modes: &[Mode], locale: &str, count: usize) {
    for mode in modes {
        let mut random = Random::from_environment();
        let values = hostile::values(&mut random, count);
        for idiom in mode.idioms {
            for batch in values.chunks(BATCH) {
                holds(mode, idiom, batch, locale);
            }
        }
    }
}

#[test]
fn three_thousand_hostile_values_survive_in_every_posix_shell() {
    all(POSIX, "C.UTF-8", COUNT);
}

#[test]
fn three_thousand_hostile_values_survive_in_a_shell_that_is_not_known() {
    all(UNKNOWN, "C.UTF-8", COUNT);
}

#[test]
fn three_thousand_hostile_values_survive_in_the_shells_with_a_grammar_of_their_own() {
    all(OTHERS, "C.UTF-8", COUNT);
}

#[test]
fn hostile_values_survive_in_a_locale_without_utf8() {
    for modes in [POSIX, OTHERS] {
        all(modes, "C", 750);
    }
    // yash takes no byte from 0x80 on there; only when it is known to be yash can such a value be refused.
    let others: Vec<Mode> = UNKNOWN
        .iter()
        .filter(|mode| mode.command[0] != "yash")
        .copied()
        .collect();
    all(&others, "C", 750);
}
