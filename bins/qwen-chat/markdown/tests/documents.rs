//! Texts to draw: the examples of the standards, what people write for readers, and what models write.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The platform that this is built on, by its triple.
fn host() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("-vV").output().unwrap();
    let lines = String::from_utf8(version.stdout).unwrap();
    lines
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap()
        .to_owned()
}

/// The directories of the crates that this program is built of. Those of other platforms were perhaps never fetched.
fn crates() -> Vec<PathBuf> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--filter-platform"])
        .arg(host())
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(
        cargo.status.success(),
        "{}",
        String::from_utf8_lossy(&cargo.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let manifests = packages.map(|package| PathBuf::from(package["manifest_path"].as_str().unwrap()));
    manifests
        .map(|manifest| manifest.parent().unwrap().to_owned())
        .collect()
}

/// The examples of CommonMark's specification and of GFM's tables, as pulldown-cmark's own tests hold them.
pub(super) fn standards() -> Vec<String> {
    let is_parser = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("pulldown-cmark-")
    };
    let suite = crates().into_iter().find(is_parser).unwrap().join("tests/suite");
    let mut examples = Vec::new();
    for name in [
        "spec",
        "table",
        "gfm_table",
        "gfm_strikethrough",
        "gfm_tasklist",
        "math",
        "regression",
    ] {
        let file = fs::read_to_string(suite.join(name).with_extension("rs")).unwrap();
        for part in file.split("let original = r").skip(1) {
            let hashes = part.split('"').next().unwrap();
            let text = &part[hashes.len() + 1..];
            let end = text.find(&format!("\"{hashes}")).unwrap();
            examples.push(text[..end].to_owned());
        }
    }
    assert!(examples.len() > 800, "{}", examples.len());
    examples
}

/// Every README of those crates.
pub(super) fn readmes() -> Vec<String> {
    let files = crates().into_iter().flat_map(|directory| {
        fs::read_dir(directory)
            .into_iter()
            .flatten()
            .flatten()
            .map(|file| file.path())
    });
    let is_readme = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().to_lowercase();
        name.starts_with("readme") && name.ends_with(".md")
    };
    let mut paths: Vec<PathBuf> = files.filter(is_readme).collect();
    paths.sort();
    let texts: Vec<String> = paths
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    assert!(texts.len() > 100, "{}", texts.len());
    texts
}

/// What was reported to public trackers, rebuilt: name, text, and how it looks on 60 columns.
pub(super) fn reports() -> Vec<(String, String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/markdown");
    let names = fs::read_to_string(directory.join("reports.tsv")).unwrap();
    let names = names.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &str| {
        let name = line.split('\t').next().unwrap();
        let file = |extension| fs::read_to_string(directory.join(name).with_extension(extension)).unwrap();
        (name.to_owned(), file("md"), file("txt"))
    };
    names.map(read).collect()
}

/// A document in the manner of a language model; the same for the same seed.
pub(super) fn model(seed: u64) -> String {
    let mut writer = Writer {
        state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        text: String::new(),
    };
    for _ in 0..2 + writer.below(9) {
        writer.block("", 0);
    }
    writer.text
}

/// Marks and words in no order, a few of them again and again; the same for the same seed.
pub(super) fn noise(seed: u64) -> String {
    let mut writer = Writer {
        state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        text: String::new(),
    };
    let often: Vec<&str> = (0..=writer.below(8)).map(|_| writer.pick(&PIECES)).collect();
    for _ in 0..writer.below(400) {
        let piece = if writer.below(5) > 0 {
            writer.pick(&often)
        } else {
            writer.pick(&PIECES)
        };
        writer.text.push_str(piece);
    }
    writer.text
}

struct Writer {
    state: u64,
    text: String,
}

const PIECES: [&str; 52] = [
    "\0",
    "&#0;",
    "a",
    "word ",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "*",
    "**",
    "_",
    "__",
    "`",
    "``",
    "```",
    "~~",
    "[",
    "](",
    ")",
    "![",
    "]",
    "<",
    ">",
    "<b>",
    "<br>",
    "<div>\n",
    "<!--",
    "-->",
    "&amp;",
    "&nbsp;",
    "\\",
    "$",
    "$$",
    "|",
    "|-|-|\n",
    "| a | b |\n",
    "- ",
    "+ ",
    "1. ",
    "# ",
    "> ",
    "    ",
    "\t",
    "---\n",
    "===\n",
    "```rust\n",
    "let x = 1;\n",
    "some words in a row ",
    "https://example.org/an/address/that/goes/on/and/on",
    "é",
    "\u{200b}\u{301}",
    "\u{1b}[",
];

const WORDS: [&str; 40] = [
    "the",
    "answer",
    "is",
    "that",
    "a",
    "function",
    "returns",
    "values",
    "when",
    "called",
    "with",
    "two",
    "lists",
    "of",
    "numbers",
    "however",
    "you",
    "should",
    "note",
    "large",
    "configuration",
    "e.g.",
    "HTTP/1.1",
    "don't",
    "–",
    "naïve",
    "Straße",
    "数据库",
    "連接、",
    "です。",
    "🎉",
    "👩‍🔬",
    "10%",
    "$5",
    "v2.0.1",
    "snake_case_name",
    "C:\\dir",
    "https://example.org/a_b?c=d&e=f",
    "x < y",
    "AT&T",
];

