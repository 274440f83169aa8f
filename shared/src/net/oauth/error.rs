//! Error responses of an authorization server.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::body::members;
use super::transport::HttpResponse;
use crate::exit::{Exit, Failure};
use crate::net::chat::{Refusal, RefusalHead};
use crate::net::http::HttpError;
use crate::secret::Secret;
use crate::text::{clip, one_line};

/// Why a request to an authorization server failed.
#[derive(Debug)]
pub enum OauthError {
    /// An error response (RFC 6749, section 5.2; RFC 8628, section 3.5), whatever the status.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `error` as sent; `None` for a 4xx without one.
        code: Option<String>,
        /// The `error_description` as sent, or what else a body without `error` says.
        description: Option<String>,
    },
    /// A 408, 429 or 5xx without a standard error code, or a code that stands for one of these.
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`.
        retry_after: Option<Duration>,
        /// The server's own `error` and `error_description`, as sent.
        error: Option<(String, Option<String>)>,
    },
    /// The metadata document is of another issuer (RFC 8414, section 3.3).
    OtherIssuer {
        /// The issuer of the settings.
        asked: String,
        /// The issuer of the document, as sent.
        found: String,
    },
    /// A response that is neither a success nor an error. The reason never quotes the body.
    Malformed(String),
    /// A page, or a redirect: something else answers in the server's place, as where a network wants to be logged in to first.
    Elsewhere(String),
    /// The device code expired before it was approved.
    Expired,
    /// There was no complete response.
    Http(HttpError),
}

impl OauthError {
    /// Reads a response that is not a success.
    #[must_use]
    pub fn from_response(response: &HttpResponse) -> Self {
        let body = members(&response.body).unwrap_or_default();
        let status = response.status;
        let is_busy = matches!(status, 408 | 429 | 500..);
        let description = || description_in(&body);
        match (code_in(&body), status) {
            (Some(code), _) if is_server_failure(&code) || (is_busy && !is_standard(&code)) => {
                Self::Unavailable {
                    status,
                    retry_after: response.retry_after,
                    error: Some((code, description())),
                }
            }
            (Some(code), _) => Self::Refused {
                status,
                code: Some(code),
                description: description(),
            },
            // RFC 6585, section 6.
            (None, 511) => Self::Elsewhere("the network wants to be logged in to (status 511)".to_owned()),
            (None, _) if is_busy => Self::unavailable(response),
            (None, 300..=399) => {
                Self::Elsewhere(format!("a redirect (status {status}), which is not followed"))
            }
            (None, _) => Self::Refused {
                status,
                code: None,
                description: Some(words(response)).filter(|words| !words.is_empty()),
            },
        }
    }

    /// The error of a success whose body has no members: `what` is not what it is to be.
    pub(super) fn without_members(what: &str, response: &HttpResponse) -> Self {
        let reason = format!("{what} is not a JSON object");
        let body = response
            .body
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&response.body);
        match body.trim_ascii_start().starts_with(b"<") {
            true => Self::Elsewhere(format!("{reason} but a page")),
            false => Self::Malformed(reason),
        }
    }

    pub(super) const fn unavailable(response: &HttpResponse) -> Self {
        Self::Unavailable {
            status: response.status,
            retry_after: response.retry_after,
            error: None,
        }
    }

    /// Removes a token from the description: some servers repeat what they were sent.
    #[must_use]
    pub fn without(mut self, token: &Secret<String>) -> Self {
        let description = match &mut self {
            Self::Refused { description, .. } => description,
            Self::Unavailable {
                error: Some((_, description)),
                ..
            } => description,
            _ => return self,
        };
        if let Some(text) = description.as_mut().filter(|_| !token.expose().is_empty()) {
            *text = text.replace(token.expose().as_str(), "***");
        }
        self
    }

    /// True for a refusal with this `error`.
    #[must_use]
    pub fn is_refused_as(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code: Some(code), .. } if code == wanted)
    }

    /// True where the person, or the server's rules for them, said no: in the word of RFC 8628, section 3.5, or in the one of
    /// its drafts, which Microsoft's and OpenAM's servers have kept.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        self.is_refused_as("access_denied") || self.is_refused_as("authorization_declined")
    }

    /// Returns the exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused { code: Some(code), .. } => match code.as_str() {
                // The second is GitHub's.
                "invalid_client"
                | "incorrect_client_credentials"
                | "unauthorized_client"
                | "unsupported_grant_type"
                | "invalid_scope"
                | "invalid_target" => Exit::Config,
                "slow_down" => Exit::TryAgain,
                _ => Exit::NoAuth,
            },
            Self::Refused { status: 401, .. } => Exit::NoAuth,
            Self::Refused { .. } | Self::Malformed(_) | Self::Elsewhere(_) => Exit::Protocol,
            Self::Unavailable { .. } => Exit::TryAgain,
            Self::OtherIssuer { .. } => Exit::Config,
            Self::Expired => Exit::NoAuth,
            Self::Http(error) => error.exit(),
        }
    }

    /// Returns the failure, which names the server.
    #[must_use]
    pub fn failure(&self, server: &str) -> Failure {
        self.failure_with(server, self.exit())
    }

    /// As [`OauthError::failure`], for a request that comes before a person is asked: what is refused then is a fault of the
    /// settings, and another login meets it again.
    #[must_use]
    pub fn failure_before_login(&self, server: &str) -> Failure {
        let is_refused = matches!(self, Self::Refused { .. }) && self.exit() != Exit::TryAgain;
        self.failure_with(server, if is_refused { Exit::Config } else { self.exit() })
    }

    fn failure_with(&self, server: &str, exit: Exit) -> Failure {
        match self {
            // A timeout has a hint about flags, which do not apply here.
            Self::Http(error) if !matches!(error, HttpError::Timeout(..)) => error.failure(server),
            Self::Refused { code, .. } if exit == Exit::Config => {
                Failure::new(exit, format!("'{server}': {self}")).hint(hint_at_settings(code.as_deref()))
            }
            Self::OtherIssuer { asked, found } => {
                Failure::new(exit, self.to_string()).hint(hint_at_issuer(asked, found))
            }
            Self::Elsewhere(_) => Failure::new(exit, format!("'{server}': {self}"))
                .hint("see whether this network wants you to log in to it first, or a proxy answers instead"),
            _ => Failure::new(exit, format!("'{server}': {self}")),
        }
    }
}

/// Says which settings a refusal may be about.
fn hint_at_settings(code: Option<&str>) -> &'static str {
    match code {
        Some("invalid_client" | "incorrect_client_credentials") => {
            "check \"client_id\" of the profile's \"oauth\""
        }
        Some("unauthorized_client" | "unsupported_grant_type") => {
            "see that the server allows the client of \"client_id\" the device grant"
        }
        Some("invalid_scope") => "check \"scope\" of the profile's \"oauth\"",
        Some("invalid_target") => "check \"parameters\" of the profile's \"oauth\"",
        Some(_) => "check \"client_id\", \"scope\" and \"parameters\" of the profile's \"oauth\"",
        None => "check the endpoints of the profile's \"oauth\"",
    }
}

/// Says what may be wrong with an issuer. The document's own is offered only where it is the same address in another spelling:
/// else it may be somebody else's.
fn hint_at_issuer(asked: &str, found: &str) -> String {
    let plain = |text: &str| text.trim_end_matches('/').to_ascii_lowercase();
    if plain(asked) == plain(found) {
        format!("write \"issuer\" as the document does: '{found}'")
    } else if found.contains('{') {
        "name a tenant in \"issuer\", or set \"device_authorization_endpoint\" and \"token_endpoint\" instead"
            .to_owned()
    } else {
        "check \"issuer\", or set \"device_authorization_endpoint\" and \"token_endpoint\" instead".to_owned()
    }
}

/// Returns the first of these members that is a text and not empty.
fn text(members: &Map<String, Value>, names: &[&str]) -> Option<String> {
    let mut texts = names.iter().filter_map(|name| members.get(*name)?.as_str());
    texts.find(|text| !text.is_empty()).map(str::to_owned)
}

/// Returns the code of an error: `error`, or where servers write it besides.
fn code_in(body: &Map<String, Value>) -> Option<String> {
    let inner = body.get("error").and_then(Value::as_object);
    let inner = inner.and_then(|error| text(error, &["code", "type", "status"]));
    text(body, &["error", "error_code"])
        .or_else(|| inner.filter(|code| is_standard(code) || is_server_failure(code)))
}

/// Returns what a body says of its error: `error_description`, or where servers write it besides.
fn description_in(body: &Map<String, Value>) -> Option<String> {
    let inner = body.get("error").and_then(Value::as_object);
    text(body, &["error_description"])
        .or_else(|| text(inner?, &["message"]))
        .or_else(|| text(body, &["message", "detail"]))
}

/// Returns what a body says that has no `error`.
fn words(response: &HttpResponse) -> String {
    let head = RefusalHead {
        status: response.status,
        ..RefusalHead::default()
    };
    Refusal::read(&head, &response.body, "custom").verdict.words
}

/// True for the codes of RFC 6749, section 4.1.2.1, that stand for a 5xx, and for those that stand for a 429.
fn is_server_failure(code: &str) -> bool {
    const WORDS: [&str; 4] = ["rate_limit", "too_many_requests", "throttl", "unavailable"];
    let code = code.to_ascii_lowercase().replace([' ', '-'], "_");
    code == "server_error" || WORDS.iter().any(|word| code.contains(word))
}

/// True for the codes of RFC 6749, section 5.2, and RFC 8628, section 3.5. They count whatever the status, as with
/// Qwen's `slow_down` on 429; any other code on a 408, 429 or 5xx is a failure of the server.
fn is_standard(code: &str) -> bool {
    matches!(
        code,
        "invalid_request"
            | "invalid_client"
            | "invalid_grant"
            | "unauthorized_client"
            | "unsupported_grant_type"
            | "invalid_scope"
            | "invalid_target"
            | "authorization_pending"
            | "slow_down"
            | "access_denied"
            | "authorization_declined"
            | "expired_token"
    )
}

fn describe(code: &str, description: Option<&str>) -> String {
    match description.map(printable).filter(|text| !text.is_empty()) {
        Some(text) => format!("{}: {text}", printable(code)),
        None => printable(code),
    }
}

/// Makes a server's text one harmless line. RFC 6749, section 5.2, allows printable ASCII alone, but servers speak to people in
/// their own language.
fn printable(text: &str) -> String {
    clip(one_line(text).trim(), 300)
}

impl fmt::Display for OauthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused {
                code: Some(code),
                description,
                ..
            } => f.write_str(&describe(code, description.as_deref())),
            Self::Refused {
                status, description, ..
            } => f.write_str(&describe(
                &format!("the server responded with status {status}"),
                description.as_deref(),
            )),
            Self::Unavailable {
                status,
                retry_after,
                error,
            } => {
                write!(f, "the server responded with status {status}")?;
                if let Some((code, description)) = error {
                    write!(f, ", {}", describe(code, description.as_deref()))?;
                }
                match retry_after {
                    Some(wait) => write!(f, " and asks to retry after {} s", wait.as_secs()),
                    None => Ok(()),
                }
            }
            Self::OtherIssuer { asked, found } => write!(
                f,
                "the metadata document of issuer '{}' is of another one: '{}'",
                printable(asked),
                printable(found)
            ),
            Self::Malformed(reason) | Self::Elsewhere(reason) => {
                write!(f, "invalid OAuth response: {reason}")
            }
            Self::Expired => f.write_str("the code expired before it was approved"),
            Self::Http(error) => error.fmt(f),
        }
    }
}

impl Error for OauthError {}

#[cfg(test)]
mod tests {
    use super::OauthError;
    use crate::exit::Exit;
    use crate::net::oauth::HttpResponse;

    fn read(status: u16, body: &str) -> OauthError {
        OauthError::from_response(&HttpResponse {
            status,
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
            (
                401,
                "<html>",
                "the server responded with status 401: the answer is an HTML page",
                Exit::NoAuth,
            ),
            (
                400,
                "<html><title>Bad request</title>",
                "the server responded with status 400: the answer is an HTML page, 'Bad request'",
                Exit::Protocol,
            ),
            (404, "", "the server responded with status 404", Exit::Protocol),
            (
                415,
                r#"{"type":"about:blank","title":"Unsupported Media Type","detail":"send a form"}"#,
                "the server responded with status 415: send a form",
                Exit::Protocol,
            ),
            (
                403,
                r#"{"error_code":"rate_limit_exceeded"}"#,
                "the server responded with status 403, rate_limit_exceeded",
                Exit::TryAgain,
            ),
            (
                403,
                r#"{"error":"Too Many Requests","error_description":"later"}"#,
                "the server responded with status 403, Too Many Requests: later",
                Exit::TryAgain,
            ),
            (
                400,
                "\u{feff}{\"error\":\"invalid_grant\",\"error_description\":\"授权已过期。\\r\\n请重新登录\"}",
                "invalid_grant: 授权已过期。 请重新登录",
                Exit::NoAuth,
            ),
            (
                200,
                "error=access_denied&error_description=The+user+said+no&error_uri=https%3A%2F%2Fx.example",
                "access_denied: The user said no",
                Exit::NoAuth,
            ),
            (
                400,
                r#"{"error":{"code":"invalid_client","message":"who?"}}"#,
                "invalid_client: who?",
                Exit::Config,
            ),
            (
                400,
                r#"{"error":"invalid_grant","message":"the session was ended","statusCode":400}"#,
                "invalid_grant: the session was ended",
                Exit::NoAuth,
            ),
            (
                307,
                "",
                "invalid OAuth response: a redirect (status 307), which is not followed",
                Exit::Protocol,
            ),
            (
                502,
                "<html>bad gateway</html>",
                "the server responded with status 502",
                Exit::TryAgain,
            ),
            (
                503,
                r#"{"error":"temporarily_unavailable"}"#,
                "the server responded with status 503, temporarily_unavailable",
                Exit::TryAgain,
            ),
            (
                500,
                r#"{"error":"internal_error","error_description":"see log 7"}"#,
                "the server responded with status 500, internal_error: see log 7",
                Exit::TryAgain,
            ),
            (
                429,
                r#"{"error":"too_many_requests"}"#,
                "the server responded with status 429, too_many_requests",
                Exit::TryAgain,
            ),
            (429, r#"{"error":"slow_down"}"#, "slow_down", Exit::TryAgain),
            (500, r#"{"error":"access_denied"}"#, "access_denied", Exit::NoAuth),
            (429, "", "the server responded with status 429", Exit::TryAgain),
            (408, "", "the server responded with status 408", Exit::TryAgain),
            (
                400,
                r#"{"error":{"message":"x"}}"#,
                "the server responded with status 400: x",
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
    fn descriptions_lose_what_is_hostile_and_nothing_else() {
        let hostile = "a\u{1b}]52;c;AA\u{7}b\u{202e}c \\\"d\u{9b}31m ü\r\nß\u{200b}";
        let body = serde_json::json!({"error": "x\u{1b}[2J", "error_description": hostile}).to_string();
        assert_eq!(read(400, &body).to_string(), "x[2J: a]52;c;AAbc \\\"d31m ü ß");
        let body = serde_json::json!({"error": "x", "error_description": "y".repeat(5000)}).to_string();
        assert!(read(400, &body).to_string().len() < 400);
    }

    #[test]
    fn what_is_refused_before_a_person_is_asked_is_a_setting() {
        for (status, body, exit) in [
            (400, r#"{"error":"invalid_request"}"#, Exit::Config),
            (403, r#"{"error":"access_denied"}"#, Exit::Config),
            (400, r#"{"error":"made_up"}"#, Exit::Config),
            (401, "<html>", Exit::Config),
            (415, "no", Exit::Config),
            (400, r#"{"error":"slow_down"}"#, Exit::TryAgain),
            (403, r#"{"error":"rate_limit_exceeded"}"#, Exit::TryAgain),
            (503, "", Exit::TryAgain),
            (302, "", Exit::Protocol),
        ] {
            assert_eq!(
                read(status, body).failure_before_login("x").exit,
                exit,
                "{status} {body}"
            );
        }
    }
}
