//! All that is wrong with `config.json`, each fault with its place and remedy.

use serde_json::{Map, Value};

use super::document::{Places, blank, blank_range, place_of};
use super::fault::{Fault, Severity};
use super::json_fault::{Described, describe, pattern};
use super::known::{self, KnownMembers};
use super::lint;
use super::members::{Meant, names_in, unknown_members};
use crate::text::{make_visible, one_line};

/// How many values that cannot be read are looked for in one text: each costs another reading of the whole.
const MOST: std::ops::RangeInclusive<usize> = 100..=1000;

/// The most bytes that are read again for them, as far as [`MOST`] allows.
const MOST_READ: usize = 20 << 20;

/// Returns all that is wrong with a text, in its order.
#[must_use]
pub fn faults(text: &str) -> Vec<Fault> {
    let mut found = Found {
        lines: std::iter::once(0)
            .chain(text.match_indices('\n').map(|(end, _)| end + 1))
            .collect(),
        faults: Vec::new(),
    };
    let mut left = text.to_owned();
    found.tolerated(&mut left);
    if let Some(config) = found.values(&mut left) {
        let places = Places::of(&left);
        found.unknown(&left, &places);
        for lint in lint::lints(&config) {
            let named = places.name(&lint.path);
            let place = lint.value_at(&places).unwrap_or(named);
            found.add(place, lint.path, lint.words, lint.remedy, lint.severity);
        }
    }
    found.faults.sort_by_key(|fault| (fault.line, fault.column));
    found.faults
}

/// Returns words of a fault as they are shown: a member's name may hold any character.
fn shown(words: &str) -> String {
    let mut visible = String::with_capacity(words.len());
    make_visible(words, &mut visible);
    one_line(&visible)
}

struct Found {
    /// Where each line begins.
    lines: Vec<usize>,
    faults: Vec<Fault>,
}

impl Found {
    fn add(
        &mut self,
        at: usize,
        path: Vec<String>,
        words: String,
        remedy: Option<String>,
        severity: Severity,
    ) {
        let line = self.lines.partition_point(|start| *start <= at);
        let column = at - self.lines.get(line - 1).copied().unwrap_or_default() + 1;
        self.faults.push(Fault {
            line,
            column,
            path,
            words: shown(&words),
            remedy: remedy.as_deref().map(shown),
            severity,
        });
    }

    /// Finds comments, and commas that nothing follows, and goes on without them.
    fn tolerated(&mut self, left: &mut String) {
        for comment in comments(left) {
            let (words, remedy) = ("JSON has no comments".to_owned(), Some("remove it".to_owned()));
            self.add(comment.start, Vec::new(), words, remedy, Severity::Invalid);
            blank_range(left, comment);
        }
        for comma in trailing_commas(left) {
            let (words, remedy) = (
                "nothing follows a ','".to_owned(),
                Some("remove the ','".to_owned()),
            );
            self.add(comma, Vec::new(), words, remedy, Severity::Invalid);
            blank_range(left, comma..comma + 1);
        }
    }

    /// Finds what cannot be read, and goes on without it. `None` where nothing can be read.
    fn values(&mut self, left: &mut String) -> Option<KnownMembers> {
        if left.trim().is_empty() {
            return None;
        }
        let most = (MOST_READ / left.len()).clamp(*MOST.start(), *MOST.end());
        for _ in 0..most {
            let error = match known::read(left) {
                Ok(config) => return Some(config),
                Err(error) => error,
            };
            let Described {
                words,
                remedy,
                at,
                place,
            } = describe(left, &error);
            let place = place.filter(|place| !place.path.is_empty());
            let path = place.as_ref().map(|place| place.path.clone()).unwrap_or_default();
            self.add(at, path.clone(), words, remedy, Severity::Invalid);
            // A key has one member alone: without it what is left would be at fault too.
            let is_of_key = path.len() > 3 && path[2] == "key" && path[0] == "profiles";
            let whole = match is_of_key {
                true => place_of(left, &["profiles", &path[1], "key"]).map(|key| key.whole),
                false => place.map(|place| place.whole),
            };
            blank(left, whole?);
        }
        let words =
            format!("there may be more faults: these are the first {most} values that cannot be read");
        let last = self.lines.last().copied().unwrap_or_default();
        self.add(last, Vec::new(), words, None, Severity::Invalid);
        None
    }

