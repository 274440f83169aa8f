//! Answers, whole and broken.

use super::{AnswerReader, Delta, Summary};
use crate::net::chat::AnswerError;
use crate::net::chat::FinishReason;

pub(super) const EVENTS: Option<&str> = Some("text/event-stream");

pub(super) struct Seen {
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) end: Result<Summary, AnswerError>,
}

pub(super) fn read(content_type: Option<&str>, pieces: &[&[u8]]) -> Seen {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut sink = |delta: Delta<'_>| match delta {
        Delta::Text(piece) => text.push_str(piece),
        Delta::Reasoning(piece) => reasoning.push_str(piece),
        Delta::TextWasReasoning => reasoning.push_str(&std::mem::take(&mut text)),
    };
    let mut reader = AnswerReader::new(content_type);
    let mut end = Ok(());
    for piece in pieces {
        end = end.and_then(|()| reader.push(piece, &mut sink));
    }
    let end = match end {
        Ok(()) => reader.finish(&mut sink).map_err(|(error, _)| error),
        Err(error) => {
            reader.close(&mut sink);
            Err(error)
        }
    };
    Seen { text, reasoning, end }
}

pub(super) fn events(datas: &[&str]) -> String {
    datas.iter().map(|data| format!("data: {data}\n\n")).collect()
}

pub(super) const A: &str =
    r#"{"id":"i","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"par"}}]}"#;
pub(super) const B: &str = r#"{"choices":[{"index":0,"delta":{"content":"tial"}}]}"#;
pub(super) const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;

#[test]
fn an_answer_is_whole_with_a_finish_reason_or_done() {
    for (stream, reason) in [
        (
            events(&[A, B, STOP, USAGE, "[DONE]"]),
            FinishReason::parse("stop", ""),
        ),
        (events(&[A, B, STOP]), FinishReason::parse("stop", "")),
        (events(&[A, B, "[DONE]"]), None),
        (events(&[A, B, "[DONE]", "not json"]), None),
        (
            events(&["", A, "", B, STOP, " [DONE] "]),
            FinishReason::parse("stop", ""),
        ),
    ] {
        let seen = read(EVENTS, &[stream.as_bytes()]);
        let summary = seen.end.unwrap();
        assert_eq!(
            (seen.text.as_str(), &summary.finish_reason),
            ("partial", &reason),
            "{stream}"
        );
        assert_eq!(
            (summary.id.as_str(), summary.model.as_str(), summary.has_text),
            ("i", "m", true)
        );
    }
}

