//! How the library is built, proven on its source: which room of the upper floor may know which, and what one room
//! alone may name.
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::tree;

/// The rooms of `shared/src/net`, and the rooms that each may name.
const ROOMS: &[(&str, &str)] = &[
    ("api", "chat config credential http oauth ratelimit"),
    ("chat", ""),
    ("config", "credential http oauth"),
    ("credential", "oauth"),
    ("http", ""),
    ("oauth", "chat http"),
    ("ratelimit", "config"),
];

/// What may be named in one place alone, and that place.
const ALONE: &[(&str, &str)] = &[
    ("reqwest::", "shared/src/net/http"),
    ("rustls::", "shared/src/net/http"),
    ("keyring_core::", "shared/src/net/credential"),
    ("pulldown_cmark::", "bins/qwen-chat/markdown"),
    ("indicatif::", "bins/qwen-batch"),
    ("dotenvy::", "bins/qwen-env/check.rs"),
    ("\"/dev/tty\"", "shared/src/terminal.rs"),
    ("set_hook(", "shared/src/app.rs"),
];

/// The code of every source file below a directory: without its unit tests and whole-line comments.
fn code(directory: &str) -> BTreeMap<PathBuf, String> {
    let mut sources = tree::sources(directory);
    for text in sources.values_mut() {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        *text = lines.collect::<Vec<_>>().join("\n");
    }
    sources
}

/// The rooms of the upper floor that a file names.
fn rooms_in(text: &str) -> BTreeSet<&str> {
    let mut named = BTreeSet::new();
    for after in text.split("net::").skip(1) {
        let names = match after.strip_prefix('{').and_then(|rest| rest.split_once("};")) {
            Some((group, _)) => group.split(',').collect(),
            None => vec![after],
        };
        named.extend(names.into_iter().filter_map(|name| {
            let name = name
                .trim()
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()?;
            ROOMS.iter().map(|(room, _)| *room).find(|room| *room == name)
        }));
    }
    named
}

#[test]
fn a_module_names_only_those_that_it_may_know() {
    for (room, others) in ROOMS {
        let may: BTreeSet<&str> = others.split_whitespace().chain([*room]).collect();
        let sources = code(&format!("shared/src/net/{room}"));
        assert!(!sources.is_empty(), "{room}");
        for (path, text) in sources {
            let named = rooms_in(&text);
            assert!(named.is_subset(&may), "{}: {named:?}", path.display());
        }
    }
}

#[test]
fn no_arrow_leads_back_to_where_it_came_from() {
    let mut left: BTreeMap<&str, Vec<&str>> = ROOMS
        .iter()
        .map(|(room, others)| (*room, others.split_whitespace().collect()))
        .collect();
    while !left.is_empty() {
        let ground: Vec<&str> = left
            .iter()
            .filter(|(_, others)| others.iter().all(|other| !left.contains_key(other)))
            .map(|(room, _)| *room)
            .collect();
        assert!(!ground.is_empty(), "these go in a circle: {left:?}");
        left.retain(|room, _| !ground.contains(room));
    }
}

#[test]
fn one_module_alone_names_what_is_its_own() {
    let all: BTreeMap<PathBuf, String> = code("shared/src").into_iter().chain(code("bins")).collect();
    for (what, place) in ALONE {
        let wrong: Vec<&Path> = all
            .iter()
            .filter(|(path, text)| text.contains(what) && !path.starts_with(place))
            .map(|(path, _)| path.as_path())
            .collect();
        assert!(wrong.is_empty(), "{what} is named in {wrong:?}");
    }
}

#[test]
fn a_program_is_made_of_its_own_files_and_the_library() {
    for (path, text) in code("bins") {
        let borrows = text.contains("#[path") || text.contains("include!(");
        assert!(!borrows, "{}", path.display());
    }
}
