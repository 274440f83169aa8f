//! How the toolkit is built, proven on its source: which module may know which, who alone may touch what, and that
//! everything is small enough to read at one sitting.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The arrows inside the library: a module, and the modules that it may name. `shared/src/lib.rs` draws the map.
const ARROWS: &[(&str, &str)] = &[
    ("api", "chat config failure http pace provider secret text"),
    (
        "authorize",
        "config credential date exit failure http oauth out provider secret",
    ),
    ("chat", "exit failure text"),
    (
        "config",
        "env exit failure file http jsonc lock paths provider secret text",
    ),
    (
        "credential",
        "exit failure file lock oauth paths secret signal text",
    ),
    ("date", ""),
    ("env", "exit failure file jsonc lock paths secret"),
    ("exec", "exit failure secret"),
    ("exit", ""),
    ("failure", "exit"),
    ("file", ""),
    ("generate", "exit failure out provider"),
    ("http", "exit failure text"),
    ("jsonc", ""),
    ("lib", ""),
    ("lock", "exit failure"),
    ("markdown", "text"),
    ("oauth", "exit failure http provider secret text"),
    ("out", "exit failure secret signal text"),
    ("pace", "config date exit failure file lock paths provider secret"),
    ("paths", "exit failure"),
    ("provider", ""),
    ("secret", "text"),
    ("sibling", ""),
    ("start", ""),
    ("signal", ""),
    ("text", ""),
    ("tool", "exit failure generate out signal start"),
];

/// What one module alone may name.
const ALONE: &[(&str, &str)] = &[
    ("reqwest", "http"),
    ("rustls", "http"),
    ("keyring_core", "credential"),
    ("oauth2", "oauth"),
    ("pulldown_cmark", "markdown"),
    ("indicatif", "out"),
    ("clap_complete", "generate"),
    ("dotenvy", "env"),
    ("stdio::stderr", "out"),
    ("io::stderr", "out"),
    ("/dev/tty", "out"),
    ("set_hook", "tool"),
    ("ExitCode", "tool"),
];

/// The most lines of a program's `main`, a function, a file, and a file of tests.
const MAIN: usize = 20;
const FUNCTION: usize = 40;
const FILE: usize = 300;
const TESTS: usize = 500;

/// A source file without its comments and its unit tests.
struct Source {
    path: PathBuf,
    /// The module of the library that it is of; a program's name, elsewhere.
    module: String,
    lines: Vec<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below a directory, by path.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// True for a file of unit tests beside the code.
fn is_unit_tests(path: &Path) -> bool {
    path.file_stem().unwrap().to_str().unwrap().ends_with("tests")
}

/// The sources below a directory that are not tests of the library.
fn sources(directory: &str) -> Vec<Source> {
    let top = root().join(directory);
    rust_files(&top)
        .into_iter()
        .filter(|path| !is_unit_tests(path))
        .map(|path| {
            let below = path.strip_prefix(&top).unwrap();
            let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
            let module = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let lines = text
                .lines()
                .take_while(|line| *line != "#[cfg(test)]")
                .map(|line| {
                    if line.trim_start().starts_with("//") {
                        ""
                    } else {
                        line
                    }
                })
                .map(str::to_owned)
                .collect();
            Source { path, module, lines }
        })
        .collect()
}

/// Names the functions that are too long in a file as rustfmt lays it out.
fn long_functions(lines: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((before, after)) = line.split_once("fn ") else {
            continue;
        };
        let is_item = before
            .split_whitespace()
            .all(|word| word.starts_with("pub(") || matches!(word, "pub" | "const" | "async"));
        // On one line, or without a body.
        if !is_item || line.ends_with(['}', ';']) {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = |line: &&str| match line.strip_prefix(indent) {
            Some(rest) => rest == "}" || rest.starts_with(')') && rest.ends_with(';'),
            None => false,
        };
        let name = after.split(['(', '<']).next().unwrap();
        let length = 1 + lines[at..].iter().position(ends).unwrap();
        let most = if line.starts_with("fn main(") {
            MAIN
        } else {
            FUNCTION
        };
        if length > most {
            found.push(format!("{}: {name} has {length} lines", at + 1));
        }
    }
    found
}

#[test]
fn a_module_names_only_those_that_it_may_know() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ARROWS
        .iter()
        .map(|(module, others)| (*module, others.split_whitespace().collect()))
        .collect();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources("shared/src") {
        let named = seen.entry(source.module.clone()).or_default();
        let text = source.lines.join("\n");
        for after in text.split("crate::").skip(1) {
            let names = match after.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
                Some((group, _)) => group.split(',').collect(),
                None => vec![after],
            };
            for name in names.into_iter().map(str::trim) {
                let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
                named.insert(name[..end.unwrap_or(name.len())].to_owned());
            }
        }
        named.remove("");
        named.remove(&source.module);
    }
    for (module, named) in &seen {
        let may = allowed
            .get(module.as_str())
            .unwrap_or_else(|| panic!("no arrows are drawn for '{module}'"));
        let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
        assert_eq!(&named, may, "what '{module}' names, and what it may");
    }
}

#[test]
fn no_arrow_leads_back_to_where_it_came_from() {
    let mut left: BTreeMap<&str, BTreeSet<&str>> = ARROWS
        .iter()
        .map(|(module, others)| (*module, others.split_whitespace().collect()))
        .collect();
    while !left.is_empty() {
        let ground: Vec<&str> = left
            .iter()
            .filter(|(_, others)| others.iter().all(|other| !left.contains_key(other)))
            .map(|(module, _)| *module)
            .collect();
        assert!(!ground.is_empty(), "these go in a circle: {left:?}");
        left.retain(|module, _| !ground.contains(module));
    }
}

#[test]
fn one_module_alone_names_what_is_its_own() {
    let all = sources("shared/src").into_iter().chain(sources("bins"));
    let mut wrong = Vec::new();
    for source in all {
        for (at, line) in source.lines.iter().enumerate() {
            // A program's `main` says that it returns one; `tool` makes it.
            let is_main = line == "fn main() -> std::process::ExitCode {";
            for (what, owner) in ALONE {
                if line.contains(what) && source.module != *owner && !is_main {
                    wrong.push(format!("{}:{}: {line}", source.path.display(), at + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_program_is_made_of_its_own_files_and_the_library() {
    for source in sources("bins") {
        for line in &source.lines {
            assert!(
                !line.contains("#[path") && !line.contains("include!("),
                "{}: {line}",
                source.path.display()
            );
        }
    }
}

#[test]
fn everything_is_small_enough_to_read_at_one_sitting() {
    let mut wrong = Vec::new();
    for (directory, most) in [("bins", FILE), ("shared", FILE), ("tests", TESTS)] {
        for path in rust_files(&root().join(directory)) {
            let text = fs::read_to_string(&path).unwrap();
            let shown = path.strip_prefix(root()).unwrap().display();
            let lines: Vec<&str> = text.lines().collect();
            if lines.len() > most {
                wrong.push(format!("{shown} has {} lines", lines.len()));
            }
            // A test may be one long table.
            let is_test = directory == "tests" || is_unit_tests(&path);
            let end = lines.iter().position(|line| is_test || *line == "mod tests {");
            let long = long_functions(&lines[..end.unwrap_or(lines.len())]);
            wrong.extend(long.iter().map(|function| format!("{shown}:{function}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
