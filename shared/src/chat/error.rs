//! What can be wrong with an answer whose head was fine.

use std::fmt;

use serde_json::Value;

use super::events::TooLong;
use super::kind::Kind;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{clip, one_line};

/// The most characters of a server's own words that go into a message.
const WORDS: usize = 400;

/// An error object, in any of the shapes that servers give it.
///
/// Its words are the server's: hostile until [`one_line`] has been over them, which [`ApiError::words`] does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiError {
    /// What the server says.
    pub message: String,
    /// The `type` member.
    pub kind: String,
    /// The `code` member; a number as text.
    pub code: String,
    /// The member of the request that is at fault.
    pub param: String,
}

impl ApiError {
    /// Reads an error out of a body or an event; `None` when it holds none.
    ///
    /// Known shapes: `{"error": {…}}`, `{"error": "words"}`, the members at the top (vLLM, DashScope), `{"detail": …}`
    /// (FastAPI), `{"errors": […]}`, and any of them in a list (Google).
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::Array(list) => list.first().and_then(Self::from_json),
            Value::Object(members) => {
                if let Some(error) = members.get("error").filter(|error| !error.is_null()) {
                    return Some(Self::from_member(error));
                }
                if let Some(first) = members.get("errors").and_then(|errors| errors.get(0)) {
                    return Some(Self::from_member(first));
                }
                ["message", "detail", "error_msg", "msg"]
                    .iter()
                    .any(|name| members.get(*name).is_some_and(|words| !words.is_null()))
                    .then(|| Self::from_member(value))
            }
            _ => None,
        }
    }

    /// Reads the value of an `error` member.
    #[must_use]
    pub fn from_member(value: &Value) -> Self {
        let text = |names: &[&str]| {
            names
                .iter()
                .map(|name| as_text(&value[*name]))
                .find(|text| !text.is_empty())
                .unwrap_or_default()
        };
        match value {
            Value::Object(_) => Self {
                message: text(&["message", "detail", "error_msg", "msg", "error"]),
                kind: text(&["type", "status"]),
                code: text(&["code", "error_code"]),
                param: text(&["param"]),
            },
            other => Self {
                message: as_text(other),
                ..Self::default()
            },
        }
    }

    /// Returns the server's words on one harmless line of bounded length; its code when it has no words.
    #[must_use]
    pub fn words(&self) -> String {
        let words = [&self.message, &self.code, &self.kind]
            .into_iter()
            .find(|text| !text.trim().is_empty());
        words.map_or_else(
            || "no reason given".to_owned(),
            |words| clip(one_line(words).trim().trim_end_matches('.'), WORDS),
        )
    }

    /// Returns what kind of refusal it is when it comes without a status of its own, inside a stream.
    #[must_use]
    pub fn kind_in_stream(&self) -> Kind {
        Kind::of(self.code.parse().ok(), Some(self))
    }
}

/// Turns a member into words: text as it is, a number or anything structured as JSON, a list's first element.
fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list
            .first()
            .map(|first| match first {
                Value::Object(members) => members.get("msg").map_or_else(|| first.to_string(), as_text),
                other => as_text(other),
            })
            .unwrap_or_default(),
        other => other.to_string(),
    }
}

/// Why the bytes that came are not a whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The body is something else: a captive portal's page, another service's words. With its content type.
    NotAnAnswer(String),
    /// An event, or the whole body, is not the JSON that it should be.
    Malformed(String),
    /// One event, or a whole answer in one piece, is larger than 64 MiB.
    TooLong,
    /// The server reports an error in the answer.
    Api(ApiError),
    /// The body ended, in good order, before the answer did.
    Incomplete,
}

