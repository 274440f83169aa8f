//! `catalogue.json`, embedded in the programs. Its order is the order of menus.
//!
//! Most runs need one entry or none, and reading all of them is a fifth of the whole run of `qwen-token`: where each begins
//! is found by the compiler, and an entry is read when it is first asked for.

use std::sync::OnceLock;

use memchr::memmem;
use serde::Deserialize;

use super::Provider;

const TEXT: &str = include_str!("catalogue.json");
const COUNT: usize = entry_count(TEXT.as_bytes());
static ENTRIES: [Entry; COUNT] = entries(TEXT.as_bytes());
static PROVIDERS: [OnceLock<Option<Box<Provider>>>; COUNT] = [const { OnceLock::new() }; COUNT];

/// Where an entry stands, and in it the name, which is its first member; in bytes.
#[derive(Clone, Copy)]
struct Entry {
    start: u32,
    end: u32,
    name_start: u32,
    name_end: u32,
}

impl Entry {
    fn text(&self) -> &'static str {
        TEXT.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    fn name(&self) -> &'static str {
        TEXT.get(self.name_start as usize..self.name_end as usize)
            .unwrap_or_default()
    }
}

/// That each entry can be read is a unit test.
fn provider(number: usize) -> Option<&'static Provider> {
    let read = || serde_json::from_str(ENTRIES.get(number)?.text()).ok();
    PROVIDERS.get(number)?.get_or_init(read).as_deref()
}

/// Returns every provider, in the order of menus. `custom` is the last.
pub fn all() -> impl DoubleEndedIterator<Item = &'static Provider> + Clone {
    (0..COUNT).filter_map(provider)
}

/// Finds a provider by its name, whatever its case.
#[must_use]
pub fn named(name: &str) -> Option<&'static Provider> {
    let name = name.trim();
    let is_of_name = |entry: &Entry| entry.name().eq_ignore_ascii_case(name);
    provider(ENTRIES.iter().position(is_of_name)?)
}

/// Returns whether a variable holds the key of a provider, and is no other program's.
///
/// `qwen-env` asks at every start: the catalogue is searched once, and only entries in which the name stands are read, of them
/// these two members alone.
#[must_use]
pub fn is_key_variable(name: &str) -> bool {
    #[derive(Deserialize)]
    struct KeyVariable {
        key_variable: Option<String>,
        #[serde(default)]
        key_variable_shared: bool,
    }
    let quoted = format!("\"{name}\"");
    let mut places = memmem::find_iter(TEXT.as_bytes(), &quoted).peekable();
    let entries = ENTRIES
        .iter()
        .filter(|entry| std::iter::from_fn(|| places.next_if(|&at| at < entry.end as usize)).count() > 0);
    let known = entries.filter_map(|entry| serde_json::from_str::<KeyVariable>(entry.text()).ok());
    let mut of_name = known
        .filter(|known| known.key_variable.as_deref() == Some(name))
        .peekable();
    of_name.peek().is_some() && of_name.all(|known| !known.key_variable_shared)
}

/// Walks over a JSON text: the depth of objects and arrays after each byte, brackets in texts left out.
struct Depth {
    depth: u32,
    in_text: bool,
    is_escaped: bool,
}

impl Depth {
    const fn new() -> Self {
        Self {
            depth: 0,
            in_text: false,
            is_escaped: false,
        }
    }

    const fn pass(&mut self, byte: u8) {
        if self.in_text {
            if byte == b'"' && !self.is_escaped {
                self.in_text = false;
            }
            self.is_escaped = byte == b'\\' && !self.is_escaped;
            return;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
    }
}

/// Returns how many objects the array holds.
const fn entry_count(text: &[u8]) -> usize {
    let (mut walk, mut at, mut count) = (Depth::new(), 0, 0);
    while at < text.len() {
        let before = walk.depth;
        walk.pass(text[at]);
        if before == 1 && walk.depth == 2 {
            count += 1;
        }
        at += 1;
    }
    count
}

const fn entries<const N: usize>(text: &[u8]) -> [Entry; N] {
    let mut entries = [Entry {
        start: 0,
        end: 0,
        name_start: 0,
        name_end: 0,
    }; N];
    let (mut walk, mut at, mut filled, mut quotes) = (Depth::new(), 0, 0, 0);
    while at < text.len() {
        let (depth, was_in_text) = (walk.depth, walk.in_text);
        walk.pass(text[at]);
        if depth == 1 && walk.depth == 2 {
            entries[filled].start = at as u32;
            quotes = 0;
        }
        if walk.in_text != was_in_text {
            quotes += 1;
            match quotes {
                3 => entries[filled].name_start = at as u32 + 1,
                4 => entries[filled].name_end = at as u32,
                _ => {}
            }
        }
        if depth == 2 && walk.depth == 1 {
            entries[filled].end = at as u32 + 1;
            filled += 1;
        }
        at += 1;
    }
    entries
}
