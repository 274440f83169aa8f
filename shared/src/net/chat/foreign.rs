//! An event that is no part of an answer: an error, news of how far the server is, or text of an unknown form.

use serde_json::{Map, Value};

use super::api_error::{ApiError, plain};
use super::chunk::{is_good_code, says_error};
use super::finish_reason::{FinishReason, Meaning};

/// What an event says that is no part of an answer.
#[derive(Debug)]
pub(super) enum Foreign {
    Nothing,
    /// An error, by more than its words.
    Error(ApiError),
    /// Words alone: an error where nothing follows them, a greeting or news where the answer does.
    Words(ApiError),
}

impl Foreign {
    /// Reads an event without choices.
    pub(super) fn read(event: &Value) -> Self {
        let Value::Object(members) = event else {
            return Self::Nothing;
        };
        if is_progress(event) {
            return Self::Nothing;
        }
        if says_failure(members) {
            return Self::Error(ApiError::from_member(event));
        }
        let said = members
            .iter()
            .any(|(name, value)| is_words(&plain(name)) && says_error(value));
        let words = said.then(|| ApiError::from_member(event));
        words
            .filter(|words| !words.message.is_empty())
            .map_or(Self::Nothing, Self::Words)
    }
}

/// True for a word, such as the name of an event or a state, that says that something failed.
pub(super) fn names_error(word: &str) -> bool {
    const EQUAL: [&str; 5] = ["err", "fault", "denied", "rejected", "unavailable"];
    const CONTAIN: [&str; 11] = [
        "error",
        "exception",
        "fail",
        "abort",
        "timeout",
        "timedout",
        "crash",
        "overload",
        "ratelimit",
        "throttl",
        "servererr",
    ];
    let letters = plain(word);
    let is_denial = letters.starts_with("no") || letters.starts_with("without");
    !is_denial && (EQUAL.contains(&letters.as_str()) || CONTAIN.iter().any(|part| letters.contains(part)))
}

/// How deep text is looked for.
const DEPTH: u8 = 6;

/// True for an object that holds text where servers of some make put that of an answer.
pub(super) fn holds_text(event: &Value) -> bool {
    has_text_within(event, DEPTH)
}

fn has_text_within(value: &Value, depth: u8) -> bool {
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    match value {
        _ if depth == 0 => false,
        Value::Array(items) => items.iter().any(|item| has_text_within(item, depth - 1)),
        Value::Object(members) => members.iter().any(|(name, value)| match plain(name).as_str() {
            "text" | "content" | "contents" | "delta" | "answer" | "finalanswer" | "response" | "output"
            | "outputs" | "outputtext" | "generatedtext" | "generations" | "completion" | "token"
            | "chunk" => {
                is_text(value)
                    || value.as_array().is_some_and(|items| items.iter().any(is_text))
                    || has_text_within(value, depth - 1)
            }
            "message" | "messages" | "data" | "choice" | "choices" | "result" | "payload" | "candidates"
            | "parts" | "event" => has_text_within(value, depth - 1),
            _ => false,
        }),
        _ => false,
    }
}

/// True for news of how far a server is: a good code and no error, or a word such as `queued` for its state.
fn is_progress(event: &Value) -> bool {
    let named = |names: &[&str]| names.iter().find_map(|name| event.get(name));
    let has_error = ["error", "errors"]
        .iter()
        .any(|name| event.get(name).is_some_and(says_error));
    let goes_on = |word: &Value| {
        let word = word.as_str().and_then(|word| FinishReason::parse(word, ""));
        word.is_some_and(|word| word.meaning == Meaning::GoesOn)
    };
    !has_error
        && (named(&["code", "status_code", "error_code", "errno", "errcode"]).is_some_and(is_good_code)
            || named(&["status", "state", "event", "type"]).is_some_and(goes_on))
}

/// True for a member that names what an event is about, other than an error.
fn is_kind(name: &str, value: &Value) -> bool {
    matches!(name, "type" | "event" | "object" | "tool" | "toolname" | "name")
        && value
            .as_str()
            .is_some_and(|word| !word.is_empty() && !names_error(word))
}

/// True for `true` or `false`, as it is or as text.
fn is_word(value: &Value, word: &str) -> bool {
    match value {
        Value::Bool(value) => value.to_string() == word,
        Value::String(text) => text.eq_ignore_ascii_case(word),
        _ => false,
    }
}

fn is_words(name: &str) -> bool {
    matches!(
        name,
        "message" | "msg" | "detail" | "statusmsg" | "statusmessage" | "description"
    )
}

