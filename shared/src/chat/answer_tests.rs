//! Answers, whole and broken, cut anywhere.

use super::super::{AnswerError, FinishReason};
use super::{AnswerReader, Delta, Summary};

const EVENTS: Option<&str> = Some("text/event-stream");

struct Seen {
    text: String,
    reasoning: String,
    end: Result<Summary, AnswerError>,
}

fn read(content_type: Option<&str>, pieces: &[&[u8]]) -> Seen {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut sink = |delta: Delta<'_>| match delta {
        Delta::Text(piece) => text.push_str(piece),
        Delta::Reasoning(piece) => reasoning.push_str(piece),
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

fn events(datas: &[&str]) -> String {
    datas.iter().map(|data| format!("data: {data}\n\n")).collect()
}

const A: &str =
    r#"{"id":"i","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"par"}}]}"#;
const B: &str = r#"{"choices":[{"index":0,"delta":{"content":"tial"}}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;

#[test]
fn an_answer_is_whole_with_a_finish_reason_or_done() {
    for (stream, reason) in [
        (events(&[A, B, STOP, USAGE, "[DONE]"]), Some(FinishReason::Stop)),
        (events(&[A, B, STOP]), Some(FinishReason::Stop)),
        (events(&[A, B, "[DONE]"]), None),
        (events(&[A, B, "[DONE]", "not json"]), None),
        (
            events(&["", A, "", B, STOP, " [DONE] "]),
            Some(FinishReason::Stop),
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
            events(&[A]) + "data: [DONE]",
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
            "the answer is malformed: expected value at line 1 column 1",
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
            "the answer is incomplete: it ended without a finish reason",
        ),
        (
            String::new(),
            "",
            "the answer is incomplete: it ended without a finish reason",
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
        assert_eq!(summary.finish_reason, Some(FinishReason::Length));
        assert_eq!(summary.usage.unwrap().completion, 2);
    }
    for (body, words) in [
        (r#"{"error":{"message":"no"}}"#, "error within the answer: no"),
        (
            r#"[{"error":{"message":"no","code":503}}]"#,
            "error within the answer: no",
        ),
        (
            r#"{"status":"ok"}"#,
            "not an API answer: the content type is 'application/json'",
        ),
        (
            r#"{"choices":[{"message":{"content":"half"}"#,
            "the answer is malformed: it breaks off within its JSON",
        ),
        (
            r#"{"choices":[{"message":{"content":"x"}}]}"#,
            "the answer is incomplete: it ended without a finish reason",
        ),
    ] {
        let seen = read(Some("application/json"), &[body.as_bytes()]);
        assert_eq!(seen.end.unwrap_err().to_string(), words, "{body}");
    }
}

#[test]
fn pages_and_other_words_are_no_answer() {
    for (content_type, body) in [
        (Some("text/html"), "<html>log in</html>"),
        (Some("text/html; charset=utf-8"), ""),
        (EVENTS, "<html>"),
        (Some("text/plain"), "OK"),
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
fn a_stream_cut_at_any_two_bytes_gives_the_same_answer() {
    let think = r#"{"choices":[{"delta":{"content":"<think>hm \u00e9"}}]}"#;
    let answer = "{\"choices\":[{\"delta\":{\"content\":\"</think>h\u{e9} \u{1f389}\"}}]}";
    let stream = format!(
        "\u{feff}: hi\r\n\r\n{}data: [DONE]\r\n\r\n",
        events(&[think, answer, STOP])
    );
    let stream = stream.as_bytes();
    for first in 0..=stream.len() {
        for second in (first..=stream.len()).step_by(7) {
            let seen = read(
                EVENTS,
                &[&stream[..first], &stream[first..second], &stream[second..]],
            );
            assert_eq!(
                (seen.text.as_str(), seen.reasoning.as_str()),
                ("h\u{e9} \u{1f389}", "hm \u{e9}")
            );
            assert_eq!(seen.end.unwrap().finish_reason, Some(FinishReason::Stop));
        }
    }
}

#[test]
fn any_beginning_of_a_stream_never_counts_as_whole_before_its_finish_reason() {
    let stream = events(&[A, B, STOP]);
    for end in 0..stream.len() {
        let seen = read(EVENTS, &[&stream.as_bytes()[..end]]);
        assert_eq!(seen.end, Err(AnswerError::Incomplete), "{end}");
        assert!("partial".starts_with(&seen.text));
    }
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
    assert_eq!(summary.finish_reason, Some(FinishReason::ToolCalls));
    let odd = events(&[r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"eos"}]}"#]);
    let summary = read(EVENTS, &[odd.as_bytes()]).end.unwrap();
    assert_eq!(summary.finish_reason.unwrap().word(), "eos");
}

#[test]
fn random_bytes_never_panic_and_never_make_a_whole_answer() {
    let mut seed = 88_172_645_463_325_252_u64;
    let pool: Vec<u8> = [
        A,
        "data: ",
        "\n\n",
        "{}[]\",:\\u",
        "\u{feff}\u{1f389}",
        "event: error\r",
    ]
    .concat()
    .into_bytes();
    for _ in 0..5_000 {
        let mut bytes = Vec::new();
        for _ in 0..60 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let at = usize::try_from(seed % pool.len() as u64).unwrap();
            let length = usize::try_from((seed >> 32) % 9).unwrap();
            bytes.extend_from_slice(&pool[at..(at + length).min(pool.len())]);
        }
        assert!(read(EVENTS, &[&bytes]).end.is_err());
    }
}

#[test]
fn events_that_are_alike_give_what_each_would_give_alone() {
    const TEXTS: [&str; 7] = [
        "",
        "plain",
        "\"quoted\"",
        "a\\b",
        "line\nfeed",
        "\u{1f389} \u{e9}",
        "\"}}]}",
    ];
    let mut seed = 42_u64;
    let mut roll = |sides: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % sides).unwrap()
    };
    for _ in 0..500 {
        let (mut stream, mut text, mut reasoning) = (String::new(), String::from("|"), String::new());
        stream.push_str(&events(&[r#"{"choices":[{"delta":{"content":"|"}}]}"#]));
        for _ in 0..roll(30) {
            let piece = TEXTS[roll(7)];
            let json = serde_json::Value::from(piece).to_string();
            match roll(8) {
                0 => {
                    reasoning.push_str(piece);
                    stream.push_str(&events(&[&format!(
                        r#"{{"id":"i","choices":[{{"delta":{{"reasoning":{json}}}}}]}}"#
                    )]));
                }
                1 => stream.push_str(&events(&[&format!(
                    r#"{{"id":"i","choices":[{{"index":1,"delta":{{"content":{json}}}}}]}}"#
                )])),
                2 => {
                    text.push_str(piece);
                    stream.push_str(&events(&[&format!(
                        r#"{{"id":"j","choices":[{{"delta":{{"content":{json}}}}}]}}"#
                    )]));
                }
                _ => {
                    text.push_str(piece);
                    stream.push_str(&events(&[&format!(
                        r#"{{"id":"i","choices":[{{"index":0,"delta":{{"content":{json}}},"finish_reason":null}}],"usage":null}}"#
                    )]));
                }
            }
        }
        stream.push_str(&events(&[STOP]));
        let cut = roll(stream.len() as u64);
        let seen = read(EVENTS, &[&stream.as_bytes()[..cut], &stream.as_bytes()[cut..]]);
        assert_eq!((seen.text, seen.reasoning), (text, reasoning), "{stream}");
        assert!(seen.end.is_ok());
    }
}
