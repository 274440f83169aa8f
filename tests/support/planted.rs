//! Configurations with planted mistakes.

use std::fs;

use serde::Deserialize;
use serde_json::Value;

use super::tree::{names_in, root};

/// A file of `tests/data/config`: a configuration, and what is wrong with it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planted {
    /// The public report that it rebuilds.
    #[serde(default)]
    pub report: Option<String>,
    /// The lines of the file.
    #[serde(default)]
    config: Vec<String>,
    /// Its bytes, where it is no text.
    #[serde(default)]
    hex: Option<String>,
    pub faults: Vec<Expected>,
}

#[derive(Deserialize)]
pub struct Expected {
    pub line: u64,
    pub column: u64,
    pub words: String,
    pub remedy: String,
}

impl Planted {
    pub fn all() -> Vec<(String, Self)> {
        let directory = "tests/data/config";
        let names = names_in(directory);
        let read = |name: &String| {
            let text = fs::read_to_string(root().join(directory).join(name)).unwrap();
            let planted = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name.clone(), planted)
        };
        names.iter().map(read).collect()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let Some(hex) = &self.hex else {
            return self.config.join("\n").into_bytes();
        };
        let pairs = hex.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// The configuration as JSON; `None` where it is none.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.bytes()).ok()
    }
}
