//! Whether a body is an event stream, JSON, or neither.

use super::error::AnswerError;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentKind {
    Events,
    Json,
}

/// Decides by the content type and the first bytes; `None` while there is only whitespace and a byte-order mark.
///
/// The bytes count more than the header: servers that ignore `stream` send JSON with any content type, and small ones
/// send events as `text/plain` or `text/html`. What is HTML by its bytes is never an answer.
///
/// # Errors
/// [`AnswerError::NotAnAnswer`].
pub(super) fn content_kind(
    content_type: Option<&str>,
    bytes: &[u8],
) -> Result<Option<ContentKind>, AnswerError> {
    let declared = content_type.unwrap_or("none");
    let refused = || AnswerError::NotAnAnswer(declared.to_owned());
    let is_events = declared.to_ascii_lowercase().contains("event-stream");
    let mark: &[u8] = b"\xef\xbb\xbf";
    if !bytes.is_empty() && mark.starts_with(bytes) && bytes.len() < mark.len() {
        return Ok(None);
    }
    let bytes = bytes.strip_prefix(mark).unwrap_or(bytes);
    let Some(first) = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) else {
        return match bytes.is_empty() && declared.to_ascii_lowercase().contains("html") {
            true => Err(refused()),
            false => Ok(None),
        };
    };
    match first {
        b'{' | b'[' | b'"' => Ok(Some(ContentKind::Json)),
        b'<' => Err(refused()),
        _ if is_events => Ok(Some(ContentKind::Events)),
        b':' | b'd' | b'e' | b'i' | b'r' if may_be_field(bytes.trim_ascii_start()) => {
            Ok(Some(ContentKind::Events))
        }
        _ => Err(refused()),
    }
}

/// True when the bytes begin like a field of an event, as far as they go.
fn may_be_field(bytes: &[u8]) -> bool {
    [":", "data:", "event:", "error:", "id:", "retry:"]
        .iter()
        .any(|field| {
            let length = field.len().min(bytes.len());
            field.as_bytes()[..length] == bytes[..length]
        })
}

#[cfg(test)]
mod tests {
    use super::ContentKind;
    use super::content_kind;

    #[test]
    fn the_first_bytes_decide() {
        let events = Some("text/event-stream; charset=utf-8");
        for (content_type, bytes, expected) in [
            (events, "data: x", Ok(Some(ContentKind::Events))),
            (events, "unknown: x", Ok(Some(ContentKind::Events))),
            (events, "", Ok(None)),
            (events, " \r\n", Ok(None)),
            (events, "\u{feff}", Ok(None)),
            (events, "\u{feff}data", Ok(Some(ContentKind::Events))),
            (events, "{\"a\"", Ok(Some(ContentKind::Json))),
            (events, "<html>", Err(())),
            (Some("application/json"), "\n{", Ok(Some(ContentKind::Json))),
            (Some("application/json"), "data: x", Ok(Some(ContentKind::Events))),
            (Some("text/plain"), ": hi", Ok(Some(ContentKind::Events))),
            (Some("text/plain"), "r", Ok(Some(ContentKind::Events))),
            (Some("text/plain"), "dear customer", Err(())),
            (Some("text/plain"), "Hello", Err(())),
            (None, "event: x", Ok(Some(ContentKind::Events))),
            (None, "[", Ok(Some(ContentKind::Json))),
            (Some("text/html"), "data: x", Ok(Some(ContentKind::Events))),
            (Some("text/html"), "{", Ok(Some(ContentKind::Json))),
            (Some("text/html"), "Hello", Err(())),
            (events, "error: {", Ok(Some(ContentKind::Events))),
            (Some("text/plain"), "error: {", Ok(Some(ContentKind::Events))),
            (None, "\"{", Ok(Some(ContentKind::Json))),
            (Some("text/HTML"), "", Err(())),
        ] {
            let seen = content_kind(content_type, bytes.as_bytes()).map_err(|_| ());
            assert_eq!(seen, expected, "{content_type:?} {bytes:?}");
        }
        assert_eq!(content_kind(events, b"\xef\xbb"), Ok(None));
    }
}
