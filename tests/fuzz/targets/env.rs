//! `.env` files, and what npm dotenv reads in them: its regular expression, run by an engine of JavaScript's.
#![no_main]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use qwen_shared::dotenv::{Scanner, decode};
use regress::Regex;

#[path = "../properties/env.rs"]
mod property;

/// The line of npm dotenv's `lib/main.js`, and how it takes quotes off.
const LINE: &str = r#"(?:^|^)\s*(?:export\s+)?([\w.-]+)(?:\s*=\s*?|:\s+?)(\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|\s*`(?:\\`|[^`])*`|[^#\r\n]+)?\s*(?:#.*)?(?:$|$)"#;
const QUOTES: &str = r#"^(['"`])([\s\S]*)\1$"#;

fn compiled(cell: &'static OnceLock<Regex>, pattern: &str) -> &'static Regex {
    cell.get_or_init(|| Regex::with_flags(pattern, "m").expect("a regular expression"))
}

fn npm(text: &str) -> BTreeMap<String, String> {
    static LINES: OnceLock<Regex> = OnceLock::new();
    static QUOTED: OnceLock<Regex> = OnceLock::new();
    let mut meaning = BTreeMap::new();
    for found in compiled(&LINES, LINE).find_iter(text) {
        let name = &text[found.group(1).expect("a name")];
        let raw = found.group(2).map_or("", |range| &text[range]);
        // JavaScript's trim() and \s are the same set.
        let trimmed = raw.trim_matches(qwen_shared::dotenv::is_space);
        let mut value = String::new();
        let mut at = 0;
        for quoted in compiled(&QUOTED, QUOTES).find_iter(trimmed) {
            value.push_str(&trimmed[at..quoted.start()]);
            value.push_str(&trimmed[quoted.group(2).expect("a text")]);
            at = quoted.end();
        }
        value.push_str(&trimmed[at..]);
        if trimmed.starts_with('"') {
            value = value.replace("\\n", "\n").replace("\\r", "\r");
        }
        // An assignment of a text to this name does nothing.
        if name != "__proto__" {
            meaning.insert(name.to_owned(), value);
        }
    }
    meaning
}

fuzz_target!(|data: &[u8]| {
    property::holds(data);
    let text = decode(data);
    let ours: BTreeMap<String, String> = Scanner::new(&text)
        .map(|assignment| (assignment.name.to_owned(), assignment.value))
        .collect();
    assert_eq!(ours, npm(&text));
});
