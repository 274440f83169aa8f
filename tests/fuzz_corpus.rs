//! What the fuzzers kept: every input of tests/fuzz/corpus still has the property of its target. (Those of
//! the code of one program are played beside it.)

use std::collections::BTreeSet;
use std::process::Command;

use self::played::{inputs, play};
use crate::support::Sandbox;
use crate::support::tree::{names_in, read};

#[path = "fuzz/properties/address.rs"]
mod address;
#[path = "fuzz/properties/answer.rs"]
mod answer;
#[path = "fuzz/properties/config.rs"]
mod config;
#[path = "fuzz/properties/credential.rs"]
mod credential;
#[path = "fuzz/properties/env.rs"]
mod env;
#[path = "fuzz/properties/place.rs"]
mod place;
#[path = "fuzz/played.rs"]
mod played;
#[path = "fuzz/properties/record.rs"]
mod record;
#[path = "fuzz/properties/refusal.rs"]
mod refusal;
#[path = "fuzz/properties/settings.rs"]
mod settings;
#[path = "fuzz/properties/shell.rs"]
mod shell;
#[path = "fuzz/properties/token.rs"]
mod token;
#[path = "fuzz/properties/trust.rs"]
mod trust;

#[test]
fn a_file_means_what_it_meant() {
    play("env", env::holds);
}

#[test]
fn an_address_is_that_of_one_server_and_hides_what_is_secret_in_it() {
    play("address", address::holds);
}

#[test]
fn a_record_of_what_was_exported_is_written_as_it_was_read() {
    play("record", record::holds);
}

#[test]
fn an_answer_is_the_same_however_it_is_cut() {
    play("answer", answer::holds);
}

#[test]
fn a_refusal_is_one_line_and_an_exit_code() {
    play("refusal", refusal::holds);
}

#[test]
fn an_answer_of_a_token_endpoint_is_a_token_or_an_error() {
    play("token", token::holds);
}

#[test]
fn a_shell_has_every_value_that_was_written_for_it() {
    play("shell", shell::holds);
}

/// The files that decide where things are come from the environment, so that these are played by a process of their own.
#[test]
fn a_file_of_ones_own_is_read_and_changed_as_it_was() {
    if std::env::var_os(place::ROOT).is_some() {
        play("config", config::holds);
        play("settings", settings::holds);
        play("credential", credential::holds);
        play("trust", trust::holds);
        return;
    }
    let sandbox = Sandbox::new();
    let home = sandbox.home();
    let none = home.join("none");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("fuzz_corpus::a_file_of_ones_own_is_read_and_changed_as_it_was")
        .env_clear()
        .envs([("HOME", &home), (place::ROOT, &home)])
        .envs([
            ("XDG_CONFIG_HOME", home.join("config")),
            ("XDG_STATE_HOME", home.join("state")),
            ("QWEN_CODE_SYSTEM_SETTINGS_PATH", none.clone()),
            ("QWEN_CODE_SYSTEM_DEFAULTS_PATH", none),
        ])
        .current_dir(sandbox.work())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{said}");
    assert!(printed.contains("1 passed"), "{printed}");
}

#[test]
fn every_target_has_a_corpus_and_a_property() {
    let corpora = names_in("tests/fuzz/corpus");
    let manifest = read("tests/fuzz/Cargo.toml");
    let targets: BTreeSet<String> = manifest
        .split("[[bin]]\nname = \"")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect();
    assert_eq!(targets, corpora.into_iter().collect());
    let properties: BTreeSet<String> = names_in("tests/fuzz/properties")
        .into_iter()
        .map(|name| name.trim_end_matches(".rs").to_owned())
        .filter(|name| name != "place")
        .collect();
    assert_eq!(targets, properties);
    let size: u64 = targets
        .iter()
        .flat_map(|target| inputs(target))
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert!(size <= 200_000, "the corpora have {size} bytes");
}

/// A target that takes code of a program is not built by the tests: it has every module that those it takes name.
#[test]
fn the_targets_of_programs_have_all_modules_that_they_need() {
    for (target, place, at_least) in [
        ("proxy/server", "bins/qwen-proxy/server", 5),
        ("batch", "bins/qwen-batch", 5),
        ("login", "bins/qwen-login", 3),
        ("session", "bins/qwen-chat", 2),
    ] {
        let target = read(format!("tests/fuzz/targets/{target}.rs"));
        let modules: BTreeSet<&str> = target
            .lines()
            .filter_map(|line| line.trim_start_matches("pub(crate) ").strip_prefix("mod "))
            .map(|rest| rest.trim_end_matches([';', '{', ' ']))
            .collect();
        let taken: Vec<&str> = modules
            .iter()
            .copied()
            .filter(|name| target.contains(&format!("{place}/{name}.rs\"]")))
            .collect();
        assert!(taken.len() >= at_least, "{taken:?}");
        for name in taken {
            let text = read(format!("{place}/{name}.rs"));
            let code = text.split("#[cfg(test)]").next().unwrap();
            let named = code.lines().filter_map(|line| {
                line.strip_prefix("use super::")
                    .or(line.strip_prefix("use crate::"))
            });
            for line in named {
                let wanted = line.split([':', ';', ' ']).next().unwrap();
                assert!(modules.contains(wanted), "{name} names {wanted}");
            }
        }
    }
}
