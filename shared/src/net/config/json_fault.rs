//! What is wrong with a JSON file, where, and with which member, in words.

use super::document::{Place, blank, place_at, places_in};
use super::known;
use super::members::{Kind, member_at, nearest};

/// What is wrong. No value is quoted: it may be a misplaced key.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) words: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
    /// The offset of what is wrong, in bytes.
    pub(super) at: usize,
    /// What was being read, in a text that is JSON.
    pub(super) place: Option<Place>,
}

/// Says what is wrong with `text`, by the error with which it was read.
pub(super) fn describe(text: &str, error: &serde_json::Error) -> Described {
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or(&said);
    let end = offset(text, error);
    // A text that JSON cannot hold is no value of a wrong kind, though it ends like one.
    let place = place_at(text, end).filter(|_| !said.starts_with("control character"));
    if let Some(place) = place {
        let place = culprit(text, error, place);
        return Described {
            words: of_data(said, &place),
            remedy: Some(remedy(text, said, &place)),
            at: place.own.start,
            place: Some(place),
        };
    }
    let mut at = match error.is_eof() {
        true => text.trim_end().len(),
        false => end.saturating_sub(1),
    };
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let rest = text.get(at..).unwrap_or_default();
    let (words, remedy) = of_syntax(said, rest);
    Described {
        words: words.to_owned(),
        remedy: Some(remedy.to_owned()),
        at,
        place: None,
    }
}

/// Returns how many bytes had been read.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let before = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let offset = before.map(str::len).sum::<usize>() + error.column();
    offset.min(text.len())
}

/// Finds the value that an error is about. One that is found when a value has been read is said at the end of the object
/// around it: it is about the member without which it is not said.
fn culprit(text: &str, error: &serde_json::Error, place: Place) -> Place {
    let said = error.to_string();
    let kinds = ["invalid ", "unknown ", "duplicate ", "expected "];
    if place.is_name || kinds.iter().any(|kind| said.starts_with(kind)) {
        return place;
    }
    let is_without = |inner: &Place| {
        let mut left = text.to_owned();
        blank(&mut left, inner.whole.clone());
        known::read(&left)
            .err()
            .is_none_or(|other| other.to_string() != said)
    };
    let path: Vec<&str> = place.path.iter().map(String::as_str).collect();
    let mut guilty = places_in(text, &path).into_iter().filter(is_without);
    match (guilty.next(), guilty.next()) {
        (Some(only), None) => culprit(text, error, only),
        // None of them, or all together.
        _ => place,
    }
}

/// Returns the path of a member with `*` in the place of a profile's name.
pub(super) fn pattern(path: &[String]) -> String {
    let is_profile = path.first().is_some_and(|first| first == "profiles");
    let names = path.iter().enumerate().map(|(at, name)| match at {
        1 if is_profile => "*",
        _ => name.as_str(),
    });
    names.collect::<Vec<_>>().join(".")
}

/// Words for what serde says of a value.
fn of_data(said: &str, place: &Place) -> String {
    let around = |name: &str| match place.path.split_last() {
        Some((_, around)) if !around.is_empty() => format!("{}.{name}", around.join(".")),
        _ => name.to_owned(),
    };
    if let Some(name) = quoted(said, "duplicate field ") {
        return format!("'{}' is there twice", around(name));
    }
    if let Some(name) = quoted(said, "unknown field ") {
        let known = said.split_once(", expected ").map_or("", |(_, known)| known);
        let known = known.trim_start_matches("one of ").replace('`', "'");
        return format!("'{}' is not known; there are {known}", around(name));
    }
    let said = said.replace('`', "'");
    let subject = match place.path.join(".") {
        path if path.is_empty() => "the file".to_owned(),
        path => format!("'{path}'"),
    };
    match of_kind(&said, place) {
        Some(words) => format!("{subject} is {words}"),
        None if place.is_name => said,
        None => format!("{subject}: {said}"),
    }
}

/// Words for a value that is not of its kind; `None` for one that is, and is refused for another reason.
fn of_kind(said: &str, place: &Place) -> Option<String> {
    if let Some(expected) = said.strip_prefix("unknown variant ") {
        let expected = expected.rsplit_once(", expected ").map_or("", |(_, words)| words);
        return Some(match expected.strip_prefix("one of ") {
            Some(words) => format!("none of {words}"),
            None => format!("not {expected}"),
        });
    }
    if let (Some((found, expected)), true) = (said.rsplit_once(", expected "), said.starts_with("invalid ")) {
        return Some(format!("not {}", kind(expected, found)));
    }
    // A number, say, in the place of one of a few words.
    let is_other = said.starts_with("expected ");
    is_other.then(
        || match member_at(&pattern(&place.path)).map(|member| member.kind) {
            Some(Kind::Word(words)) => format!("none of '{}'", words.join("', '")),
            _ => "not of its kind".to_owned(),
        },
    )
}

