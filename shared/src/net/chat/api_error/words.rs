//! The words of an error, wherever its members say them.

use serde_json::{Map, Value};

use super::{embedded, location, plain, scalar};

/// The most members of a list or of an unknown object that become words.
const LIST_LIMIT: usize = 3;

/// Returns what an error says; `None` for a value without words.
pub(super) fn words(value: &Value, depth: usize) -> Option<String> {
    if depth == 0 {
        return None;
    }
    match value {
        Value::String(text) => {
            let inner = embedded(text).and_then(|inner| words(&inner, depth - 1));
            inner.or_else(|| Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
        }
        Value::Array(list) => {
            let items = list.iter().filter_map(|item| words(item, depth - 1));
            Some(items.take(LIST_LIMIT).collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
        }
        Value::Object(members) => words_of_object(members, depth),
        _ => None,
    }
}

/// Members that may hold the words of an error, where no member says them.
const LAST: [&str; 5] = ["status", "data", "result", "payload", "errorinfo"];

/// Members whose text is what an error says, where nothing else does.
const TEXTS: [&str; 4] = ["traceback", "stacktrace", "result", "data"];

fn named<'v>(members: &'v Map<String, Value>, names: &[&str]) -> Option<&'v Value> {
    let mut members = members.iter();
    members
        .find(|(name, _)| names.contains(&plain(name).as_str()))
        .map(|(_, value)| value)
}

/// The members that say what happened, the best first.
const WORDS: [&[&str]; 6] = [
    &[
        "message",
        "msg",
        "errormsg",
        "errormessage",
        "statusmsg",
        "statusmessage",
        "errmsg",
        "retmsg",
        "faultstring",
    ],
    &[
        "error",
        "baseresp",
        "response",
        "fault",
        "err",
        "exception",
        "failure",
        "header",
    ],
    &["errors"],
    &["detail", "details", "errordescription", "description"],
    &["cause", "innererror"],
    &["title", "reason", "text", "ret"],
];

fn words_of_object(members: &Map<String, Value>, depth: usize) -> Option<String> {
    if let Some(inner) = upstream_words(members, depth) {
        return Some(inner);
    }
    let mut said = WORDS
        .iter()
        .filter_map(|names| words_of_member(members, names, depth));
    let said = match said.next() {
        // A code alone is worth less than a sentence beside it: `{"error": "infra_overload", "detail": "try again later"}`.
        Some(code) if is_code(&code) => said.find(|words| !is_code(words)).unwrap_or(code),
        Some(words) => words,
        None => words_at_last(members, depth)?,
    };
    // Cloudflare says the kind of a fault at the top, and the fault itself at the end of its chain.
    let chain = members.get("error_chain").and_then(Value::as_array);
    let said = match chain.and_then(|chain| words(chain.last()?, depth - 1)) {
        Some(cause) => format!("{said}: {cause}"),
        None => said,
    };
    let place = members.get("loc").map(location).unwrap_or_default();
    if place.is_empty() {
        return Some(said);
    }
    Some(format!("{place}: {said}"))
}

/// Returns what the first member of these names says that says something.
fn words_of_member(members: &Map<String, Value>, names: &[&str], depth: usize) -> Option<String> {
    members
        .iter()
        .filter(|(name, _)| names.contains(&plain(name).as_str()))
        .find_map(|(name, value)| match value {
            Value::Object(fields)
                if plain(name) == "errors" && words_of_object(fields, depth - 1).is_none() =>
            {
                by_field(fields, depth - 1)
            }
            value => words(value, depth - 1),
        })
}

/// Returns what is said elsewhere: in an exception by its name, or within what holds all the rest as a rule.
fn words_at_last(members: &Map<String, Value>, depth: usize) -> Option<String> {
    let mut exceptions = members
        .iter()
        .filter(|(name, _)| plain(name).ends_with("exception"));
    let exception = exceptions.find_map(|(_, value)| words(value, depth - 1));
    exception.or_else(|| {
        let within = members
            .iter()
            .filter(|(name, _)| LAST.contains(&plain(name).as_str()));
        let mut within = within.filter_map(|(_, value)| words_of_object(value.as_object()?, depth - 1));
        within.next().or_else(|| scalar(named(members, &TEXTS)?))
    })
}

/// True for a word that a program reads: `infra_overload`.
fn is_code(words: &str) -> bool {
    !words.contains(char::is_whitespace) && words.is_ascii()
}

/// Returns the words of the provider behind a gateway (OpenRouter: `metadata.raw` and `metadata.provider_name`).
fn upstream_words(members: &Map<String, Value>, depth: usize) -> Option<String> {
    let metadata = members.get("metadata")?.as_object()?;
    let said = words(metadata.get("raw")?, depth - 1)?;
    let provider = metadata.get("provider_name").and_then(scalar);
    Some(provider.map_or_else(|| said.clone(), |name| format!("{name}: {said}")))
}

/// Returns the words of an object with a list of faults for every field (RFC 9457 as ASP.NET writes it).
fn by_field(fields: &Map<String, Value>, depth: usize) -> Option<String> {
    let said = fields
        .iter()
        .filter_map(|(field, faults)| Some(format!("{field}: {}", words(faults, depth)?)));
    Some(said.take(LIST_LIMIT).collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
}