impl AnswerError {
    /// Returns how a program ends because of it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Api(error) => match error.kind_in_stream() {
                Kind::Quota | Kind::Missing => Exit::Unavailable,
                Kind::Busy | Kind::RateLimit => Exit::TryAgain,
                Kind::Auth => Exit::NoAuth,
                Kind::Request | Kind::Redirect | Kind::Strange => Exit::Protocol,
            },
            _ => Exit::Protocol,
        }
    }

    /// Lifts it into a failure that names the server.
    #[must_use]
    pub fn failure(&self, server: &str) -> Failure {
        let failure = Failure::new(self.exit(), format!("'{server}': {self}"));
        match self {
            Self::NotAnAnswer(_) => {
                failure.hint("check the base URL, and whether this network wants you to log in to it first")
            }
            _ => failure,
        }
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnAnswer(kind) => write!(f, "not an API answer: the content type is '{kind}'"),
            Self::Malformed(reason) => write!(f, "the answer is malformed: {}", clip(reason, WORDS)),
            Self::TooLong => write!(f, "the answer is malformed: {TooLong}"),
            Self::Api(error) => write!(f, "error within the answer: {}", error.words()),
            Self::Incomplete => f.write_str("the answer is incomplete: it ended without a finish reason"),
        }
    }
}

impl std::error::Error for AnswerError {}

impl From<TooLong> for AnswerError {
    fn from(_: TooLong) -> Self {
        Self::TooLong
    }
}

#[cfg(test)]
mod tests {
    use super::{AnswerError, ApiError};

    fn read(json: &str) -> Option<ApiError> {
        ApiError::from_json(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn error_objects_of_every_make_are_read() {
        for (json, words, code) in [
            (
                r#"{"error":{"message":"No such model.","type":"t","code":"model_not_found"}}"#,
                "No such model",
                "model_not_found",
            ),
            (r#"{"error":{"message":"busy","code":503}}"#, "busy", "503"),
            (r#"{"error":"plain words"}"#, "plain words", ""),
            (r#"{"object":"error","message":"top","code":400}"#, "top", "400"),
            (
                r#"{"code":"Throttling","message":"slow","request_id":"x"}"#,
                "slow",
                "Throttling",
            ),
            (r#"{"detail":"Not Found"}"#, "Not Found", ""),
            (
                r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
                "field required",
                "",
            ),
            (r#"{"errors":[{"message":"one"}]}"#, "one", ""),
            (
                r#"[{"error":{"code":404,"message":"in a list"}}]"#,
                "in a list",
                "404",
            ),
            (r#"{"error":{"code":"only_code"}}"#, "only_code", "only_code"),
            (r#"{"error":{}}"#, "no reason given", ""),
            (r#"{"error":{"message":"a\u001b[31m\nb\u202e"}}"#, "a[31m b", ""),
        ] {
            let error = read(json).unwrap();
            assert_eq!(
                (error.words().as_str(), error.code.as_str()),
                (words, code),
                "{json}"
            );
        }
        for none in [r#"{"error":null}"#, "{}", "[]", "3", r#"{"choices":[]}"#] {
            assert_eq!(read(none), None, "{none}");
        }
        let long = ApiError {
            message: "x".repeat(5000),
            ..ApiError::default()
        };
        assert_eq!(long.words().chars().count(), 401);
    }

    #[test]
    fn an_error_in_a_stream_ends_by_what_it_says() {
        for (json, exit) in [
            (r#"{"error":{"code":"insufficient_quota","message":"m"}}"#, 69),
            (r#"{"error":{"code":"model_not_found","message":"m"}}"#, 69),
            (r#"{"error":{"code":429,"message":"m"}}"#, 75),
            (r#"{"error":{"code":"rate_limit_exceeded","message":"m"}}"#, 75),
            (r#"{"error":{"type":"server_error","message":"m"}}"#, 75),
            (r#"{"error":{"type":"overloaded_error","message":"m"}}"#, 75),
            (r#"{"error":{"code":"502","message":"m"}}"#, 75),
            (r#"{"error":{"code":"invalid_api_key","message":"m"}}"#, 77),
            (r#"{"error":{"code":400,"message":"m"}}"#, 76),
            (r#"{"error":{"message":"what?"}}"#, 76),
        ] {
            let error = AnswerError::Api(read(json).unwrap());
            assert_eq!(error.exit().code(), exit, "{json}");
        }
    }
}
