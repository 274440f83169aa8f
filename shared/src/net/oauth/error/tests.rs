use super::OauthError;
use crate::exit::Exit;
use crate::net::oauth::Answer;

fn read(status: u16, body: &str) -> OauthError {
    OauthError::from_answer(&Answer {
        status,
        content_type: None,
        retry_after: None,
        date: None,
        body: body.as_bytes().to_vec(),
    })
}

#[test]
fn errors_are_read_on_every_status_and_end_as_they_should() {
    for (status, body, shown, exit) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"gone"}"#,
            "invalid_grant: gone",
            Exit::NoAuth,
        ),
        (
            401,
            r#"{"error":"invalid_client"}"#,
            "invalid_client",
            Exit::Config,
        ),
        (
            400,
            r#"{"error":"unauthorized_client"}"#,
            "unauthorized_client",
            Exit::Config,
        ),
        (
            400,
            r#"{"error":"unsupported_grant_type"}"#,
            "unsupported_grant_type",
            Exit::Config,
        ),
        (
            400,
            r#"{"error":"access_denied","error_description":null}"#,
            "access_denied",
            Exit::NoAuth,
        ),
        (
            418,
            r#"{"error":"teapot","error_description":7}"#,
            "teapot",
            Exit::NoAuth,
        ),
        (401, "<html>", "status 401", Exit::NoAuth),
        (
            400,
            "<html>",
            "the server's answer is not what OAuth says: status 400 without an error code",
            Exit::Protocol,
        ),
        (
            404,
            "",
            "the server's answer is not what OAuth says: status 404 without an error code",
            Exit::Protocol,
        ),
        (
            307,
            "",
            "the server's answer is not what OAuth says: a redirect (status 307), which is not followed",
            Exit::Protocol,
        ),
        (
            502,
            "<html>bad gateway</html>",
            "the server answers with status 502",
            Exit::TryAgain,
        ),
        (
            503,
            r#"{"error":"temporarily_unavailable"}"#,
            "the server answers with status 503, temporarily_unavailable",
            Exit::TryAgain,
        ),
        (
            500,
            r#"{"error":"internal_error","error_description":"see log 7"}"#,
            "the server answers with status 500, internal_error: see log 7",
            Exit::TryAgain,
        ),
        (
            429,
            r#"{"error":"too_many_requests"}"#,
            "the server answers with status 429, too_many_requests",
            Exit::TryAgain,
        ),
        (429, r#"{"error":"slow_down"}"#, "slow_down", Exit::TryAgain),
        (500, r#"{"error":"access_denied"}"#, "access_denied", Exit::NoAuth),
        (429, "", "the server answers with status 429", Exit::TryAgain),
        (408, "", "the server answers with status 408", Exit::TryAgain),
        (
            400,
            r#"{"error":{"message":"x"}}"#,
            "the server's answer is not what OAuth says: status 400 without an error code",
            Exit::Protocol,
        ),
    ] {
        let error = read(status, body);
        assert_eq!(
            (error.to_string().as_str(), error.exit()),
            (shown, exit),
            "{status} {body}"
        );
    }
}

#[test]
fn descriptions_show_only_what_the_standard_allows() {
    let hostile = "a\u{1b}]52;c;AA\u{7}b\u{202e}c \\\"d\u{9b}31m ü";
    let body = serde_json::json!({"error": "x\u{1b}[2J", "error_description": hostile}).to_string();
    assert_eq!(read(400, &body).to_string(), "x[2J: a]52;c;AAbc d31m");
    let body = serde_json::json!({"error": "x", "error_description": "y".repeat(5000)}).to_string();
    assert!(read(400, &body).to_string().len() < 400);
}
