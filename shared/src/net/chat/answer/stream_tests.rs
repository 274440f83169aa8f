//! Streams cut anywhere, of bytes without sense, and of events that are alike.

use super::tests::{A, B, EVENTS, STOP, events, read};
use crate::net::chat::FinishReason;
use crate::net::chat::{AnswerError, AnswerReader, Delta};

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
            assert_eq!(seen.end.unwrap().finish_reason, FinishReason::parse("stop", ""));
        }
    }
}

#[test]
fn any_beginning_of_a_stream_never_counts_as_whole_before_its_finish_reason() {
    let stream = events(&[A, B, STOP]);
    for end in 0..stream.trim_end().len() {
        let seen = read(EVENTS, &[&stream.as_bytes()[..end]]);
        assert!(
            matches!(
                seen.end,
                Err(AnswerError::Incomplete { .. } | AnswerError::NoChoice(_))
            ),
            "{end}"
        );
        assert!("partial".starts_with(&seen.text));
    }
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

#[test]
fn white_space_before_an_answer_is_not_kept_however_long_it_is() {
    let document = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
    let stream = events(&[r#"{"choices":[{"delta":{"content":"hi"}}]}"#, STOP]);
    for (content_type, mark, answer) in [
        (Some("application/json"), "", document),
        (Some("application/json"), "\u{feff}", document),
        (EVENTS, "", stream.as_str()),
        (EVENTS, "\u{feff}", stream.as_str()),
    ] {
        let mut text = String::new();
        let mut sink = |delta: Delta<'_>| {
            if let Delta::Text(piece) = delta {
                text.push_str(piece);
            }
        };
        let mut reader = AnswerReader::new(content_type);
        reader.push(mark.as_bytes(), &mut sink).unwrap();
        for _ in 0..40_000 {
            reader.push(&[b'\n'; 100], &mut sink).unwrap();
        }
        assert!(reader.body.capacity() < 1_000, "{content_type:?}");
        reader.push(answer.as_bytes(), &mut sink).unwrap();
        reader.finish(&mut sink).unwrap();
        assert_eq!(text, "hi", "{content_type:?}");
    }
}

/// Chunks of the same frame are read by their text alone; a blank more in each makes all of them different.
#[test]
fn an_answer_is_the_same_whether_its_chunks_are_alike_or_not() {
    let frames = [
        r#"{"choices":[{"index":0,"delta":{"content":"@"}}]}"#,
        r#"{"id":"a","model":"m","choices":[{"index":0,"delta":{"content":"@"},"finish_reason":null}]}"#,
        r#"{"choices":[{"delta":{"content":"@","reasoning_content":null}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"@"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"reasoning_content":"@"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"@"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"@"}}],"usage":{"total_tokens":1}}"#,
        r#"{"choices":[{"index":0,"message":{"content":"@"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"@","refusal":"no"}}]}"#,
        r#"{"choices":[{"text":"@"}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"@"}]}}]}"#,
    ];
    let texts = [
        "a",
        "",
        "<think>",
        "</think>",
        "\\n",
        "\\ud83c\\udf89",
        "\\ud83c",
        "b\\\"",
        "\",\"content\":\"x",
    ];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |limit: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % limit as u64) as usize
    };
    for _ in 0..4_000 {
        let (mut alike, mut different) = (Vec::new(), Vec::new());
        let mut frame = frames[below(frames.len())];
        for at in 0..2 + below(9) {
            if below(4) == 0 {
                frame = frames[below(frames.len())];
            }
            let json = frame.replace("@", texts[below(texts.len())]);
            different.push(format!("{}{}}}", &json[..json.len() - 1], " ".repeat(at)));
            alike.push(json);
        }
        let [alike, different] = [alike, different].map(|chunks| {
            let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
            events(&chunks)
        });
        let seen = read(EVENTS, &[alike.as_bytes()]);
        let wanted = read(EVENTS, &[different.as_bytes()]);
        assert_eq!(
            (&seen.text, &seen.reasoning, format!("{:?}", seen.end)),
            (&wanted.text, &wanted.reasoning, format!("{:?}", wanted.end)),
            "{alike}"
        );
    }
}
