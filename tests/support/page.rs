//! A manual page, read as a list of sections.

use std::collections::BTreeSet;
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

    /// The flags that have an entry under OPTIONS, or under COMMANDS where a tool has some: `-C`, `--directory`.
    pub fn flags(&self) -> BTreeSet<String> {
        ["OPTIONS", "COMMANDS"]
            .iter()
            .flat_map(|section| self.section(section))
            .filter(|line| line.starts_with(".It "))
            .flat_map(flags_of_item)
            .collect()
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

/// `.It Fl C Ar DIR , Fl -directory Ar DIR` has `-C` and `--directory`; so has `.It Fl C , -directory`.
fn flags_of_item(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_flag = false;
    for word in line.split_whitespace().skip(1) {
        match word {
            "Fl" => is_flag = true,
            "," | "|" => {}
            "Ar" | "Cm" | "Ns" | "Op" | "Oo" | "Oc" | "Ev" | "Pq" => is_flag = false,
            word if is_flag => found.push(format!("-{word}")),
            _ => {}
        }
    }
    found
}

/// Undoes the escapes that a display needs: `\e` is a backslash, `\&` nothing, `\-` a dash.
fn unescaped(line: &str) -> String {
    line.replace("\\e", "\\")
        .replace("\\&", "")
        .replace("\\-", "-")
        .replace("\\(aq", "'")
}
