//! How much an answer may hold, by what the request says.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::members::{Edit, Members, apply};
use super::refusal::Refusal;
use super::rules::unreadable;

/// The names of the limit of an answer, in all forms of the API. Where several are there, which one counts is the server's choice.
const LIMITS: [&str; 6] = [
    "max_completion_tokens",
    "max_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "max_tokens_to_sample",
    "n_predict",
];

/// Returns the largest limit that a request names, or that `added` puts where it names none; `None` for no limit, and for a
/// negative one, which stands for none.
///
/// # Errors
/// 400 for one that is no whole number.
pub(super) fn longest(
    body: &[u8],
    members: &Members,
    added: Option<&Map<String, Value>>,
) -> Result<Option<u64>, Refusal> {
    let mut most = None;
    for name in LIMITS {
        match number(body, members, name)? {
            Some(Number::Of(limit)) => most = most.max(Some(limit)),
            Some(Number::Negative) => return Ok(None),
            None if members.find(name).is_some() => {}
            None => most = most.max(added.and_then(|added| added.get(name)?.as_u64())),
        }
    }
    Ok(most)
}

/// Lowers the limits of a request that are above `most`; `None` where there is none.
pub(super) fn lowered(body: &[u8], most: u64) -> Option<Vec<u8>> {
    let members = Members::read(body).ok()?;
    let lower = |name: &&str| {
        let place = members.find(name)?.value.clone();
        let limit: u64 = serde_json::from_slice(body.get(place.clone())?).ok()?;
        (limit > most).then(|| Edit {
            place,
            text: most.to_string().into_bytes(),
        })
    };
    let edits: Vec<Edit> = LIMITS.iter().filter_map(lower).collect();
    (!edits.is_empty()).then(|| apply(body, edits))
}

/// Returns how many texts a request asks for: its choices, or the candidates that the server chooses from, for each prompt.
///
/// # Errors
/// 400 for a number that is none.
pub(super) fn texts(body: &[u8], members: &Members) -> Result<u64, Refusal> {
    let mut choices = 1;
    for name in ["n", "best_of"] {
        if let Some(Number::Of(number)) = number(body, members, name)? {
            choices = choices.max(number);
        }
    }
    let prompts = members.text(body, "prompt").map_or(1, prompts);
    Ok(choices.saturating_mul(prompts))
}

/// Returns the number of prompts of a completion: a text or a list of tokens is one, a list of those is several.
fn prompts(json: &[u8]) -> u64 {
    let list: Vec<&RawValue> = serde_json::from_slice(json).unwrap_or_default();
    let is_prompt = |value: &&&RawValue| value.get().starts_with(['"', '[']);
    (list.iter().filter(is_prompt).count() as u64).max(1)
}

enum Number {
    Of(u64),
    Negative,
}

fn number(body: &[u8], members: &Members, name: &str) -> Result<Option<Number>, Refusal> {
    let Some(text) = members.text(body, name).filter(|text| *text != b"null") else {
        return Ok(None);
    };
    if let Ok(number) = serde_json::from_slice::<u64>(text) {
        return Ok(Some(Number::Of(number)));
    }
    // Servers differ in what they make of "50", true or 1.5.
    match serde_json::from_slice::<i64>(text) {
        Ok(_) => Ok(Some(Number::Negative)),
        Err(_) => Err(unreadable(&format!("'{name}' is no whole number"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{longest, lowered, texts};
    use crate::server::members::Members;

    #[test]
    fn what_is_above_a_limit_is_lowered_and_nothing_else_changes() {
        for (body, changed) in [
            (
                r#"{ "max_tokens" : 900,"seed":1.0e2, "max_completion_tokens":7}"#,
                Some(r#"{ "max_tokens" : 50,"seed":1.0e2, "max_completion_tokens":7}"#),
            ),
            (
                r#"{"max_output_tokens":51,"n_predict":18446744073709551615}"#,
                Some(r#"{"max_output_tokens":50,"n_predict":50}"#),
            ),
            (r#"{"max_tokens":50,"n":900}"#, None),
            (r#"{"max_tokens":null}"#, None),
            (r#"{"messages":[{"max_tokens":900}]}"#, None),
        ] {
            let seen = lowered(body.as_bytes(), 50).map(|body| String::from_utf8(body).unwrap());
            assert_eq!(seen.as_deref(), changed, "{body}");
        }
    }

    #[test]
    fn what_is_added_to_a_request_counts_where_it_names_no_limit() {
        let added = json!({"max_tokens": 5, "n_predict": 9, "max_new_tokens": "x"});
        for (body, limit) in [
            ("{}", Some(9)),
            (r#"{"max_tokens":7,"n_predict":1}"#, Some(7)),
            (r#"{"n_predict":null}"#, Some(5)),
            (r#"{"max_completion_tokens":20}"#, Some(20)),
            (r#"{"n_predict":-1}"#, None),
        ] {
            let members = Members::read(body.as_bytes()).unwrap();
            let read = longest(body.as_bytes(), &members, added.as_object()).unwrap();
            assert_eq!(read, limit, "{body}");
        }
    }

    #[test]
    fn the_largest_reading_of_a_request_counts() {
        for (body, limit, count) in [
            ("{}", None, 1),
            (r#"{"max_tokens":10,"n":3}"#, Some(10), 3),
            (
                r#"{"max_completion_tokens":1,"max_tokens":100000}"#,
                Some(100_000),
                1,
            ),
            (r#"{"n":null,"best_of":20,"max_tokens":null}"#, None, 20),
            (r#"{"n":2,"best_of":5,"prompt":["a","b",[1,2]]}"#, None, 15),
            (r#"{"prompt":[1,2,3]}"#, None, 1),
            (r#"{"prompt":"a","max_tokens":-1,"n_predict":5}"#, None, 1),
        ] {
            let members = Members::read(body.as_bytes()).unwrap();
            let read = (
                longest(body.as_bytes(), &members, None).unwrap(),
                texts(body.as_bytes(), &members).unwrap(),
            );
            assert_eq!(read, (limit, count), "{body}");
        }
        for body in [
            r#"{"n":"50"}"#,
            r#"{"max_tokens":1.5}"#,
            r#"{"best_of":true}"#,
            r#"{"n":[2]}"#,
        ] {
            let members = Members::read(body.as_bytes()).unwrap();
            let text = body.as_bytes();
            assert!(
                longest(text, &members, None).is_err() || texts(text, &members).is_err(),
                "{body}"
            );
        }
    }
}
