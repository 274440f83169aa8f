//! The members of a response, in the forms in which servers write them.

use serde_json::{Map, Value};

/// Reads the members of a body: a JSON object (RFC 6749, section 5.1), or the form encoding that some servers have kept
/// from before the standard. `None` for anything else.
///
/// The bytes decide, not the content type. A byte order mark is skipped, and what is not UTF-8 becomes U+FFFD.
#[must_use]
pub fn members(body: &[u8]) -> Option<Map<String, Value>> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match serde_json::from_slice(body) {
        Ok(members) => Some(members),
        Err(error) if error.is_data() => None,
        Err(_) => {
            let text = zeroize::Zeroizing::new(String::from_utf8_lossy(body).into_owned());
            serde_json::from_str(&text).ok().or_else(|| form(text.trim()))
        }
    }
}

/// Reads `access_token=…&token_type=bearer`.
fn form(text: &str) -> Option<Map<String, Value>> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    let is_form = text.split('&').all(|pair| {
        pair.split_once('=').is_some_and(|(name, value)| {
            is_name(name) && !value.contains(|c: char| c.is_whitespace() || c == '<')
        })
    });
    is_form.then(|| {
        url::form_urlencoded::parse(text.as_bytes())
            .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::members;

    #[test]
    fn members_are_read_in_every_form_that_servers_write() {
        for (body, expected) in [
            (&br#"{"a":"b"}"#[..], json!({"a": "b"})),
            (b"\xef\xbb\xbf {\"a\":1}\r\n", json!({"a": 1})),
            (b"{\"a\":\"\xe9\"}", json!({"a": "\u{fffd}"})),
            (b"a=b&c=d%20e+f", json!({"a": "b", "c": "d e f"})),
            (
                b"\xef\xbb\xbfaccess_token=x&scope=\n",
                json!({"access_token": "x", "scope": ""}),
            ),
            (b"error=access_denied", json!({"error": "access_denied"})),
        ] {
            assert_eq!(members(body).map(Value::Object), Some(expected), "{body:?}");
        }
    }

    #[test]
    fn anything_else_has_none() {
        for body in [
            "",
            " ",
            "null",
            "[]",
            "\"a\"",
            "5",
            "{",
            "{\"a\":",
            "a",
            "a=b c=d",
            "<a href=\"x\">",
            "<p>a=b</p>",
            "no=yes&",
            "a=b&&c=d",
            "=b",
            "1 = 1",
        ] {
            assert_eq!(members(body.as_bytes()), None, "{body}");
        }
    }
}
