//! JSON that people edit by hand: its values with their places, and changes that leave all else as it is written.

use jsonc_parser::ast::{self, Object};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, parse_to_ast};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::ops::Range;

use crate::fs::STRICT;

/// Where something stands in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The names, and for the elements of lists the numbers from 0, that lead there.
    pub(super) path: Vec<String>,
    /// True for the name of a member, false for a value.
    pub(super) is_name: bool,
    /// The name or the value.
    pub(super) own: Range<usize>,
    /// The whole member or element.
    pub(super) whole: Range<usize>,
}

/// Returns the value of a text that is valid JSON; `None` for one that is not.
fn tree(text: &str) -> Option<ast::Value<'_>> {
    parse_to_ast(text, &CollectOptions::default(), &STRICT)
        .ok()?
        .value
}

fn range(node: &impl Ranged) -> Range<usize> {
    node.start()..node.end()
}

/// Finds what ends, or is being read, at an offset of a valid JSON text.
pub(super) fn place_at(text: &str, offset: usize) -> Option<Place> {
    let tree = tree(text)?;
    let whole = range(&tree);
    let mut place = Place {
        path: Vec::new(),
        is_name: false,
        own: whole.clone(),
        whole,
    };
    let mut value = &tree;
    while offset < place.own.end {
        let below = match value {
            ast::Value::Object(object) => member_at(object, offset),
            ast::Value::Array(array) => {
                let elements = array.elements.iter().enumerate();
                let before = elements.take_while(|(_, element)| element.start() < offset);
                before
                    .last()
                    .map(|(index, element)| (index.to_string(), None, element, range(element)))
            }
            _ => None,
        };
        let Some((name, named, inner, whole)) = below else {
            break;
        };
        place.path.push(name);
        place.whole = whole;
        if let Some(named) = named {
            place.is_name = true;
            place.own = named;
            break;
        }
        place.own = range(inner);
        value = inner;
    }
    Some(place)
}

type Below<'a, 'b> = (String, Option<Range<usize>>, &'a ast::Value<'b>, Range<usize>);

fn member_at<'a, 'b>(object: &'a Object<'b>, offset: usize) -> Option<Below<'a, 'b>> {
    let before = object
        .properties
        .iter()
        .take_while(|member| member.start() < offset);
    let member = before.last()?;
    let name = range(&member.name);
    let named = (offset <= name.end).then_some(name);
    let text = member.name.as_str().to_owned();
    Some((text, named, &member.value, range(member)))
}

/// Finds a member, or an element of a list, of a valid JSON text. Of members that are there twice it is the last one.
pub(super) fn place_of(text: &str, path: &[&str]) -> Option<Place> {
    let tree = tree(text)?;
    let (mut value, mut whole) = (&tree, range(&tree));
    for part in path {
        (value, whole) = match value {
            ast::Value::Object(object) => {
                let mut members = object.properties.iter();
                let member = members.rfind(|member| member.name.as_str() == *part)?;
                (&member.value, range(member))
            }
            ast::Value::Array(array) => {
                let element = array.elements.get(part.parse::<usize>().ok()?)?;
                (element, range(element))
            }
            _ => return None,
        };
    }
    Some(Place {
        path: path.iter().map(ToString::to_string).collect(),
        is_name: false,
        own: range(value),
        whole,
    })
}