#[test]
fn what_came_is_kept_and_what_is_missing_is_named() {
    let api = r#"{"error":{"message":"boom","code":500}}"#;
    for (stream, text, words) in [
        (
            events(&[A, B]),
            "partial",
            "the answer is incomplete: it ended without a finish reason",
        ),
        (
            events(&[A]) + "data: {\"choices\":[{\"del",
            "par",
            "the answer is incomplete: it ended without a finish reason",
        ),
        (
            events(&[A]) + "data: [DON",
            "par",
            "the answer is incomplete: it ended without a finish reason",
        ),
        (
            events(&[A, "{\"choices\":[", B]),
            "par",
            "the answer is malformed: it breaks off within its JSON",
        ),
        (
            events(&[A, "oops", B]),
            "par",
            "the answer is malformed: no JSON: 'oops'",
        ),
        (events(&[A, api, B]), "par", "error within the answer: boom"),
        (
            events(&[A, r#"{"object":"error","message":"top"}"#]),
            "par",
            "error within the answer: top",
        ),
        (
            events(&[A]) + "event: error\ndata: plain words\n\n",
            "par",
            "error within the answer: plain words",
        ),
        (
            events(&[A]) + "event: error\ndata: {\"code\":\"x\"}\n\n",
            "par",
            "error within the answer: x",
        ),
        (
            ": only a comment\n\n".into(),
            "",
            "the answer is incomplete: it ended before it began",
        ),
        (
            String::new(),
            "",
            "the answer is incomplete: it ended before it began",
        ),
        (
            events(&["[DONE]"]),
            "",
            "the answer is incomplete: it ended before it began",
        ),
    ] {
        let seen = read(EVENTS, &[stream.as_bytes()]);
        assert_eq!(
            (seen.text.as_str(), seen.end.unwrap_err().to_string().as_str()),
            (text, words),
            "{stream}"
        );
    }
}

#[test]
fn a_server_that_does_not_stream_gives_a_valid_answer() {
    let whole = r#" {"id":"i","model":"m","choices":[{"index":0,"message":{"content":"whole"},"finish_reason":"length"}],
        "usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    for content_type in [Some("application/json"), EVENTS, None, Some("text/plain")] {
        let bytes: Vec<&[u8]> = whole.as_bytes().chunks(1).collect();
        let seen = read(content_type, &bytes);
        let summary = seen.end.unwrap();
        assert_eq!(seen.text, "whole");
        assert_eq!(summary.finish_reason, FinishReason::parse("length", ""));
        assert_eq!(summary.usage.unwrap()["completion_tokens"], 2);
    }
    for (body, words) in [
        (r#"{"error":{"message":"no"}}"#, "error within the answer: no"),
        (
            r#"[{"error":{"message":"no","code":503}}]"#,
            "error within the answer: no",
        ),
        (r#"{"status":"ok"}"#, r#"not an API answer: {"status":"ok"}"#),
        (
            r#"{"choices":[{"message":{"content":"half"}"#,
            "the answer is malformed: it breaks off within its JSON",
        ),
        (
            r#"{"choices":[{"delta":{"content":"x"}}]}"#,
            "the answer is incomplete: it ended without a finish reason",
        ),
    ] {
        let seen = read(Some("application/json"), &[body.as_bytes()]);
        assert_eq!(seen.end.unwrap_err().to_string(), words, "{body}");
    }
}

#[test]
fn a_usage_is_kept_as_sent_and_only_an_object_is_one() {
    for (sent, is_usage) in [
        (r#"{"prompt_tokens":3,"x":null}"#, true),
        ("{}", true),
        ("null", false),
        ("3", false),
        ("[]", false),
    ] {
        let stream = events(&[A, STOP, &format!(r#"{{"choices":[],"usage":{sent}}}"#)]);
        let usage = read(EVENTS, &[stream.as_bytes()]).end.unwrap().usage;
        let expected = is_usage.then(|| serde_json::from_str(sent).unwrap());
        assert_eq!(usage, expected, "{sent}");
    }
}

#[test]
fn pages_and_other_words_are_no_answer() {
    for (content_type, body) in [
        (Some("text/html"), "<html>log in</html>"),
        (Some("text/html; charset=utf-8"), ""),
        (EVENTS, "<html>"),
        (Some("image/png"), "PNG"),
    ] {
        let seen = read(content_type, &[body.as_bytes()]);
        assert_eq!(
            seen.end,
            Err(AnswerError::NotAnAnswer(content_type.unwrap().to_owned())),
            "{body}"
        );
    }
}

#[test]
fn plain_text_is_judged_by_its_words() {
    for (text, exit, words) in [
        (
            "Internal Server Error",
            75,
            "error within the answer: Internal Server Error",
        ),
        (
            "upstream connect error\n",
            75,
            "error within the answer: upstream connect error",
        ),
        ("Please log in", 76, "not an API answer: Please log in"),
        ("OK", 76, "not an API answer: OK"),
        (
            "\u{1}\u{2}",
            76,
            "not an API answer: the content type is 'text/plain'",
        ),
    ] {
        let error = read(Some("text/plain"), &[text.as_bytes()]).end.unwrap_err();
        assert_eq!((error.exit().code(), error.to_string().as_str()), (exit, words));
    }
}

#[test]
fn a_content_type_is_quoted_without_what_moves_a_cursor() {
    let error = read(Some("text/\u{1b}[31mhtml\u{f}"), &[b"<p>"]).end.unwrap_err();
    assert_eq!(
        error.to_string(),
        "not an API answer: the content type is 'text/[31mhtml'"
    );
}

#[test]
fn tool_calls_reasoning_and_odd_finish_reasons_are_kept() {
    let stream = events(&[
        r#"{"choices":[{"delta":{"reasoning":"why"},"finish_reason":""}],"usage":null}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]},"finish_reason":"tool_calls"}]}"#,
    ]);
    let seen = read(EVENTS, &[stream.as_bytes()]);
    let summary = seen.end.unwrap();
    assert_eq!(
        (seen.text.as_str(), seen.reasoning.as_str(), summary.has_text),
        ("", "why", false)
    );
    assert_eq!(summary.tool_calls[0].arguments, "{}");
    assert_eq!(summary.finish_reason, FinishReason::parse("tool_calls", ""));
    let odd = events(&[r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"eos"}]}"#]);
    let summary = read(EVENTS, &[odd.as_bytes()]).end.unwrap();
    assert_eq!(summary.finish_reason.unwrap().as_str(), "eos");
    assert!(summary.caveats.is_empty());
}
