//! A manual page, read as a list of sections.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::peers::{command, present};

/// What a page shows to be typed or copied.
#[derive(Debug)]
pub struct Display {
    pub section: String,
    /// The heading of its subsection, or again of its section.
    pub heading: String,
    /// As it stands on the screen: the lines with the page's own indentation before them.
    pub copied: String,
}

impl Display {
    /// The lines without the page's indentation.
    pub fn text(&self) -> String {
        let lines = || self.copied.lines().filter(|line| !line.trim().is_empty());
        let indent = lines().map(|line| line.len() - line.trim_start().len()).min();
        let indent = indent.unwrap_or_default();
        let cut = |line: &str| format!("{}\n", line.get(indent..).unwrap_or_default());
        self.copied.lines().map(cut).collect()
    }
}

use super::tree::names_in;

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
        let names = names();
        names
            .iter()
            .map(|name| Self::read(&directory().join(name)))
            .collect()
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

    /// The headings of sections, with those of their subsections.
    pub fn headings(&self) -> Vec<(&str, Vec<&str>)> {
        let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in self.text.lines() {
            if let Some(section) = line.strip_prefix(".Sh ") {
                found.push((section.trim_matches('"'), Vec::new()));
            } else if let Some(subsection) = line.strip_prefix(".Ss ") {
                found.last_mut().unwrap().1.push(subsection.trim_matches('"'));
            }
        }
        found
    }

    /// The page without its displays.
    pub fn prose(&self) -> String {
        let mut is_shown = false;
        let kept = self.text.lines().filter(|line| {
            is_shown = (is_shown || line.starts_with(".Bd ")) && *line != ".Ed";
            !is_shown
        });
        kept.map(|line| format!("{line}\n")).collect()
    }

    /// What the page shows to be copied, read off the page as a terminal has it.
    pub fn displays(&self) -> Vec<Display> {
        let mut found = self.displays_by_renderer();
        found.swap_remove(0).1
    }

    /// The same by each program that renders pages and is here; by the source where none is.
    pub fn displays_by_renderer(&self) -> Vec<(&'static str, Vec<Display>)> {
        let (mut marked, mut places) = (String::new(), Vec::new());
        let (mut section, mut heading) = ("", "");
        for line in self.text.lines() {
            let is_begin = line.starts_with(".Bd ");
            if let Some(title) = line.strip_prefix(".Sh ") {
                section = title.trim_matches('"');
            }
            if let Some(title) = line.strip_prefix(".Sh ").or(line.strip_prefix(".Ss ")) {
                heading = title.trim_matches('"');
            }
            if is_begin {
                places.push((section, heading));
            }
            let before = if line == ".Ed" { "%END%\n" } else { "" };
            let after = if is_begin { "%BEGIN%\n" } else { "" };
            marked.push_str(&format!("{before}{line}\n{after}"));
        }
        let mut shown = rendered_text(&marked, 80);
        if shown.is_empty() {
            let source = marked.lines().map(|line| unescaped(line) + "\n").collect();
            shown.push(("source", source));
        }
        let cut = |(name, text): (_, String)| (name, between_marks(&text, &places));
        shown.into_iter().map(cut).collect()
    }

    /// The examples, as a terminal shows them: what stands in displays of the section EXAMPLES, of an introduction in any.
    pub fn examples(&self) -> Vec<String> {
        let is_example = |display: &Display| display.section == "EXAMPLES" || self.file == "qwen.7";
        let displays = self.displays().into_iter().filter(is_example);
        displays.map(|display| display.text()).collect()
    }
}

/// The displays of a page that was rendered with marks around them.
fn between_marks(shown: &str, places: &[(&str, &str)]) -> Vec<Display> {
    let mut found: Vec<Display> = Vec::new();
    let mut copied: Option<String> = None;
    for line in shown.lines() {
        match line.trim() {
            "%BEGIN%" => copied = Some(String::new()),
            "%END%" => {
                let (section, heading) = places[found.len()];
                found.push(Display {
                    section: section.to_owned(),
                    heading: heading.to_owned(),
                    copied: copied.take().unwrap(),
                });
            }
            _ => {
                if let Some(copied) = &mut copied {
                    copied.push_str(&format!("{line}\n"));
                }
            }
        }
    }
    assert_eq!(found.len(), places.len(), "{shown}");
    found
}

/// A page's text as a terminal of `columns` shows it, by each program that renders pages and is here.
pub fn rendered_text(text: &str, columns: usize) -> Vec<(&'static str, String)> {
    let file = tempfile::Builder::new().suffix(".7").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    rendered(file.path(), columns)
}

/// A page as a terminal of `columns` shows it, by each program that renders pages and is here.
pub fn rendered(file: &Path, columns: usize) -> Vec<(&'static str, String)> {
    let width = columns - 2;
    let forms = [
        ("mandoc", format!("-T utf8 -O width={width}")),
        ("groff", format!("-K utf8 -mdoc -T utf8 -P -cbou -rLL={width}n")),
    ];
    let mut found = Vec::new();
    for (name, arguments) in forms {
        let program = command(name);
        if !present(name, program.is_some()) {
            continue;
        }
        let mut render = Command::new(program.unwrap());
        render.args(arguments.split(' ')).arg(file);
        let output = render.current_dir(directory()).output().unwrap();
        assert!(output.status.success(), "{name} {}: {output:?}", file.display());
        let mut text = String::new();
        for c in String::from_utf8(output.stdout).unwrap().chars() {
            // A character, a backspace and the character again is how bold is printed.
            if c == '\u{8}' {
                text.pop();
            } else {
                text.push(c);
            }
        }
        found.push((name, text));
    }
    found
}

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

/// The files of the pages, whose names end in a section.
pub fn names() -> BTreeSet<String> {
    let is_page = |name: &String| name.ends_with(|c: char| c.is_ascii_digit());
    names_in("man").into_iter().filter(is_page).collect()
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
