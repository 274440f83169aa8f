//! The source tree, read as text: what a test proves a list against.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The programs that Cargo builds.
pub fn built() -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let names: BTreeSet<String> = manifest
        .split("[[bin]]")
        .skip(1)
        .filter_map(|section| section.split("name = \"").nth(1)?.split('"').next())
        .map(str::to_owned)
        .collect();
    assert!(names.contains("qwen"), "{names:?}");
    names
}

pub fn names_in(directory: &str) -> BTreeSet<String> {
    fs::read_dir(root().join(directory))
        .unwrap_or_else(|error| panic!("{directory}: {error}"))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The Rust files below a directory, without their unit tests.
pub fn sources(directory: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for name in names_in(directory) {
        let path = format!("{directory}/{name}");
        if name == "tests" {
            continue;
        }
        if root().join(&path).is_dir() {
            found.append(&mut sources(&path));
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            let text = read(&path);
            let code = text.split("#[cfg(test)]").next().unwrap();
            found.insert(path.into(), code.to_owned());
        }
    }
    found
}
