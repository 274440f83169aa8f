//! The dependencies: licences that go with ours, and no crate in two versions without a reason.
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::support::peers::{command, present};
use serde_json::Value;

/// Licences that allow what 'MIT OR Apache-2.0' allows, or, in the case of the MPL, ask something of changes to its
/// own files only.
const LICENCES: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// Crates of which there are two versions, because crates that we use disagree. One that agrees again must go here.
const TWICE: [(&str, &str); 2] = [
    ("getrandom", "ring, and ahash of jsonschema, have older ones"),
    ("syn", "derive macros, at build time alone"),
];

/// What Cargo knows of the packages that this machine builds. Without the network: they have been built.
fn packages() -> Vec<Value> {
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(rustc.stdout).unwrap();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .args(["--filter-platform", host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Judges an SPDX expression. 'AND' binds closer than 'OR'; the old way to write 'OR' is a slash.
fn is_fine(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let inner = match (expression.find('('), expression.find(')')) {
        (Some(start), Some(end)) => {
            let inside = if is_fine(&expression[start + 1..end]) {
                "MIT"
            } else {
                "no"
            };
            format!("{}{inside}{}", &expression[..start], &expression[end + 1..])
        }
        _ => expression,
    };
    inner
        .split(" OR ")
        .any(|choice| choice.split(" AND ").all(|name| LICENCES.contains(&name.trim())))
}

#[test]
fn expressions_are_judged_as_they_are_meant() {
    for (expression, fine) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only AND MIT", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND GPL-2.0-only", false),
        ("(GPL-2.0-only AND MIT) OR ISC", true),
        ("", false),
    ] {
        assert_eq!(is_fine(expression), fine, "{expression}");
    }
}

#[test]
fn every_dependency_has_a_licence_that_goes_with_ours() {
    let bad: Vec<String> = packages()
        .iter()
        .filter(|package| !is_fine(package["license"].as_str().unwrap_or_default()))
        .map(|package| {
            format!(
                "{} {}: {}",
                package["name"], package["version"], package["license"]
            )
        })
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn no_crate_is_there_in_two_versions_without_a_reason() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let word = |member: &str| package[member].as_str().unwrap().to_owned();
        versions.entry(word("name")).or_default().insert(word("version"));
    }
    let twice: BTreeSet<&str> = versions
        .iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(twice, TWICE.into_iter().map(|(name, _)| name).collect());
}

#[test]
fn the_notices_have_words_for_every_crate_that_is_linked_in() {
    let root = env!("CARGO_MANIFEST_DIR");
    if !present("python3", command("python3").is_some()) {
        return;
    }
    let output = Command::new("python3")
        .arg(format!("{root}/.ci/notices"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Permission is hereby granted"));
    let (list, notices) = text.split_once("\nTheir notices:\n").unwrap();
    // The names of a paragraph may fill several lines.
    let notices = notices.split_whitespace().collect::<Vec<_>>().join(" ");
    let known = packages();
    let listed: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(crate_, _)| crate_)
        .collect();
    let mut linked = 0;
    for package in known.iter().filter(|package| !package["source"].is_null()) {
        let name = format!(
            "{} {}",
            package["name"].as_str().unwrap(),
            package["version"].as_str().unwrap()
        );
        if listed.contains(&name.as_str()) {
            assert!(
                notices.contains(&format!("{name}:")) || notices.contains(&format!("{name},")),
                "{name}"
            );
            linked += 1;
        }
    }
    assert!(
        linked > 150 && !listed.iter().any(|name| name.starts_with("vt100 ")),
        "{linked}"
    );
    for name in ["ring ", "reqwest ", "clap ", "syntect ", "zbus "] {
        assert!(listed.iter().any(|listed| listed.starts_with(name)), "{name}");
    }
    // What every Debian has is named, not repeated.
    for words in ["TERMS AND CONDITIONS FOR USE, REPRODUCTION", "Covered Software"] {
        assert!(!text.contains(words), "{words}");
    }
}