/// Returns the places of the members of an object, or the elements of a list.
pub(super) fn places_in(text: &str, path: &[&str]) -> Vec<Place> {
    let Some(around) = place_of(text, path) else {
        return Vec::new();
    };
    let from = around.own.start;
    let Some(value) = tree(&text[around.own]) else {
        return Vec::new();
    };
    let shifted = |range: Range<usize>| range.start + from..range.end + from;
    let place = |name: String, own: Range<usize>, whole: Range<usize>| Place {
        path: path.iter().map(ToString::to_string).chain([name]).collect(),
        is_name: false,
        own: shifted(own),
        whole: shifted(whole),
    };
    match &value {
        ast::Value::Object(object) => {
            let members = object.properties.iter();
            let places = members.map(|member| {
                place(
                    member.name.as_str().to_owned(),
                    range(&member.value),
                    range(member),
                )
            });
            places.collect()
        }
        ast::Value::Array(array) => {
            let elements = array.elements.iter().enumerate();
            let places =
                elements.map(|(index, element)| place(index.to_string(), range(element), range(element)));
            places.collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the place of a member's name.
pub(super) fn name_of(text: &str, path: &[&str]) -> Option<Range<usize>> {
    let (last, around) = path.split_last()?;
    let tree = tree(text)?;
    let mut value = &tree;
    for part in around {
        value = match value {
            ast::Value::Object(object) => &object.get(part)?.value,
            ast::Value::Array(array) => array.elements.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    let object = value.as_object()?;
    let mut members = object.properties.iter();
    let member = members.rfind(|member| member.name.as_str() == *last)?;
    Some(range(&member.name))
}

/// Every member and element of a valid JSON text by its path. It is read once: a file may have many faults.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<Vec<String>, (usize, usize)>);

impl Places {
    pub(super) fn of(text: &str) -> Self {
        let mut places = Self::default();
        if let Some(tree) = tree(text) {
            places.collect(&tree, &mut Vec::new());
        }
        places
    }

    /// Returns where the name of a member begins; 0 for what is not there.
    pub(super) fn name(&self, path: &[String]) -> usize {
        self.0.get(path).map_or(0, |(name, _)| *name)
    }

    /// Returns where the value of a member begins.
    pub(super) fn value(&self, path: &[String]) -> Option<usize> {
        self.0.get(path).map(|(_, value)| *value)
    }

    fn collect(&mut self, value: &ast::Value<'_>, path: &mut Vec<String>) {
        let members: Vec<(String, usize, &ast::Value<'_>)> = match value {
            ast::Value::Object(object) => {
                let members = object.properties.iter();
                let members = members.map(|member| {
                    (
                        member.name.as_str().to_owned(),
                        member.name.start(),
                        &member.value,
                    )
                });
                members.collect()
            }
            ast::Value::Array(array) => {
                let elements = array.elements.iter().enumerate();
                let elements = elements.map(|(index, element)| (index.to_string(), element.start(), element));
                elements.collect()
            }
            _ => return,
        };
        for (name, start, value) in members {
            path.push(name);
            self.0.insert(path.clone(), (start, value.start()));
            self.collect(value, path);
            path.pop();
        }
    }
}

/// Puts blanks in the place of a member or an element, with its comma. Every other byte keeps its place.
pub(super) fn blank(text: &mut String, whole: Range<usize>) {
    let after = &text[whole.end..];
    let comma = after.len() - after.trim_start().len();
    let is_followed = after.trim_start().starts_with(',');
    let before = text[..whole.start].trim_end();
    let range = match (is_followed, before.ends_with(',')) {
        (true, _) => whole.start..whole.end + comma + 1,
        (false, true) => before.len() - 1..whole.end,
        (false, false) => whole,
    };
    blank_range(text, range);
}

/// Puts blanks in the place of a range, but for line ends.
pub(super) fn blank_range(text: &mut String, range: Range<usize>) {
    let blanks: String = text[range.clone()]
        .bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
        .collect();
    text.replace_range(range, &blanks);
}

/// A JSON object as text, which changes member by member.
#[derive(Clone, Debug)]
pub(super) struct Document {
    text: String,
    /// What one level of indentation adds.
    unit: String,
    line_end: &'static str,
}

impl Document {
    /// Takes a text that is a valid JSON object.
    pub(super) fn new(text: String) -> Self {
        let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let unit = first_indentation(&text).unwrap_or_else(|| "  ".to_owned());
        Self { text, unit, line_end }
    }

    /// Returns the text as it is now.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the text.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Makes of the members that are written those of `to`: what is the same in both is not touched.
    pub(super) fn update(&mut self, to: &Map<String, Value>) {
        let from: Map<String, Value> = serde_json::from_str(&self.text).unwrap_or_default();
        self.update_below(&[], &from, to);
    }

    fn update_below(&mut self, path: &[&str], from: &Map<String, Value>, to: &Map<String, Value>) {
        let below = |name| [path, &[name]].concat();
        for name in from.keys().filter(|name| !to.contains_key(*name)) {
            self.remove(&below(name.as_str()));
        }
        for (name, value) in to {
            let path = below(name.as_str());
            match (from.get(name), value) {
                (Some(old), new) if old == new => {}
                (Some(Value::Object(old)), Value::Object(new)) if !old.is_empty() && !new.is_empty() => {
                    self.update_below(&path, old, new);
                }
                _ => self.set(&path, value),
            }
        }
    }

    /// Gives a member another name, in its place.
    pub(super) fn rename(&mut self, path: &[&str], name: &str) {
        if let Some(range) = name_of(&self.text, path) {
            self.text.replace_range(range, &Value::from(name).to_string());
        }
    }

    /// Replaces a value, or adds a member to an object that is there.
    fn set(&mut self, path: &[&str], value: &Value) {
        if let Some(place) = place_of(&self.text, path) {
            let at = self.line_indentation(place.whole.start);
            let is_inline = at.is_none();
            let new = self.written(value, at.as_deref().unwrap_or_default(), is_inline);
            self.text.replace_range(place.own, &new);
        } else if let Some((name, around)) = path.split_last() {
            self.add(around, name, value);
        }
    }

    fn add(&mut self, around: &[&str], name: &str, value: &Value) {
        let Some(place) = place_of(&self.text, around) else {
            return;
        };
        let last = tree_members(&self.text[place.own.clone()]).map(|(from, name, value)| Last {
            start: place.own.start + from,
            colon: place.own.start + name..place.own.start + value.start,
            end: place.own.start + value.end,
        });
        let quoted = Value::from(name).to_string();
        let Some(last) = last else {
            let outer = match around {
                [] => Some(String::new()),
                _ => self.line_indentation(place.whole.start),
            };
            let new = match outer {
                Some(outer) => {
                    let (end, inner) = (self.line_end, format!("{outer}{}", self.unit));
                    let value = self.written(value, &inner, false);
                    format!("{{{end}{inner}{quoted}: {value}{end}{outer}}}")
                }
                None => format!("{{{quoted}: {}}}", self.written(value, "", true)),
            };
            return self.text.replace_range(place.own, &new);
        };
        let colon = self.text[last.colon.clone()].to_owned();
        let new = match self.line_indentation(last.start) {
            Some(indentation) => {
                let value = self.written(value, &indentation, false);
                format!(",{}{indentation}{quoted}{colon}{value}", self.line_end)
            }
            None => {
                let value = self.written(value, "", true);
                let blank = if colon.trim_start() == ":" { "" } else { " " };
                format!(",{blank}{quoted}{colon}{value}")
            }
        };
        self.text.insert_str(last.end, &new);
    }

    /// Removes a member with its comma and the line that it leaves.
    fn remove(&mut self, path: &[&str]) {
        let Some((_, around)) = path.split_last() else {
            return;
        };
        let (Some(member), Some(object)) = (place_of(&self.text, path), place_of(&self.text, around)) else {
            return;
        };
        let start = name_of(&self.text, path).map_or(member.whole.start, |name| name.start);
        let after = &self.text[member.whole.end..];
        let rest = after.trim_start();
        let range = if let Some(next) = rest.strip_prefix(',') {
            start..self.text.len() - next.trim_start().len()
        } else {
            let before = self.text[..start].trim_end();
            match before.strip_suffix(',') {
                Some(before) => before.len()..member.whole.end,
                None => object.own.start + 1..object.own.end - 1,
            }
        };
        self.text.replace_range(range, "");
    }

    /// Returns the blanks before `at`, where nothing else is before it on its line.
    fn line_indentation(&self, at: usize) -> Option<String> {
        let line = self.text[..at].rsplit_once('\n').map(|(_, line)| line)?;
        line.trim().is_empty().then(|| line.to_owned())
    }

    /// Writes a value as it stands in a line with this indentation: objects over several lines, lists on one.
    fn written(&self, value: &Value, indentation: &str, is_inline: bool) -> String {
        match value {
            Value::Object(members) if members.is_empty() => "{}".to_owned(),
            Value::Object(members) => {
                let inner = format!("{indentation}{}", self.unit);
                let lines = members.iter().map(|(name, value)| {
                    let value = self.written(value, &inner, is_inline);
                    format!("{}: {value}", Value::from(name.as_str()))
                });
                let lines: Vec<String> = lines.collect();
                match is_inline {
                    true => format!("{{{}}}", lines.join(", ")),
                    false => {
                        let end = self.line_end;
                        let lines = lines.join(&format!(",{end}{inner}"));
                        format!("{{{end}{inner}{lines}{end}{indentation}}}")
                    }
                }
            }
            Value::Array(items) => {
                let items = items.iter().map(|item| self.written(item, indentation, true));
                format!("[{}]", items.collect::<Vec<_>>().join(", "))
            }
            other => other.to_string(),
        }
    }
}

/// The last member of an object.
struct Last {
    start: usize,
    /// What stands between name and value.
    colon: Range<usize>,
    end: usize,
}

/// Returns of the last member of an object where it begins, where its name ends, and its value; `None` without members.
fn tree_members(object: &str) -> Option<(usize, usize, Range<usize>)> {
    let tree = tree(object)?;
    let last = tree.as_object()?.properties.last()?;
    Some((last.start(), last.name.end(), range(&last.value)))
}

/// Returns the indentation of the first member that has a line of its own.
fn first_indentation(text: &str) -> Option<String> {
    let lines = text
        .lines()
        .skip(1)
        .filter(|line| line.trim_start().starts_with('"'));
    let indentation = lines.map(|line| &line[..line.len() - line.trim_start().len()]);
    indentation
        .filter(|blanks| !blanks.is_empty())
        .map(str::to_owned)
        .next()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Document, blank, place_at, place_of};

    fn updated(text: &str, to: &Value) -> String {
        let mut document = Document::new(text.to_owned());
        document.update(to.as_object().unwrap());
        document.into_text()
    }

    #[test]
    fn what_is_being_read_is_found() {
        for (text, offset, path, is_name, own) in [
            ("5", 1, "", false, "5"),
            (r#"{"a": 1}"#, 8, "", false, r#"{"a": 1}"#),
            (r#"{"a": 1}"#, 4, "a", true, r#""a""#),
            (r#"{"a": 1}"#, 7, "a", false, "1"),
            (
                r#"{"a": {"b": [1, {"c": true}]}, "d": 5}"#,
                26,
                "a b 1 c",
                false,
                "true",
            ),
            (
                r#"{"a": {"b": [1, {"c": true}]}, "d": 5}"#,
                27,
                "a b 1",
                false,
                r#"{"c": true}"#,
            ),
            (r#"{"a": {"b": [1, {"c": true}]}, "d": 5}"#, 37, "d", false, "5"),
            (r#"{"a": [], "b": {"c": 1 }}"#, 24, "b", false, r#"{"c": 1 }"#),
            (r#"{"a.b": {"c\u0064": 1}}"#, 21, "a.b cd", false, "1"),
        ] {
            let place = place_at(text, offset).unwrap();
            let found = (place.path.join(" "), place.is_name, &text[place.own]);
            assert_eq!(found, (path.to_owned(), is_name, own), "{text} {offset}");
        }
        assert_eq!(place_at("{", 1), None);
    }

    #[test]
    fn blanks_leave_json_and_every_other_place() {
        for (text, path, left) in [
            (r#"{"a": 1, "b": 2}"#, &["a"][..], r#"{        "b": 2}"#),
            (r#"{"a": 1, "b": 2}"#, &["b"], r#"{"a": 1        }"#),
            ("{\"a\":\n1}", &["a"], "{    \n }"),
            ("[1, 2]", &["1"], "[1   ]"),
        ] {
            let mut blanked = text.to_owned();
            blank(&mut blanked, place_of(text, path).unwrap().whole);
            assert_eq!(blanked, left);
        }
    }

    #[test]
    fn a_change_leaves_all_else_as_it_is_written() {
        let four = "{\n    \"z\": 1.0,\n    \"a\": { \"x\": [1,2] },\n\n    \"e\": {}\n}\n";
        for (text, to, left) in [
            ("{}", json!({"a": 1}), "{\n  \"a\": 1\n}"),
            (
                "{}",
                json!({"a": {"b": ["x", "y"], "c": {"d": 1}}}),
                "{\n  \"a\": {\n    \"b\": [\"x\", \"y\"],\n    \"c\": {\n      \"d\": 1\n    }\n  }\n}",
            ),
            (four, json!({"z": 1.0, "a": {"x": [1, 2]}, "e": {}}), four),
            (
                four,
                json!({"z": 1.0, "a": {"x": [1, 2], "y": {"k": 1}}, "e": {"n": true}}),
                "{\n    \"z\": 1.0,\n    \"a\": { \"x\": [1,2], \"y\": {\"k\": 1} },\n\n    \"e\": {\n        \"n\": true\n    }\n}\n",
            ),
            (
                four,
                json!({"z": 2, "a": {"x": [1, 2]}, "e": {}, "f": "g"}),
                "{\n    \"z\": 2,\n    \"a\": { \"x\": [1,2] },\n\n    \"e\": {},\n    \"f\": \"g\"\n}\n",
            ),
            (
                four,
                json!({"z": 1.0, "e": {}}),
                "{\n    \"z\": 1.0,\n    \"e\": {}\n}\n",
            ),
            (
                four,
                json!({"a": {"x": [1, 2]}, "e": {}}),
                "{\n    \"a\": { \"x\": [1,2] },\n\n    \"e\": {}\n}\n",
            ),
            (
                four,
                json!({"z": 1.0, "a": {"x": [1, 2]}}),
                "{\n    \"z\": 1.0,\n    \"a\": { \"x\": [1,2] }\n}\n",
            ),
            (four, json!({}), "{}\n"),
            (
                "{\"a\":1,\"b\":{\"c\":2}}",
                json!({"a": 1, "b": {"c": 2, "d": 3}}),
                "{\"a\":1,\"b\":{\"c\":2,\"d\":3}}",
            ),
            (
                "{\r\n\t\"a\": 1\r\n}\r\n",
                json!({"a": 1, "b": {"c": 2}}),
                "{\r\n\t\"a\": 1,\r\n\t\"b\": {\r\n\t\t\"c\": 2\r\n\t}\r\n}\r\n",
            ),
            ("{\"a\": {\"b\": 1}}", json!({"a": {}}), "{\"a\": {}}"),
            (
                "{\"a\": \"x,}\\\"\"}",
                json!({"a": "x,}\"", "b": null}),
                "{\"a\": \"x,}\\\"\", \"b\": null}",
            ),
        ] {
            let new = updated(text, &to);
            assert_eq!(new, left, "{text} {to}");
            assert_eq!(serde_json::from_str::<Value>(&new).unwrap(), to);
        }
    }

    #[test]
    fn a_member_is_renamed_in_its_place() {
        let mut document = Document::new("{\"a\": {\"b\" : 1, \"c\": 2}}".to_owned());
        document.rename(&["a", "b"], "x\"y");
        assert_eq!(document.into_text(), "{\"a\": {\"x\\\"y\" : 1, \"c\": 2}}");
    }

    /// Any value can become any other one.
    #[test]
    fn every_change_arrives() {
        let values = [
            json!({}),
            json!({"a": {}}),
            json!({"a": {"b": {"c": [1, {"d": {}}]}}, "e": null}),
            json!({"e": {"b": {"c": 1}}, "a": [], "x": "y"}),
            json!({"x": {"y": {"z": {}}}}),
        ];
        for from in &values {
            for to in &values {
                for text in [from.to_string(), serde_json::to_string_pretty(from).unwrap()] {
                    let new = updated(&text, to);
                    assert_eq!(
                        serde_json::from_str::<Value>(&new).unwrap(),
                        *to,
                        "{text} -> {new}"
                    );
                }
            }
        }
    }
}
