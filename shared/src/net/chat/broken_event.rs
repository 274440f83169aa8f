//! The error that an event names which is no JSON: one that was cut, or one written into an event that was begun.

use serde_json::{Deserializer, Value};

use super::api_error::{ApiError, from_python};
use super::foreign::{Foreign, holds_text};

/// The most places at which an error may begin that are tried, from the last one.
const PLACES: usize = 8;

/// Returns the error in the data of an event that does not parse, if it names one.
///
/// A server that breaks off in the middle of an event has its error written by something else, behind what was begun; a
/// connection that ends within the error leaves its first words.
pub(super) fn error_within(data: &str) -> Option<ApiError> {
    if data.starts_with("{'")
        && let Some(error) = from_python(data).as_ref().and_then(error_of)
    {
        return Some(error);
    }
    let places = data.rmatch_indices('{').map(|(place, _)| place);
    let mut places = places
        .filter(|&place| begins_document(&data[..place]))
        .take(PLACES);
    places.find_map(|place| error_of(&first_document(&data[place..])?))
}

/// Returns the error that stands in data of which an event's name says that it is one.
pub(super) fn named_error(data: &str) -> ApiError {
    match first_document(data.trim()) {
        Some(value) => ApiError::from_member(&value),
        None => ApiError::from_text(data),
    }
}

/// True where a document begins: at the start, in a line of its own, or behind another field's name.
fn begins_document(before: &str) -> bool {
    let before = before.trim_end_matches([' ', '\t']);
    before.is_empty() || before.ends_with(['\n', '\r']) || before.ends_with("data:")
}

fn error_of(value: &Value) -> Option<ApiError> {
    // A part of an answer is none, whatever else it holds.
    if value
        .get("choices")
        .is_some_and(|choices| choices.as_array().is_some_and(|list| !list.is_empty()))
    {
        return None;
    }
    match Foreign::read(value) {
        Foreign::Error(error) => Some(error),
        Foreign::Words(words) if !holds_text(value) => Some(words),
        Foreign::Words(_) | Foreign::Nothing => None,
    }
}

/// Reads the first document of a text, to where it was cut.
fn first_document(text: &str) -> Option<Value> {
    let mut documents = Deserializer::from_str(text).into_iter::<Value>();
    match documents.next()? {
        Ok(value) => Some(value),
        Err(error) if error.is_eof() => closed(text),
        Err(_) => None,
    }
}

/// Closes JSON that was cut: behind a text that had begun, else behind the last member that was whole.
fn closed(json: &str) -> Option<Value> {
    let (mut open, mut in_string, mut escape) = (Vec::new(), false, None);
    let mut last_whole: Option<(usize, usize)> = None;
    for (place, byte) in json.bytes().enumerate() {
        if let Some(start) = escape {
            let length = if json.as_bytes().get(start + 1) == Some(&b'u') {
                6
            } else {
                2
            };
            if place - start + 1 >= length {
                escape = None;
            }
            continue;
        }
        match byte {
            b'\\' if in_string => escape = Some(place),
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' => open.push('}'),
            b'[' => open.push(']'),
            b'}' | b']' => {
                open.pop();
            }
            b',' => last_whole = Some((place, open.len())),
            _ => {}
        }
    }
    let close = |text: &str, quote: &str, depth: usize| {
        let ends: String = open.iter().take(depth).rev().collect();
        serde_json::from_str(&format!("{text}{quote}{ends}")).ok()
    };
    let begun = || close(json.get(..escape.unwrap_or(json.len()))?, "\"", open.len());
    // A number that ends with the text may have had more digits.
    let ended = || match json.trim_end().ends_with(['"', '}', ']']) {
        true => close(json, "", open.len()),
        false => None,
    };
    let whole = || last_whole.and_then(|(place, depth)| close(&json[..place], "", depth));
    if in_string { begun() } else { ended() }.or_else(whole)
}

#[cfg(test)]
mod tests {
    use super::{error_within, named_error};

    #[test]
    fn an_error_is_heard_behind_what_was_begun_and_to_where_it_was_cut() {
        for (data, words) in [
            // Behind a piece of the answer, on a line of its own or on the same one.
            ("{\"choices\":[{\"del\n{\"error\":{\"message\":\"gone\"}}", "gone"),
            ("{\"choices\":[{\"del\ndata: {\"error\":\"gone\"}", "gone"),
            (
                "{\"choices\":[{\"deldata: {\"error\":{\"message\":\"gone\"}}",
                "gone",
            ),
            (
                "{\"choices\":[{\"del\n{\"error\":{\"message\":\"gone\"}}\n[DONE]",
                "gone",
            ),
            // Cut within its words, a name, a code, or behind any of them.
            (r#"{"error":{"message":"the engine di"#, "the engine di"),
            (r#"{"error":{"message":"the engine died"#, "the engine died"),
            (r#"{"error":{"message":"the engine died""#, "the engine died"),
            (r#"{"error":{"message":"the engine died","co"#, "the engine died"),
            (
                r#"{"error":{"message":"the engine died","code":"#,
                "the engine died",
            ),
            (
                r#"{"error":{"message":"the engine died","code":50"#,
                "the engine died",
            ),
            (
                r#"{"error":{"message":"the engine died","code":500}"#,
                "the engine died",
            ),
            (r#"{"error":{"message":"a \"quoted\" wo"#, r#"a "quoted" wo"#),
            (r#"{"error":{"message":"cut in an escape\"#, "cut in an escape"),
            (r#"{"error":{"message":"cut in an escape\u00"#, "cut in an escape"),
            (r#"{"errors":[{"code":"x","message":"the list"#, "the list"),
            (
                "{\"choices\":[{\"del\n{\"error\":{\"message\":\"the engine di",
                "the engine di",
            ),
        ] {
            let error = error_within(data);
            assert_eq!(
                error.map(|error| error.describe()).as_deref(),
                Some(words),
                "{data}"
            );
        }
    }

    #[test]
    fn a_cut_number_is_no_code() {
        for (data, code) in [
            (r#"{"error":{"message":"x","code":42"#, ""),
            (r#"{"error":{"message":"x","code":429}"#, "429"),
        ] {
            assert_eq!(error_within(data).unwrap().code, code, "{data}");
        }
    }

    #[test]
    fn what_was_cut_and_names_no_error_is_none() {
        for data in [
            "",
            "{",
            "{\"",
            r#"{"choices":[{"index":0,"delta":{"content":"{\"error\":\"x"#,
            r#"{"id":"c","choices":[{"delta":{"content":"data: {\"error\":\"x\"}"#,
            r#"{"id":"chatcmpl-1","object":"chat.comp"#,
            r#"{"error":null,"id":"chatcmpl-1","object":"chat.comp"#,
            r#"{"choices":[{"delta":{"content":"x"}}],"error":{"message":"#,
            r#"{"model":"m","message":{"role":"assistant","content":"Half of an ans"#,
        ] {
            assert_eq!(error_within(data), None, "{data}");
        }
    }

    #[test]
    fn an_error_by_its_name_is_heard_to_where_it_was_cut() {
        for (data, words) in [
            (r#"{"message":"the engine di"#, "the engine di"),
            ("Too many requ", "Too many requ"),
        ] {
            assert_eq!(named_error(data).describe(), words, "{data}");
        }
    }
}
