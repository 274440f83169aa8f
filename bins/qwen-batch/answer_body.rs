//! Whether the body of a good response is an answer, whatever endpoint it is of.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

/// The members that hold an answer as a list.
const LISTS: [&str; 3] = ["choices", "data", "output"];

/// Members that say something about an answer, or about its absence, and are none.
const ENVELOPE: [&str; 16] = [
    "code",
    "created",
    "created_at",
    "detail",
    "details",
    "error",
    "id",
    "message",
    "model",
    "msg",
    "object",
    "request_id",
    "status",
    "success",
    "type",
    "usage",
];

/// What a body is that is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The place of the answer is there, with nothing in it.
    Empty,
    /// It is something else.
    Other,
}

/// Finds out why a body is no answer; `None` for one that is.
pub(crate) fn no_answer(body: &str) -> Option<NoAnswer> {
    if has_empty_vector(body) {
        return Some(NoAnswer::Empty);
    }
    // Most bodies need not be read for it.
    if LISTS.iter().any(|name| begins_list(body, name)) {
        return None;
    }
    let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(body).ok()?;
    let get = |name: &str| members.get(name).map(|value| value.get());
    // A limit may be met before the first word; and what is not done yet is judged by that.
    if matches!(
        get("status"),
        Some("\"incomplete\"" | "\"queued\"" | "\"in_progress\"")
    ) {
        return None;
    }
    let has_other = members
        .iter()
        .any(|(name, value)| !ENVELOPE.contains(&name.as_ref()) && !is_nothing(value.get()));
    match has_other {
        true => None,
        false if LISTS.iter().any(|name| get(name).is_some()) => Some(NoAnswer::Empty),
        false => Some(NoAnswer::Other),
    }
}

fn is_nothing(value: &str) -> bool {
    let has_no_items = |open, close| {
        let inner = value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        inner.is_some_and(|inner: &str| inner.trim_ascii().is_empty())
    };
    matches!(value, "null" | "\"\"") || has_no_items('[', ']') || has_no_items('{', '}')
}

/// Returns what follows a member's name and colon, at each place where it stands. A quotation mark within a text is escaped:
/// the name in quotation marks is never a part of one.
fn values_of<'a>(body: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let quoted = format!("\"{name}\"");
    let mut rest = body;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find(&quoted)? + quoted.len()..];
            if let Some(value) = rest.trim_ascii_start().strip_prefix(':') {
                return Some(value.trim_ascii_start());
            }
        }
    })
}

/// True where the first member of that name is a list with something in it.
fn begins_list(body: &str, name: &str) -> bool {
    let items = values_of(body, name)
        .next()
        .and_then(|value| value.strip_prefix('['));
    items.is_some_and(|items| !items.trim_ascii_start().starts_with(']'))
}

/// True for an embedding without numbers.
fn has_empty_vector(body: &str) -> bool {
    values_of(body, "embedding").any(|value| {
        let items = value.strip_prefix('[').map(str::trim_ascii_start);
        items.is_some_and(|items| items.starts_with([']', 'n']))
            || value.starts_with("null")
            || value.starts_with("\"\"")
    })
}

#[cfg(test)]
mod tests {
    use super::{NoAnswer, no_answer};

    #[test]
    fn an_answer_has_something_in_its_place() {
        for (body, expected) in [
            (r#"{"choices":[{"index":0}]}"#, None),
            (r#"{"choices" : [ ] , "id": "c"}"#, Some(NoAnswer::Empty)),
            (
                r#"{"object":"list","data":[],"usage":{"total_tokens":0}}"#,
                Some(NoAnswer::Empty),
            ),
            (r#"{"data":[{"embedding":[0.5,1]}]}"#, None),
            (r#"{"data":[{"embedding":"AACAPw=="}]}"#, None),
            (
                r#"{"data":[{"embedding":[0.5]},{"embedding": [ ]}]}"#,
                Some(NoAnswer::Empty),
            ),
            (r#"{"data":[{"embedding":[null,null]}]}"#, Some(NoAnswer::Empty)),
            (r#"{"status":"completed","output":[]}"#, Some(NoAnswer::Empty)),
            (r#"{"status":"incomplete","output":[]}"#, None),
            (r#"{"output":{"text":"x"}}"#, None),
            (r#"{"output":null}"#, Some(NoAnswer::Empty)),
            ("{}", Some(NoAnswer::Other)),
            (r#"{"detail":"Not Found"}"#, Some(NoAnswer::Other)),
            (r#"{"code":500,"message":"x","data":null}"#, Some(NoAnswer::Empty)),
            // Answers in forms of their own.
            (r#"{"text":"x"}"#, None),
            (r#"{"candidates":[{"content":{}}]}"#, None),
            (
                r#"{"id":"m","type":"message","content":[{"text":"\"choices\":[]"}]}"#,
                None,
            ),
            (r#""text""#, None),
        ] {
            assert_eq!(no_answer(body), expected, "{body}");
        }
    }
}
