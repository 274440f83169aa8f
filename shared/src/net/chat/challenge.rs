//! What a `WWW-Authenticate` header says is wrong: `error` and `error_description` (RFC 6750, section 3).

use super::api_error::ApiError;

/// Returns the error of a challenge; `None` for one that only asks for a credential.
pub(super) fn error_of(challenge: &str) -> Option<ApiError> {
    let words = ["error", "error_description"].map(|name| parameter(challenge, name).unwrap_or_default());
    let [code, message] = &words;
    let error = ApiError::from_member(&serde_json::json!({ "code": code, "message": message }));
    (!error.is_empty()).then_some(error)
}

/// Returns a parameter of a challenge, a token or a quoted string (RFC 9110, section 11.2).
fn parameter(challenge: &str, wanted: &str) -> Option<String> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let mut rest = challenge;
    loop {
        rest = &rest[rest.find(is_token)?..];
        let end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        // The name of a scheme has no value.
        let Some(after) = after.trim_start().strip_prefix('=') else {
            rest = after;
            continue;
        };
        let (value, after) = value(after.trim_start());
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// Reads a value at the beginning of a text; returns it and what follows.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .find(|c: char| c == ',' || c.is_whitespace())
            .unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::error_of;

    #[test]
    fn a_challenge_may_say_what_is_wrong() {
        for (challenge, words) in [
            (
                r#"Bearer error="invalid_token", error_description="the token expired""#,
                Some("the token expired"),
            ),
            (
                r#"Bearer realm="error=\"x\"", ERROR = invalid_token ,error_description = "a \"b\"""#,
                Some(r#"a "b""#),
            ),
            (r#"Basic realm="x", Bearer error_description="gone"#, Some("gone")),
            (r#"Bearer error=invalid_token"#, Some("invalid_token")),
            (r#"Bearer realm="api", charset="UTF-8""#, None),
            ("Negotiate YWJj==", None),
            ("Bearer", None),
            ("", None),
            ("=\"", None),
        ] {
            let said = error_of(challenge).map(|error| error.describe());
            assert_eq!(said.as_deref(), words, "{challenge}");
        }
    }
}
