//! Answers: the same text, the same end, however the bytes are cut.
//!
//! The first line of an input is the content type (`-` for none); the rest is the body.

use qwen_shared::exit::Exit;
use qwen_shared::net::chat::{AnswerReader, Delta, Dialect, Summary, completion, read_whole};

/// What came of an answer.
#[derive(Debug, PartialEq)]
struct Seen {
    text: String,
    reasoning: String,
    end: Result<Summary, (Exit, String)>,
}

/// Reads an answer in pieces of these lengths, over and over.
fn read(content_type: Option<&str>, dialect: Dialect, body: &[u8], lengths: &[usize]) -> Seen {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut sink = |delta: Delta<'_>| match delta {
        Delta::Text(piece) => text.push_str(piece),
        Delta::Reasoning(piece) => reasoning.push_str(piece),
        Delta::TextWasReasoning => reasoning.push_str(&std::mem::take(&mut text)),
    };
    let mut reader = AnswerReader::new(content_type).dialect(dialect);
    let (mut pushed, mut rest) = (Ok(()), body);
    for length in lengths.iter().cycle() {
        if rest.is_empty() || pushed.is_err() || reader.is_done() {
            break;
        }
        let (piece, others) = rest.split_at(rest.len().min(*length));
        rest = others;
        pushed = reader.push(piece, &mut sink);
    }
    let end = match pushed {
        Ok(()) => reader.finish(&mut sink).map_err(|(error, _)| error),
        Err(error) => {
            reader.close(&mut sink);
            Err(error)
        }
    };
    Seen {
        text,
        reasoning,
        end: end.map_err(|error| (error.exit(), error.to_string())),
    }
}

/// Reads an answer in one piece, byte by byte and in others, and checks that all come to the same.
pub(crate) fn holds(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let content_type = std::str::from_utf8(&data[..end]).ok().map(str::trim);
    let content_type = content_type.filter(|name| !matches!(*name, "" | "-"));
    let body = data.get(end + 1..).unwrap_or_default();
    let dialect = Dialect {
        provider: ["", "openai", "dashscope"][body.len() % 3],
        starts_in_reasoning: body.len() % 5 == 0,
        choices: (body.len() % 4) as u64,
    };
    let whole = read(content_type, dialect, body, &[usize::MAX]);
    for lengths in [&[1][..], &[2, 1, 7, 3], &[64, 5]] {
        let seen = read(content_type, dialect, body, lengths);
        assert_eq!(seen, whole, "in pieces of {lengths:?}");
    }
    match &whole.end {
        Err((exit, words)) => {
            let may_be = [
                Exit::Protocol,
                Exit::TryAgain,
                Exit::Data,
                Exit::NoAuth,
                Exit::Unavailable,
            ];
            assert!(may_be.contains(exit), "{exit:?}: {words}");
            is_one_line(words);
        }
        Ok(summary) => {
            summary.caveats.iter().for_each(|words| is_one_line(words));
            assert_eq!(summary.has_text, !whole.text.trim().is_empty(), "{whole:?}");
        }
    }
    if let Ok(choices) = read_whole(content_type, dialect, body) {
        assert_eq!(choices[0].text, whole.text);
        let written = completion(&choices).to_string();
        let again = read_whole(Some("application/json"), Dialect::default(), written.as_bytes());
        if let Ok(again) = again
            && whole.reasoning.is_empty()
            && !dialect.starts_in_reasoning
        {
            assert_eq!(again[0].text, whole.text, "{written}");
        }
    }
}

/// A message is one line without anything that moves a cursor.
fn is_one_line(words: &str) {
    assert!(!words.chars().any(char::is_control), "{words:?}");
}
