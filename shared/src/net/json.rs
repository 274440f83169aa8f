//! JSON that came over a connection.

use serde::de::IgnoredAny;

/// True for a JSON object to its last brace, with nothing behind it: no more can belong to it, whatever becomes of the
/// connection.
#[must_use]
pub fn is_whole_object(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    body.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_whole_object;

    #[test]
    fn only_an_object_shows_that_it_is_whole() {
        for (body, is_whole) in [
            ("{}", true),
            ("\u{feff} {\"a\": [1]}\r\n", true),
            ("{\"a\": [1]", false),
            ("{} {", false),
            ("12", false),
            ("[1]", false),
            ("", false),
        ] {
            assert_eq!(is_whole_object(body.as_bytes()), is_whole, "{body}");
        }
    }
}