const SPANS: [&str; 14] = [
    "**%**",
    "*%*",
    "`%`",
    "***%***",
    "~~%~~",
    "[%](https://example.org/%)",
    "__%__",
    "`` a`% ``",
    "**`%`**",
    "\\(%\\)",
    "$%$",
    "<kbd>%</kbd>",
    "**% (*%*)**",
    "![%](img/%.png \"%\")",
];

const ODD: [&str; 12] = [
    "*args",
    "**kwargs",
    "2 * 3 * 4",
    "`unclosed",
    "**unclosed",
    "[not a link]",
    "a_b_c",
    "&nbsp;",
    "1)",
    "#hash",
    "_",
    "| pipe",
];

impl Writer {
    /// A number from xorshift.
    fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 33) % limit
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    fn phrase(&mut self, most: u64) -> String {
        let words: Vec<&str> = (0..=self.below(most)).map(|_| self.pick(&WORDS)).collect();
        words.join(" ")
    }

    fn sentence(&mut self, most: u64) -> String {
        let mut words = Vec::new();
        for _ in 0..=self.below(most) {
            words.push(match self.below(12) {
                0..=2 => {
                    let inner = self.phrase(4);
                    self.pick(&SPANS).replace('%', &inner)
                }
                3 => self.pick(&ODD).to_owned(),
                _ => self.phrase(3),
            });
        }
        words.join(" ")
    }

    fn line(&mut self, prefix: &str, text: &str) {
        self.text.push_str(prefix);
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn block(&mut self, prefix: &str, depth: u64) {
        match self.below(14) {
            0 => {
                let level = usize::try_from(1 + self.below(4)).unwrap();
                let text = format!("{} {}", "#".repeat(level), self.sentence(2));
                self.line(prefix, &text);
            }
            1..=3 => self.paragraph(prefix),
            4 | 5 => self.code(prefix),
            6..=8 if depth < 3 => self.list(prefix, depth),
            9 | 10 => self.table(prefix),
            11 if depth < 2 => {
                let quoted = format!("{prefix}> ");
                self.block(&quoted, depth + 1);
            }
            12 => {
                let odd = self.pick(&[
                    "---",
                    "<details>\n<summary>More</summary>",
                    "Setext\n---",
                    "***",
                    "<br>",
                    "- ",
                    "    indented code",
                ]);
                odd.split('\n').for_each(|line| self.line(prefix, line));
            }
            _ => self.paragraph(prefix),
        }
        if self.below(5) > 0 {
            self.line(prefix.trim_end(), "");
        }
    }

    fn paragraph(&mut self, prefix: &str) {
        for _ in 0..=self.below(3) {
            let most = if self.below(8) == 0 { 120 } else { 12 };
            let text = self.sentence(most);
            self.line(prefix, &text);
        }
    }

    fn code(&mut self, prefix: &str) {
        let label = self.pick(&["", "rust", "python", "sh", "json", "no-such", "js"]);
        self.line(prefix, &format!("```{label}"));
        for _ in 0..self.below(12) {
            let line = self.pick(&[
                "fn main() { println!(\"{}\", 1); }",
                "\tif x < 3: # comment **not bold**",
                "",
                "for i in *; do echo \"$i\"; done",
                "{\"key\": [1, 2, \"v\"]}",
                "    indented(\"string with ``` inside\")",
                "/* open",
                "*/ x = `y` | z;",
            ]);
            self.line(prefix, line);
        }
        if self.below(9) > 0 {
            self.line(prefix, "```");
        }
    }

    fn list(&mut self, prefix: &str, depth: u64) {
        let ordered = self.below(2) == 0;
        for number in 1..=1 + self.below(5) {
            let marker = if ordered {
                format!("{number}. ")
            } else {
                self.pick(&["- ", "* ", "-   "]).to_owned()
            };
            let text = self.sentence(8);
            self.line(prefix, &format!("{marker}{text}"));
            if self.below(4) == 0 {
                let inner = format!("{prefix}{}", " ".repeat(marker.len()));
                if self.below(2) == 0 {
                    self.line(prefix.trim_end(), "");
                }
                self.block(&inner, depth + 1);
            }
        }
    }

    fn table(&mut self, prefix: &str) {
        let columns = 1 + self.below(5);
        let row = |writer: &mut Self, most: u64| -> String {
            let cells: Vec<String> = (0..columns)
                .map(|_| writer.sentence(most).replace('|', "\\|"))
                .collect();
            format!("| {} |", cells.join(" | "))
        };
        let head = row(self, 1);
        self.line(prefix, &head);
        let rule: Vec<&str> = (0..columns)
            .map(|_| self.pick(&["---", ":--", "--:", ":-:"]))
            .collect();
        self.line(prefix, &format!("|{}|", rule.join("|")));
        let count = if self.below(6) == 0 { 40 } else { 6 };
        for _ in 0..self.below(count) {
            let text = row(self, 3);
            self.line(prefix, &text);
        }
    }
}
