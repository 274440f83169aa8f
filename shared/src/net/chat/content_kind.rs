//! Tells an event stream from a whole JSON answer from neither, by the first byte that counts.

use super::error::AnswerError;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Events,
    Whole,
}

/// Decides by the content type and the first bytes; `None` while only blanks (and a byte-order mark) have come.
///
/// The bytes count more than the header: servers that ignore `stream` send JSON as whatever they like, and small ones
/// send events as `text/plain`. A page of HTML, whatever it calls itself, is no answer.
///
/// # Errors
/// [`AnswerError::NotAnAnswer`].
pub(super) fn sniff(content_type: Option<&str>, bytes: &[u8]) -> Result<Option<Format>, AnswerError> {
    let declared = content_type.unwrap_or("none");
    let refused = || AnswerError::NotAnAnswer(declared.to_owned());
    let is_events = declared.to_ascii_lowercase().contains("event-stream");
    if declared.to_ascii_lowercase().contains("html") {
        return Err(refused());
    }
    let mark: &[u8] = b"\xef\xbb\xbf";
    if !bytes.is_empty() && mark.starts_with(bytes) && bytes.len() < mark.len() {
        return Ok(None);
    }
    let bytes = bytes.strip_prefix(mark).unwrap_or(bytes);
    let Some(first) = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) else {
        return Ok(None);
    };
    match first {
        b'{' | b'[' => Ok(Some(Format::Whole)),
        b'<' => Err(refused()),
        _ if is_events => Ok(Some(Format::Events)),
        b':' | b'd' | b'e' | b'i' | b'r' if may_be_field(bytes.trim_ascii_start()) => {
            Ok(Some(Format::Events))
        }
        _ => Err(refused()),
    }
}

/// True when the bytes begin like a field of an event, as far as they go.
fn may_be_field(bytes: &[u8]) -> bool {
    [":", "data:", "event:", "id:", "retry:"].iter().any(|field| {
        let length = field.len().min(bytes.len());
        field.as_bytes()[..length] == bytes[..length]
    })
}

#[cfg(test)]
mod tests {
    use super::Format;
    use super::sniff;

    #[test]
    fn the_first_bytes_decide() {
        let events = Some("text/event-stream; charset=utf-8");
        for (content_type, bytes, expected) in [
            (events, "data: x", Ok(Some(Format::Events))),
            (events, "unknown: x", Ok(Some(Format::Events))),
            (events, "", Ok(None)),
            (events, " \r\n", Ok(None)),
            (events, "\u{feff}", Ok(None)),
            (events, "\u{feff}data", Ok(Some(Format::Events))),
            (events, "{\"a\"", Ok(Some(Format::Whole))),
            (events, "<html>", Err(())),
            (Some("application/json"), "\n{", Ok(Some(Format::Whole))),
            (Some("application/json"), "data: x", Ok(Some(Format::Events))),
            (Some("text/plain"), ": hi", Ok(Some(Format::Events))),
            (Some("text/plain"), "r", Ok(Some(Format::Events))),
            (Some("text/plain"), "dear customer", Err(())),
            (Some("text/plain"), "Hello", Err(())),
            (None, "event: x", Ok(Some(Format::Events))),
            (None, "[", Ok(Some(Format::Whole))),
            (Some("text/html"), "data: x", Err(())),
            (Some("text/HTML"), "", Err(())),
        ] {
            let seen = sniff(content_type, bytes.as_bytes()).map_err(|_| ());
            assert_eq!(seen, expected, "{content_type:?} {bytes:?}");
        }
        assert_eq!(sniff(events, b"\xef\xbb"), Ok(None));
    }
}