/// True for an object that says by a member of that meaning, a code or a state that something failed.
fn says_failure(members: &Map<String, Value>) -> bool {
    let is_bad_code = |value: &Value| !is_good_code(value) && says_error(value);
    // What happened to a tool, say, is no end of the answer.
    let is_of_answer = !members.iter().any(|(name, value)| is_kind(&plain(name), value));
    let has_words = || members.keys().any(|name| is_words(&plain(name)));
    // A code is one word: what has blanks in it may be a program's text.
    let is_failed_word =
        |word: &Value| matches!(word, Value::String(word) if !word.contains(' ') && names_error(word));
    let names_failure = |code: &Value| match code {
        Value::Array(words) => words.iter().any(is_failed_word),
        word => is_failed_word(word),
    };
    members.iter().any(|(name, value)| match plain(name).as_str() {
        "error" | "errors" | "err" | "fault" | "exception" | "failure" | "errormessage" | "errormsg"
        | "errmsg" | "faultstring" | "detail" => says_error(value),
        // Bedrock: `internalServerException`.
        name if name.ends_with("exception") => says_error(value),
        "errorcode" | "errcode" | "errno" => is_bad_code(value),
        "code" | "statuscode" | "ret" | "retcode" => {
            is_bad_code(value) && (has_words() || names_failure(value))
        }
        "status" | "state" | "object" | "type" | "event" => match value {
            Value::String(word) => names_error(word),
            Value::Number(status) => status.as_u64().is_some_and(|status| (400..600).contains(&status)),
            _ => false,
        },
        "ok" | "success" => is_word(value, "false"),
        "baseresp" | "header" | "response" => value.as_object().is_some_and(says_failure),
        _ if !is_of_answer => false,
        "iserror" | "haserror" | "failed" | "isfailed" | "aborted" => is_word(value, "true"),
        "errorinfo" | "errordetail" | "errordetails" | "errordescription" | "errorreason" | "traceback"
        | "stacktrace" => says_error(value),
        "data" | "result" | "payload" => ["error", "errors"]
            .iter()
            .any(|name| value.get(name).is_some_and(says_error)),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::{Foreign, holds_text, names_error};

    #[test]
    fn an_event_is_an_error_by_more_than_its_words() {
        for (json, expected) in [
            (r#"{"exception":"boom"}"#, "error"),
            (r#"{"status":"failed","reason":"boom"}"#, "error"),
            (r#"{"errno":3,"errmsg":"boom"}"#, "error"),
            (r#"{"header":{"code":10013,"message":"boom"}}"#, "error"),
            (r#"{"status":500,"title":"Internal","detail":"boom"}"#, "error"),
            (r#"{"success":false,"message":"boom"}"#, "error"),
            (r#"{"object":"error","message":"boom"}"#, "error"),
            (r#"{"ret":-1,"msg":"boom"}"#, "error"),
            (
                r#"{"ret":["RGV587_ERROR::SM::boom"],"data":{"url":"https://example.com"}}"#,
                "error",
            ),
            (r#"{"code":"agent_run_failed","run":"x"}"#, "error"),
            (r#"{"ret":["SUCCESS::done"],"data":{}}"#, "nothing"),
            (r#"{"code":"raise Exception('x')","run":"x"}"#, "nothing"),
            (r#"{"message":"connected"}"#, "words"),
            (r#"{"status":"searching","message":"Searching"}"#, "words"),
            (r#"{"header":{"code":0,"message":"Success"}}"#, "nothing"),
            (r#"{"message":"ok"}"#, "nothing"),
            (r#"{"error":"None"}"#, "nothing"),
            (
                r#"{"status":"ok","error":{"code":0,"message":"fine"}}"#,
                "nothing",
            ),
            (r#"{"errno":0,"errmsg":"request served"}"#, "nothing"),
            (r#"{"message":{"role":"assistant","content":"hi"}}"#, "nothing"),
            ("[]", "nothing"),
        ] {
            let read = match Foreign::read(&serde_json::from_str(json).unwrap()) {
                Foreign::Nothing => "nothing",
                Foreign::Error(_) => "error",
                Foreign::Words(_) => "words",
            };
            assert_eq!(read, expected, "{json}");
        }
    }

    #[test]
    fn text_is_found_where_other_apis_have_it_and_nowhere_else() {
        for (json, expected) in [
            (r#"{"text":"a"}"#, true),
            (r#"{"delta":{"content":"a"}}"#, true),
            (r#"{"type":"response.output_text.delta","delta":"a"}"#, true),
            (r#"{"data":{"choices":[{"delta":{"content":"a"}}]}}"#, true),
            (r#"{"message":{"content":["a"]}}"#, true),
            (r#"[{"index":0,"delta":{"answer":"a"}}]"#, true),
            (r#"{"event":{"delta":{"type":"text","text":"a"}}}"#, true),
            (r#"{"generations":[{"text":"a"}]}"#, true),
            (
                r#"[{"index":0,"delta":{"role":"assistant","content":""}}]"#,
                false,
            ),
            (r#"[{"delta":{"executed_tools":[{"output":"a"}]}}]"#, false),
            (r#"{"text":""}"#, false),
            (r#"{"message":"connected"}"#, false),
            (r#"{"citations":["a"],"search_results":[{"text":"a"}]}"#, false),
        ] {
            assert_eq!(
                holds_text(&serde_json::from_str(json).unwrap()),
                expected,
                "{json}"
            );
        }
    }

    #[test]
    fn a_word_that_says_failure_is_known_in_any_spelling() {
        for word in [
            "error",
            "Exception",
            "FAILED",
            "response.error",
            "server_error",
            "err",
            "fault",
            "timeout",
        ] {
            assert!(names_error(word), "{word}");
        }
        for word in [
            "",
            "message",
            "ping",
            "no_error",
            "default",
            "connection",
            "delta",
        ] {
            assert!(!names_error(word), "{word}");
        }
    }
}