/// Says how a value is written that serde has refused.
fn remedy(text: &str, said: &str, place: &Place) -> String {
    if said.starts_with("duplicate field ") {
        return "remove one of the two".to_owned();
    }
    if said.starts_with("\"parameters\" must not hold ") {
        return "remove it: it has a member of its own, or is the tools' own affair".to_owned();
    }
    if said.starts_with("unknown field ") {
        return "remove it, or name one of those".to_owned();
    }
    if place.is_name {
        return "begin with a letter or digit, then letters, digits, '.', '-' and '_'".to_owned();
    }
    let value = text.get(place.own.clone()).unwrap_or_default();
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let kind = member_at(&pattern(&place.path)).map(|member| member.kind);
    match kind {
        _ if value == "null" && !place.path.is_empty() => "leave it out".to_owned(),
        Some(Kind::Seconds) if said.starts_with("\"ttl\" of ") => "leave it out".to_owned(),
        Some(Kind::Count) if inner.is_some_and(|inner| inner.parse::<u32>().is_ok()) => {
            "leave the quotes out".to_owned()
        }
        Some(Kind::Word(words)) => {
            let near = inner.and_then(|inner| nearest(inner, words.iter().copied()));
            near.map_or_else(
                || format!("write \"{}\"", words.join("\" or \"")),
                |near| format!("did you mean '{near}'?"),
            )
        }
        Some(Kind::Object) if place.path.last().is_some_and(|name| name == "key") => {
            "write {\"store\": \"keyring\"}, {\"env\": \"NAME\"} or {\"command\": [\"pass\", \"show\", \"NAME\"]}".to_owned()
        }
        None if place.path.is_empty() => "write one object: {…}".to_owned(),
        kind => form_of(kind).to_owned(),
    }
}

/// Says how a value of a kind is written.
const fn form_of(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Bool) => "write true or false, without quotes",
        Some(Kind::Count) => "write a number from 1 on, or leave it out for no limit",
        Some(Kind::Seconds) => "write a number of seconds above 0, such as 120",
        Some(Kind::Url) => "write it from 'https://' on, without user name and password",
        Some(Kind::Command) => "write a list, the program first: [\"pass\", \"show\", \"NAME\"]",
        Some(Kind::List) => "write a list of texts: [\"NAME\"]",
        Some(Kind::Variable) => "write the variable's name, such as \"TEAM_KEY\"",
        Some(Kind::Texts) => "write an object of texts: {\"NAME\": \"VALUE\"}",
        Some(Kind::Values) => "write an object: {\"temperature\": 0}",
        Some(Kind::Object) => "write an object: {…}",
        Some(Kind::Text | Kind::Provider | Kind::Profile | Kind::Word(_)) | None => {
            "write one text in double quotes"
        }
    }
}

/// Returns what follows `prefix`, up to the closing backtick.
fn quoted<'a>(said: &'a str, prefix: &str) -> Option<&'a str> {
    said.strip_prefix(prefix)?.strip_prefix('`')?.split('`').next()
}

/// Names the kind of value that was expected.
fn kind(expected: &str, found: &str) -> String {
    let is_number = ["integer", "floating point"]
        .iter()
        .any(|kind| found.contains(kind));
    match expected {
        "u32" if is_number => format!("a whole number from 1 to {}", u32::MAX),
        "u32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a map" => "an object".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a string" | "string" => "a text".to_owned(),
        words => words.replace('`', "'"),
    }
}

