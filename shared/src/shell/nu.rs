//! Nushell evaluates no text: one JSON record, for `qwen-env | from json | load-env`.

use serde_json::{Map, Value};

use super::change::Change;

/// A null takes a variable away. Without a change it is the empty record, which `load-env` takes too.
pub(super) fn script(changes: &[Change<'_>]) -> String {
    let record: Map<String, Value> = changes
        .iter()
        .map(|change| match *change {
            Change::Set(name, value) => (name.to_owned(), Value::from(value)),
            Change::Unset(name) => (name.to_owned(), Value::Null),
        })
        .collect();
    format!("{}\n", Value::Object(record))
}

/// Double quotes with JSON's escapes.
pub(super) fn word(text: &str) -> String {
    Value::from(text).to_string()
}