    /// Finds the members that no program reads.
    fn unknown(&mut self, left: &str, places: &Places) {
        let members: Map<String, Value> = serde_json::from_str(left).unwrap_or_default();
        for member in unknown_members(&members) {
            let at = places.name(&member.path);
            let remedy = remedy_of(&member.path, &member.meant);
            let path = member.path.join(".");
            let (at, words, severity) = match member.meant {
                Meant::Object => (
                    places.value(&member.path).unwrap_or_default(),
                    "is not an object",
                    Severity::Invalid,
                ),
                _ => (at, "is not known", Severity::Member),
            };
            self.add(
                at,
                member.path,
                format!("'{path}' {words}"),
                Some(remedy),
                severity,
            );
        }
    }
}

/// Says what to do about a name that is not known.
pub(super) fn remedy_of(path: &[String], meant: &Meant) -> String {
    match meant {
        Meant::Name(name) => format!("did you mean '{name}'?"),
        Meant::InProfile(member) => format!("'{member}' is a member of a profile"),
        Meant::Key => match path {
            [_, name, ..] => {
                format!("no key is kept in this file: run 'qwen-login --profile {name} --with-key'")
            }
            _ => "no key is kept in this file: run 'qwen-login --with-key'".to_owned(),
        },
        Meant::Object => "write an object: {…}".to_owned(),
        Meant::Nested => {
            let names = path.last().map_or("", String::as_str).split('.');
            let nested: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
            format!("a dot leads into no object here; write {}", nested_form(&nested))
        }
        Meant::QwenCode => "it is a member of Qwen Code's settings.json".to_owned(),
        Meant::Nothing => {
            let around = pattern(path.split_last().map_or(&[][..], |(_, around)| around));
            let known: Vec<&str> = names_in(&around).filter(|name| !name.starts_with('$')).collect();
            let whose = match around.rsplit('.').next() {
                None | Some("") => "the file has".to_owned(),
                Some("*") => "a profile has".to_owned(),
                Some(object) => format!("'{object}' has"),
            };
            format!("{whose} {}", known.join(", "))
        }
    }
}

/// Writes objects in one another, the last member's value left out.
fn nested_form(names: &[String]) -> String {
    let (first, closed) = (names.join(": {"), "}".repeat(names.len().saturating_sub(1)));
    format!("{first}: …{closed}")
}

/// Returns where the value of a member begins.
pub(super) fn value_of(text: &str, path: &[&str]) -> usize {
    place_of(text, path).map_or(0, |place| place.own.start)
}

/// Returns the ranges of comments outside of texts.
fn comments(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        let line = || rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let length = match rest {
            [b'"', ..] => string_length(rest),
            [b'#', ..] | [b'/', b'/', ..] => {
                let length = line();
                found.push(at..at + length);
                length
            }
            [b'/', b'*', after @ ..] => {
                let end = after.windows(2).position(|two| two == b"*/");
                let length = end.map_or(rest.len(), |end| end + 4);
                found.push(at..at + length);
                length
            }
            _ => 1,
        };
        at += length.max(1);
    }
    found
}

/// Returns the offsets of commas that a bracket follows.
fn trailing_commas(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let (mut found, mut comma, mut at) = (Vec::new(), None, 0);
    while at < bytes.len() {
        match bytes[at] {
            b',' => comma = Some(at),
            b'}' | b']' => found.extend(comma.take()),
            byte if byte.is_ascii_whitespace() => {}
            _ => comma = None,
        }
        at += match bytes[at] {
            b'"' => string_length(&bytes[at..]),
            _ => 1,
        };
    }
    found
}

/// Returns the length of a text with its quotes, or up to the end of the line where it is not closed.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\n' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}