/// What serde says of a text that is no JSON, in our words and with what to do.
const SYNTAX: [(&str, &str, &str); 15] = [
    (
        "expected `:`",
        "a ':' is missing",
        "put one between the name and its value",
    ),
    (
        "expected `,` or `]`",
        "a ',' or ']' is missing",
        "put it before this place",
    ),
    (
        "expected `,` or `}`",
        "a ',' or '}' is missing",
        "put it before this place",
    ),
    (
        "key must be a string",
        "the name of a member must be a text in double quotes",
        "put '\"' on both sides of it",
    ),
    ("trailing comma", "nothing follows a ','", "remove the ','"),
    (
        "trailing characters",
        "something follows the end of the object",
        "remove it, or the bracket before it",
    ),
    ("recursion limit", "it is nested too deep", "use fewer levels"),
    (
        "invalid escape",
        "a text holds a backslash that is not part of an escape",
        "write every backslash twice",
    ),
    (
        "number out of range",
        "a number is too large",
        "write a smaller one",
    ),
    (
        "invalid number",
        "a number is not written as JSON writes it",
        "write it without a leading zero, and with a digit before and after the point",
    ),
    (
        "EOF while parsing a string",
        "the file ends in the middle of a text",
        "close it by '\"'",
    ),
    (
        "EOF while",
        "the file ends in the middle",
        "close what is open by '}' or ']'",
    ),
    (
        "control character",
        "a text holds a line end, a tab or another control character",
        "close the text by '\"', or write \\n or \\t",
    ),
    (
        "unexpected end of hex",
        "a text holds a '\\u' that is not complete",
        "write four hexadecimal digits behind it",
    ),
    (
        "lone leading surrogate",
        "a text holds half a character",
        "write both halves, or the character itself",
    ),
];

/// Words for what serde says of a text that is no JSON, and what to do; `rest` begins where it could not go on.
fn of_syntax(said: &str, rest: &str) -> (&'static str, &'static str) {
    let known = || {
        let mut all = SYNTAX.iter();
        let (_, words, remedy) = all.find(|(theirs, ..)| said.starts_with(theirs))?;
        Some((*words, *remedy))
    };
    let is_in_text = ["invalid escape", "control", "EOF while", "unexpected end", "lone"];
    let is_in_text = is_in_text.iter().any(|start| said.starts_with(start));
    let foreign = of_other_language(rest).filter(|_| !is_in_text);
    foreign.or_else(known).unwrap_or((
        "this is not JSON",
        "write a text in double quotes, a number, true, false, a list or an object",
    ))
}

/// What other languages, and word processors, have in a place where JSON has a value, a name or a sign.
const SIGNS: [(&[char], &str, &str); 10] = [
    (&['/', '#'], "JSON has no comments", "remove it"),
    (
        &['\'', '`'],
        "a text stands in double quotes",
        "write '\"' in the place of the single quotes",
    ),
    (
        &[
            '\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}', '\u{2018}', '\u{2019}', '\u{201a}', '\u{ab}',
            '\u{bb}', '\u{ff02}',
        ],
        "this is a typographic quote",
        "write '\"' in its place",
    ),
    (
        &[
            '\u{a0}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2028}', '\u{2029}', '\u{3000}', '\u{feff}',
        ],
        "this is a blank that JSON does not know",
        "write an ordinary one in its place",
    ),
    (
        &['\u{ff0c}', '\u{ff1a}'],
        "this is a full-width sign",
        "write ',' or ':' in its place",
    ),
    (
        &['='],
        "a ':' stands between a name and its value",
        "write ':' in the place of '='",
    ),
    (
        &[';'],
        "members are separated by ','",
        "write ',' in the place of ';'",
    ),
    (
        &['<'],
        "this is a mark of a merge conflict, or of a template",
        "keep one side of it",
    ),
    (
        &['+', '.'],
        "a number is not written as JSON writes it",
        "write it without '+', and with a digit before the point",
    ),
    (
        &['(', ')'],
        "JSON has no round brackets",
        "write '[' and ']', or '{' and '}'",
    ),
];

/// Words for what stands where JSON has something else.
fn of_other_language(rest: &str) -> Option<(&'static str, &'static str)> {
    const WORDS: [&str; 8] = ["true", "false", "none", "null", "nil", "undefined", "yes", "no"];
    let first = rest.chars().next()?;
    if let Some((_, words, remedy)) = SIGNS.iter().find(|(signs, ..)| signs.contains(&first)) {
        return Some((words, remedy));
    }
    let word = rest
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default();
    let plain = word.to_ascii_lowercase();
    if WORDS.contains(&plain.as_str()) && !["true", "false", "null"].contains(&word) {
        return Some(("JSON does not know this word", "write true, false or null"));
    }
    ["nan", "infinity"].contains(&plain.as_str()).then_some((
        "JSON does not know this number",
        "write another, or leave the member out",
    ))
}
