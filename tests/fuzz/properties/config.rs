//! `config.json`: what the programs say of a file and what `qwen-auth check` says agree, and a change leaves all else as it is.

use qwen_shared::exit::Exit;
use qwen_shared::net::config::{Config, Severity, check_name};
use qwen_shared::paths;
use serde_json::{Map, Value};

use super::place;

/// Reads an input as the configuration, and changes it.
pub(crate) fn holds(data: &[u8]) {
    let path = paths::config_file().expect("a home");
    place::write(&path, data);
    let faults = Config::check(&path)
        .expect("the file can be read")
        .unwrap_or_default();
    let is_invalid = faults.iter().any(|fault| fault.severity == Severity::Invalid);
    for fault in &faults {
        assert!(
            fault.line >= 1 && fault.column >= 1 && !fault.words.is_empty(),
            "{fault:?}"
        );
        assert!(!fault.words.chars().any(char::is_control), "{fault:?}");
    }
    match Config::load() {
        Err(failure) => {
            assert_eq!(failure.exit, Exit::Config, "{}", failure.message);
            assert!(is_invalid, "refused, and nothing is found: {}", failure.message);
            let untouched = std::fs::read(&path).expect("the file");
            assert!(Config::edit(|_| ()).is_err());
            assert_eq!(
                std::fs::read(&path).expect("the file"),
                untouched,
                "an invalid file is changed"
            );
        }
        Ok(config) => {
            assert!(!is_invalid, "read, and refused by the check: {faults:?}");
            changes(&path, &config);
        }
    }
}

/// The members that a text says, the last of a name.
fn members(text: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(text).unwrap_or_default()
}

/// Changes nothing, then one member, then takes that back.
fn changes(path: &std::path::Path, config: &Config) {
    let mut before = std::fs::read(path).expect("the file");
    Config::edit(|_| ()).expect("a file that was read");
    if String::from_utf8_lossy(&before)
        .trim_start_matches('\u{feff}')
        .trim()
        .is_empty()
    {
        // A blank file is none.
        before = std::fs::read(path).expect("the file");
    }
    assert_eq!(
        std::fs::read(path).expect("the file"),
        before,
        "nothing was to be changed"
    );
    if config.profiles.contains_key("zz") {
        return;
    }
    let was = members(&before);
    let added = Config::edit(|members| {
        let profiles = members
            .entry("profiles")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(profiles) = profiles.as_object_mut() {
            profiles.insert("zz".to_owned(), serde_json::json!({ "model": "m" }));
        }
    });
    let Ok(added) = added else {
        panic!("a profile could not be added");
    };
    assert_eq!(
        added
            .profiles
            .get("zz")
            .and_then(|profile| profile.model.as_deref()),
        Some("m")
    );
    let mut now = members(&std::fs::read(path).expect("the file"));
    let profiles = now.get_mut("profiles").and_then(Value::as_object_mut);
    profiles.expect("profiles").shift_remove("zz");
    let mut was = was;
    was.entry("profiles").or_insert_with(|| Value::Object(Map::new()));
    assert_eq!(now, was, "something else was changed");
    assert!(
        config
            .profiles
            .keys()
            .all(|name| check_name(name).is_ok() || !name.is_empty())
    );
}
