//! What `qwen-env` prints survives an unquoted eval in every shell, whatever the values and the directory hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use qwen_shared::env::dialect::Shell;
use qwen_shared::env::dotenv_line;
use support::random::Random;
use support::shells::{Mode, OTHERS, POSIX, UNKNOWN};
use support::{Sandbox, binary, hostile};

const COUNT: usize = 3000;
const BATCH: usize = 250;

/// Evaluates a file of these values in a shell, and returns the environment that the shell's children then see.
fn evaluate(
    mode: &Mode,
    idiom: &str,
    values: &[String],
    locale: &str,
) -> Option<(BTreeMap<Vec<u8>, Vec<u8>>, String)> {
    let program = mode.program()?;
    let sandbox = Sandbox::new();
    hostile::fill(&sandbox.work());
    let lines = values
        .iter()
        .enumerate()
        .map(|(number, value)| dotenv_line(&format!("V{number}"), value).unwrap() + "\n");
    let file = sandbox.write("batch.env", lines.collect::<String>());
    let call = format!(
        "{} --shell {} --file {}",
        binary("qwen-env").display(),
        mode.dialect,
        file.display()
    );
    let last = if mode.dialect == "nu" || mode.dialect == "elvish" {
        "/usr/bin/env -0 out> /dev/stdout"
    } else {
        "/usr/bin/env -0"
    };
    let last = if mode.dialect == "nu" {
        "^/usr/bin/env -0"
    } else if mode.dialect == "elvish" {
        "e:/usr/bin/env -0"
    } else {
        last
    };
    let script = mode.script(idiom, &call, last);
    let run = sandbox
        .command(program)
        .args(&mode.command[1..])
        .arg(&script)
        .env("LC_ALL", locale)
        .run();
    assert!(
        !hostile::is_pwned(&sandbox.work()),
        "{}: {idiom}: something was executed: {run:#?}",
        mode.name
    );
    let environment = run.stdout.split(|&byte| byte == 0).filter_map(|line| {
        let equals = line.iter().position(|&byte| byte == b'=')?;
        Some((line[..equals].to_vec(), line[equals + 1..].to_vec()))
    });
    Some((environment.collect(), run.stderr))
}

fn holds(mode: &Mode, idiom: &str, values: &[String], locale: &str) {
    let shell = Shell::named(mode.dialect).unwrap();
    let Some((environment, stderr)) = evaluate(mode, idiom, values, locale) else {
        return;
    };
    for (number, value) in values.iter().enumerate() {
        let name = format!("V{number}");
        let seen = environment.get(name.as_bytes());
        match shell.cannot_hold(&name, value, locale.contains("UTF-8")) {
            None => assert_eq!(
                seen.map(|seen| String::from_utf8_lossy(seen)),
                Some(value.as_str().into()),
                "{}: {idiom}: {name} in {locale}; stderr: {stderr}",
                mode.name
            ),
            Some(reason) => {
                assert_eq!(seen, None, "{}: {idiom}: {value:?} is refused and set", mode.name);
                assert!(
                    stderr.contains(&format!("'{name}' is not exported: {reason}")),
                    "{stderr}"
                );
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
    for modes in [POSIX, UNKNOWN, OTHERS] {
        all(modes, "C", 750);
    }
}
