//! Whether a body is an event stream, JSON, or neither.

use super::api_error::{ApiError, MESSAGE_LIMIT};
use super::error::AnswerError;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentKind {
    Events,
    Json,
}

/// Decides by the content type and the first bytes; `None` while what has come may still become one or the other: whitespace, a
/// byte-order mark, the beginning of a field's name, and words, which are judged as a whole.
///
/// The bytes count more than the header: servers that ignore `stream` send JSON with any content type, and small ones
/// send events as `text/plain` or `text/html`. What is HTML by its bytes is never an answer.
///
/// # Errors
/// [`AnswerError::NotAnAnswer`]; for plain text [`AnswerError::OtherText`], or [`AnswerError::Api`] where it is a fault that
/// passes.
pub(super) fn content_kind(
    content_type: Option<&str>,
    bytes: &[u8],
    is_whole: bool,
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
        b'<' if is_events => match is_notice(bytes.trim_ascii_start()) {
            Some(true) => Ok(Some(ContentKind::Events)),
            None if !is_whole => Ok(None),
            _ => Err(refused()),
        },
        b'<' => Err(refused()),
        // A JSON text sequence (RFC 7464).
        0x1e => Ok(Some(ContentKind::Events)),
        _ if is_events => Ok(Some(ContentKind::Events)),
        _ if is_field(bytes.trim_ascii_start()) => Ok(Some(ContentKind::Events)),
        _ if !is_whole && may_become_field(bytes.trim_ascii_start()) => Ok(None),
        _ => match words(declared, bytes) {
            None => Err(refused()),
            Some(_) if !is_whole && bytes.len() < MESSAGE_LIMIT => Ok(None),
            Some(words) => Err(plain_text(words)),
        },
    }
}

/// Returns what is said in plain text, as far as it has come; `None` where it is none.
fn words<'b>(declared: &str, bytes: &'b [u8]) -> Option<&'b str> {
    let bytes = &bytes[..bytes.len().min(MESSAGE_LIMIT)];
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // A character that is not there to its end.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return None,
    };
    let is_text = declared.to_ascii_lowercase().starts_with("text/plain");
    let is_words = !text.chars().any(|c| c.is_control() && !c.is_whitespace());
    (is_text && is_words).then_some(text)
}

/// Judges what is said in plain text. It may be a stranger's, who knows neither the key nor the model.
fn plain_text(text: &str) -> AnswerError {
    let error = ApiError::from_text(text);
    match error.verdict().kind.is_transient() {
        true => AnswerError::Api(error),
        false => AnswerError::OtherText(text.to_owned()),
    }
}

/// True for the beginning of a notice that PHP prints before the events, false for that of a page; `None` while it may be
/// either.
fn is_notice(bytes: &[u8]) -> Option<bool> {
    const NOTICES: [&[u8]; 3] = [b"<br />", b"<br>", b"<b>"];
    let is_one = NOTICES.iter().any(|notice| bytes.starts_with(notice));
    let may_be = NOTICES.iter().any(|notice| notice.starts_with(bytes));
    (is_one || !may_be).then_some(is_one)
}

/// The fields with which an event begins.
const FIELDS: [&[u8]; 6] = [b":", b"data:", b"event:", b"error:", b"id:", b"retry:"];

fn is_field(bytes: &[u8]) -> bool {
    FIELDS.iter().any(|field| bytes.starts_with(field))
}

fn may_become_field(bytes: &[u8]) -> bool {
    FIELDS.iter().any(|field| field.starts_with(bytes))
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
            (
                Some("application/json-seq"),
                "\u{1e}{",
                Ok(Some(ContentKind::Events)),
            ),
            (Some("application/json"), "\n{", Ok(Some(ContentKind::Json))),
            (Some("application/json"), "data: x", Ok(Some(ContentKind::Events))),
            (Some("text/plain"), ": hi", Ok(Some(ContentKind::Events))),
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
            let seen = content_kind(content_type, bytes.as_bytes(), true).map_err(|_| ());
            assert_eq!(seen, expected, "{content_type:?} {bytes:?}");
        }
        assert_eq!(content_kind(events, b"\xef\xbb", false), Ok(None));
    }

    #[test]
    fn what_may_become_one_or_the_other_is_not_judged_before_it_is_there() {
        for (content_type, bytes) in [
            (None, &b"r"[..]),
            (Some("text/html"), b"dat"),
            (Some("text/plain"), b"rate limit reac"),
            (
                Some("text/plain; charset=utf-8"),
                b"Zu viele Anfragen, bitte sp\xc3",
            ),
        ] {
            assert_eq!(content_kind(content_type, bytes, false), Ok(None), "{bytes:?}");
            assert!(content_kind(content_type, bytes, true).is_err(), "{bytes:?}");
        }
        for (content_type, bytes) in [(None, &b"rate"[..]), (Some("text/plain"), b"a\x00"), (None, b"<")] {
            assert!(content_kind(content_type, bytes, false).is_err(), "{bytes:?}");
        }
    }
}
