//! Refusals: whatever a server answers, it is one harmless line, an exit code of the table, and the same each time.
//!
//! The first line of an input is the status, the next ones are headers up to a blank line; the rest is the body.

use std::time::{Duration, UNIX_EPOCH};

use qwen_shared::exit::Exit;
use qwen_shared::net::chat::{ApiError, Asked, Refusal, RefusalHead, describe_body};

/// Reads a refusal as each of some providers writes it.
pub(crate) fn holds(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (head, _) = text.split_once("\n\n").unwrap_or((&text, ""));
    let body_at = head.len().saturating_add(2).min(text.len());
    let body = &text.as_bytes()[body_at..];
    let mut lines = head.lines();
    let status: u16 = lines.next().unwrap_or_default().trim().parse().unwrap_or(400);
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let head = RefusalHead::read(status, headers.iter().copied(), now);
    assert_eq!(head, RefusalHead::read(status, headers.iter().copied(), now));
    for provider in ["", "openai", "dashscope", "openrouter", "azure"] {
        let refusal = Refusal::read(&head, body, provider);
        is_one_line(&refusal.describe());
        let verdict = &refusal.verdict;
        for asked in [Asked::Chat, Asked::Models, Asked::Other] {
            let failure = refusal.failure("https://server.example/v1", asked);
            let may_be = [
                Exit::Data,
                Exit::Unavailable,
                Exit::TryAgain,
                Exit::Protocol,
                Exit::NoAuth,
            ];
            assert!(may_be.contains(&failure.exit), "{:?}", failure.exit);
            assert!(failure.hints.iter().all(|hint| !hint.0.is_empty()));
        }
        // What the server says of it alone makes an error worth a retry that is not one by its kind.
        assert!(
            !verdict.retry || verdict.kind.is_transient() || head.should_retry == Some(true),
            "{verdict:?}"
        );
    }
    is_one_line(&describe_body(head.content_type.as_deref(), body));
    if let Some(error) = std::str::from_utf8(body).ok().and_then(ApiError::parse) {
        is_one_line(&error.describe());
    }
}

/// A message is one line without anything that moves a cursor.
fn is_one_line(words: &str) {
    assert!(!words.chars().any(char::is_control), "{words:?}");
}
