//! A manual page, read as a list of sections.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A page in mdoc.
#[derive(Debug)]
pub struct Page {
    /// The file's name: `qwen-env.5`.
    pub file: String,
    pub text: String,
}

impl Page {
    /// Every page of the tree, by name.
    pub fn all() -> Vec<Self> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(directory())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// The page of a tool.
    pub fn of(tool: &str) -> Self {
        Self::read(&directory().join(format!("{tool}.1")))
    }

    fn read(path: &Path) -> Self {
        Self {
            file: path.file_name().unwrap().to_str().unwrap().to_owned(),
            text: std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        }
    }

    /// The lines of the section of that name; none when there is no such section.
    pub fn section(&self, name: &str) -> Vec<&str> {
        self.text
            .lines()
            .skip_while(|line| *line != format!(".Sh {name}"))
            .skip(1)
            .take_while(|line| !line.starts_with(".Sh "))
            .collect()
    }

    /// What follows `.Nd`: the page in one line.
    pub fn about(&self) -> &str {
        let line = self
            .section("NAME")
            .into_iter()
            .find(|line| line.starts_with(".Nd "));
        line.unwrap_or_else(|| panic!("{}: no NAME", self.file))
            .trim_start_matches(".Nd ")
    }

    /// The entries under OPTIONS, by their heads as `--help` writes them: `-C, --directory DIR`.
    pub fn options(&self) -> BTreeMap<String, String> {
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        let mut head = String::new();
        for line in self.section("OPTIONS") {
            if let Some(item) = line.strip_prefix(".It ").filter(|item| item.starts_with("Fl ")) {
                head = head_of_item(item);
            }
            if !head.is_empty() {
                let entry = found.entry(head.clone()).or_default();
                entry.push_str(line);
                entry.push('\n');
            }
        }
        found
    }

    /// The words that follow the macro `name` in these lines: those of `.Op Fl o Ar OUT` after `Fl` are `o`.
    pub fn words<'a>(lines: &[&'a str], name: &str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        for line in lines.iter().filter(|line| line.starts_with('.')) {
            let words: Vec<&str> = line[1..].split(' ').collect();
            found.extend(
                words
                    .windows(2)
                    .filter(|pair| pair[0] == name)
                    .map(|pair| pair[1]),
            );
        }
        found
    }

    /// The heads of a section's list entries: `.It Ev A , Ev B` has two.
    pub fn items(&self, section: &str) -> Vec<&str> {
        self.section(section)
            .into_iter()
            .filter_map(|line| line.strip_prefix(".It "))
            .map(|rest| rest.split(" No ").next().unwrap())
            .flat_map(|rest| rest.split(" , "))
            .map(|item| item.trim_start_matches("Ev ").trim_start_matches("Li "))
            .collect()
    }

    /// The examples: what stands in displays of the section EXAMPLES, of an introduction in any, one per display.
    pub fn examples(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut is_open = false;
        let lines = if self.file == "qwen.7" {
            self.text.lines().collect()
        } else {
            self.section("EXAMPLES")
        };
        for line in lines {
            if line.starts_with(".Bd ") {
                is_open = true;
                found.push(String::new());
            } else if line == ".Ed" {
                is_open = false;
            } else if let Some(command) = line.strip_prefix(".Dl ") {
                found.push(format!("{}\n", unescaped(command)));
            } else if is_open {
                let text = found.last_mut().unwrap();
                text.push_str(&unescaped(line));
                text.push('\n');
            }
        }
        found
    }
}

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

/// `Fl C Ar DIR , Fl -directory Ar DIR` is `-C, --directory DIR`; `Fl h , -help` is `-h, --help`.
fn head_of_item(item: &str) -> String {
    let mut flags = Vec::new();
    let mut value = String::new();
    for form in item.split(" , ") {
        let mut words = form
            .split(' ')
            .filter(|word| !["Fl", "Op", "Ar", "Ns"].contains(word));
        flags.push(format!("-{}", words.next().unwrap()));
        value = words.collect();
    }
    format!("{} {value}", flags.join(", ")).trim().to_owned()
}

/// Undoes the escapes that a display needs: `\e` is a backslash, `\&` nothing, `\-` a dash.
fn unescaped(line: &str) -> String {
    line.replace("\\e", "\\")
        .replace("\\&", "")
        .replace("\\-", "-")
        .replace("\\(aq", "'")
}
