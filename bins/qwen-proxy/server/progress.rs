//! Whether an answer on its way through still says something, or goes on for nothing.

use std::time::{Duration, Instant};

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use qwen_shared::net::chat::AnswerReader;
use serde_json::Value;

/// For so long after something was said nothing is looked into: the limit is no finer, and reading costs time.
const REST: Duration = Duration::from_secs(1);

/// Who does not ask for more for so long has waited for the client, not for the server.
const ABSENCE: Duration = Duration::from_secs(2);

/// The longest line that is looked into; a longer one says something.
const LONGEST: usize = 64 << 10;

/// Members that stand in any event, be it empty.
const ENVELOPE: [&str; 8] = [
    "type",
    "event",
    "object",
    "id",
    "model",
    "created",
    "timestamp",
    "sequence_number",
];

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Server-sent events, of which some keep the connection alive and no more.
    Events,
    /// JSON, before which blanks may keep the connection alive.
    Json,
    /// What each piece of says something.
    Other,
}

/// How far an answer has come.
#[derive(Debug)]
pub(super) struct Progress {
    kind: Kind,
    limit: Duration,
    /// When something was said last.
    said: Instant,
    asked: Instant,
    /// The line that is being looked into, as far as it has come.
    line: Option<Vec<u8>>,
    is_line_start: bool,
}

impl Progress {
    /// Begins, with the head of the answer.
    pub(super) fn new(headers: &HeaderMap, limit: Duration, now: Instant) -> Self {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        let kind = match () {
            () if headers.contains_key(CONTENT_ENCODING) => Kind::Other,
            () if content_type.starts_with("text/event-stream") => Kind::Events,
            () if content_type.contains("json") => Kind::Json,
            () => Kind::Other,
        };
        Self {
            kind,
            limit,
            said: now,
            asked: now,
            line: None,
            is_line_start: true,
        }
    }

    /// Returns the limit.
    pub(super) const fn limit(&self) -> Duration {
        self.limit
    }

    /// Takes note that more of the answer is asked for.
    pub(super) fn asks(&mut self, now: Instant) {
        let absence = now.saturating_duration_since(self.asked);
        if absence > ABSENCE {
            self.said += absence;
        }
        self.asked = now;
    }

    /// True once nothing has been said for too long.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.said) >= self.limit
    }

    /// Takes a piece of the answer.
    pub(super) fn take(&mut self, piece: &[u8], now: Instant) {
        let says = match self.kind {
            Kind::Other => true,
            Kind::Json => !piece.iter().all(u8::is_ascii_whitespace),
            Kind::Events if now.saturating_duration_since(self.said) < REST.min(self.limit / 2) => false,
            Kind::Events => {
                if self.look(piece) {
                    self.said = now;
                    self.line = None;
                }
                self.is_line_start = piece.ends_with(b"\n");
                return;
            }
        };
        if says {
            self.said = now;
        }
        self.line = None;
        self.is_line_start = piece.ends_with(b"\n");
    }

    /// True where a line that ends in this piece says something.
    fn look(&mut self, mut piece: &[u8]) -> bool {
        // The rest of a line says nothing for itself, unless it is too long to be looked into.
        if self.line.is_none()
            && !self.is_line_start
            && let Some(end) = piece.iter().position(|byte| *byte == b'\n')
        {
            piece = &piece[end + 1..];
        }
        let line = self.line.get_or_insert_default();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.len() > LONGEST || part.ends_with(b"\n") && says_something(line) {
                return true;
            }
            if part.ends_with(b"\n") {
                line.clear();
            }
        }
        false
    }
}

/// True for a line of a stream that is no comment, no blank and no event that keeps the connection alive.
fn says_something(line: &[u8]) -> bool {
    let Some(data) = line.trim_ascii().strip_prefix(b"data:").map(<[u8]>::trim_ascii) else {
        return false;
    };
    let members = match serde_json::from_slice(data) {
        Ok(Value::Object(members)) => members,
        Ok(Value::Null) => return false,
        // Part of an event on several lines, or no JSON at all.
        _ => return !data.is_empty(),
    };
    if !members.contains_key("choices") {
        return members.keys().any(|name| !ENVELOPE.contains(&name.as_str()));
    }
    let mut reader = AnswerReader::new(Some("text/event-stream"));
    let read = reader.push(&[b"data: ", data, b"\n\n"].concat(), &mut |_| {});
    read.is_err() || reader.progress().telling > 0
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

    use super::{Progress, says_something};

    const LIMIT: Duration = Duration::from_secs(60);

    /// How long an answer of repeated pieces goes on, one each second; `None` for an hour.
    fn lasts(content_type: &'static str, pieces: &[&str]) -> Option<u64> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        let began = Instant::now();
        let mut progress = Progress::new(&headers, LIMIT, began);
        (1..3600).find(|second| {
            let now = began + Duration::from_secs(*second);
            progress.asks(now);
            let number = usize::try_from(*second).unwrap();
            progress.take(pieces[number % pieces.len()].as_bytes(), now);
            progress.is_over(now)
        })
    }

    const TOKEN: &str = r#"data: {"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    const EMPTY: &str = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"}}]}\n\n";

    #[test]
    fn what_keeps_a_connection_alive_is_no_progress() {
        for piece in [
            ": ping\n\n",
            "\n",
            ":",
            "event: ping\ndata: {\"type\": \"ping\"}\n\n",
            "data: {}\n\n",
            "data:\n\n",
            "data: {\"type\":\"keepalive\",\"sequence_number\":4}\n\n",
            EMPTY,
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n",
        ] {
            assert_eq!(lasts("text/event-stream", &[piece]), Some(60), "{piece}");
        }
        let halves = [&EMPTY[..20], &EMPTY[20..]];
        assert_eq!(lasts("text/event-stream; charset=utf-8", &halves), Some(60));
        assert_eq!(lasts("application/json", &[" ", "\n"]), Some(60));
    }

    #[test]
    fn what_says_something_goes_on_however_it_is_cut() {
        let whole = format!("{TOKEN}\n\n");
        for size in [3, 7, 30, whole.len() - 1, whole.len()] {
            let text = whole.as_bytes().chunks(size);
            let pieces: Vec<_> = text.map(|piece| std::str::from_utf8(piece).unwrap()).collect();
            assert_eq!(lasts("text/event-stream", &pieces), None, "{size}");
        }
        let beside = [": ping\n\n", "\n", &whole, "data: {}\n\n"];
        assert_eq!(lasts("text/event-stream", &beside), None);
        assert_eq!(lasts("text/event-stream", &["x".repeat(9000).as_str()]), None);
        assert_eq!(lasts("application/json", &["\n", "1"]), None);
        assert_eq!(lasts("audio/mpeg", &[" "]), None);
        for line in [
            "data: [DONE]",
            "data: text",
            "data: {\"error\":{\"message\":\"x\"}}",
            "data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}",
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}",
            "data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}",
        ] {
            assert!(says_something(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn the_time_in_which_the_client_does_not_read_is_not_the_servers() {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))]);
        let began = Instant::now();
        let mut progress = Progress::new(&headers, LIMIT, began);
        let later = began + 100 * LIMIT;
        progress.asks(later);
        progress.take(b": ping\n\n", later);
        assert!(!progress.is_over(later));
    }
}
