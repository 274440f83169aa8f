//! Errors of an API: what they are about, and how a program ends on them.

use std::fmt;

use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::text::{clip, one_line};

/// The largest event that is kept, in bytes. Servers have sent single events of 8 MiB; what is larger is an attack.
pub(super) const EVENT_LIMIT: usize = 64 << 20;

/// The most characters of a server's message that are shown.
const MESSAGE_LIMIT: usize = 400;

/// An error object, in any of the shapes that servers give it.
///
/// The text is the server's and may hold anything; [`ApiError::describe`] makes it safe to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiError {
    /// What the server says.
    pub message: String,
    /// The `type` member.
    pub error_type: String,
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

    /// As [`ApiError::from_json`], from text.
    #[must_use]
    pub fn parse(json: &str) -> Option<Self> {
        Self::from_json(&serde_json::from_str(json).ok()?)
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
                error_type: text(&["type", "status"]),
                code: text(&["code", "error_code"]),
                param: text(&["param"]),
            },
            other => Self {
                message: as_text(other),
                ..Self::default()
            },
        }
    }

    /// Returns the message on one harmless line of bounded length; the code when there is no message.
    #[must_use]
    pub fn describe(&self) -> String {
        let words = [&self.message, &self.code, &self.error_type]
            .into_iter()
            .find(|text| !text.trim().is_empty());
        words.map_or_else(
            || "no reason given".to_owned(),
            |words| clip(one_line(words).trim().trim_end_matches('.'), MESSAGE_LIMIT),
        )
    }

    /// Returns what an error inside a stream, which has no status, is about.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::classify(self.code.parse().ok(), Some(self))
    }
}

/// Turns a member into text: a string, a list's first element, anything else as JSON.
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

/// Why a body is not a complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The body is something else: a captive portal's page, another service's answer. With its content type.
    NotAnAnswer(String),
    /// An event, or the whole body, is not valid JSON.
    Malformed(String),
    /// One event, or a whole answer in one piece, is larger than 64 MiB.
    TooLong,
    /// The server reports an error in the answer.
    Api(ApiError),
    /// The body ended, without an error, before the answer did.
    Incomplete,
}

impl AnswerError {
    /// Returns how a program ends because of it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Api(error) => match error.kind() {
                ErrorKind::Quota | ErrorKind::NotFound => Exit::Unavailable,
                ErrorKind::Server | ErrorKind::RateLimit => Exit::TryAgain,
                ErrorKind::Auth => Exit::NoAuth,
                ErrorKind::BadRequest | ErrorKind::Redirect | ErrorKind::Unexpected => Exit::Protocol,
            },
            _ => Exit::Protocol,
        }
    }

    /// Turns it into a failure that names the server.
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
            Self::Malformed(reason) => write!(f, "the answer is malformed: {}", clip(reason, MESSAGE_LIMIT)),
            Self::TooLong => write!(
                f,
                "the answer is malformed: an event is larger than {} MiB",
                EVENT_LIMIT >> 20
            ),
            Self::Api(error) => write!(f, "error within the answer: {}", error.describe()),
            Self::Incomplete => f.write_str("the answer is incomplete: it ended without a finish reason"),
        }
    }
}

impl std::error::Error for AnswerError {}

/// What an API error is about. Exit code and retries follow from it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The credential is refused.
    Auth,
    /// The quota or the balance is used up: waiting a minute will not help.
    Quota,
    /// No such model or path.
    NotFound,
    /// Too many requests just now.
    RateLimit,
    /// The server fails, or is too busy.
    Server,
    /// The request is at fault.
    BadRequest,
    /// A redirect, which is never followed: it would carry the secret along.
    Redirect,
    /// A status that no chat endpoint sends.
    Unexpected,
}

/// Parts of a code or type that mean a used-up quota. `insufficient_quota` is OpenAI's and DashScope's, `Arrearage` and
/// `AllocationQuota.FreeTierOnly` DashScope's, `insufficient_balance` DeepSeek's.
const QUOTA_CODES: [&str; 7] = [
    "insufficient_quota",
    "insufficient_balance",
    "insufficient_credits",
    "billing",
    "arrearage",
    "freetieronly",
    "quota_exceeded",
];
/// The same, in a message without a code (Qwen's OAuth endpoint).
const QUOTA_WORDS: [&str; 3] = [
    "insufficient_quota",
    "free allocated quota exceeded",
    "insufficient balance",
];
const MODEL_CODES: [&str; 7] = [
    "model_not_found",
    "modelnotfound",
    "model_not_exist",
    "model_not_supported",
    "invalid_model",
    "model_not_available",
    "deploymentnotfound",
];
const MISSING_WORDS: [&str; 7] = [
    "does not exist",
    "not exist",
    "not found",
    "unknown model",
    "not a valid model",
    "no such model",
    "not supported",
];
const AUTH_CODES: [&str; 5] = [
    "invalid_api_key",
    "invalidapikey",
    "authentication",
    "unauthorized",
    "permission_denied",
];
const RATE_CODES: [&str; 4] = ["rate_limit", "ratelimit", "throttling", "too_many_requests"];
const BUSY_CODES: [&str; 7] = [
    "server_error",
    "internal_error",
    "internalerror",
    "overloaded",
    "unavailable",
    "timeout",
    "bad_gateway",
];

impl ErrorKind {
    /// Decides by status and error object; without a status by the object alone.
    #[must_use]
    pub fn classify(status: Option<u16>, error: Option<&ApiError>) -> Self {
        let lower = |text: Option<&String>| text.map(|text| text.to_ascii_lowercase()).unwrap_or_default();
        let code = lower(error.map(|error| &error.code));
        let error_type = lower(error.map(|error| &error.error_type));
        let message = lower(error.map(|error| &error.message));
        let code_has = |words: &[&str]| {
            words
                .iter()
                .any(|word| code.contains(word) || error_type.contains(word))
        };
        let message_has = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if status == Some(402) || code_has(&QUOTA_CODES) || message_has(&QUOTA_WORDS) {
            return Self::Quota;
        }
        if code_has(&MODEL_CODES) {
            return Self::NotFound;
        }
        match status {
            Some(401 | 403) => Self::Auth,
            Some(404 | 405 | 410) => Self::NotFound,
            Some(400 | 422) if error.is_some_and(lacks_model) => Self::NotFound,
            Some(429) => Self::RateLimit,
            Some(408 | 409 | 425 | 500..=599) => Self::Server,
            Some(300..=399) => Self::Redirect,
            Some(400..=499) => Self::BadRequest,
            _ if code_has(&RATE_CODES) => Self::RateLimit,
            _ if code_has(&BUSY_CODES) => Self::Server,
            _ if code_has(&AUTH_CODES) => Self::Auth,
            _ => Self::Unexpected,
        }
    }

    /// True when the same request may succeed later.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::RateLimit | Self::Server)
    }

    /// Returns the exit code that it comes to.
    pub(super) const fn exit(self) -> Exit {
        match self {
            Self::Auth => Exit::NoAuth,
            Self::Quota | Self::NotFound => Exit::Unavailable,
            Self::RateLimit | Self::Server => Exit::TryAgain,
            Self::BadRequest => Exit::Data,
            Self::Redirect | Self::Unexpected => Exit::Protocol,
        }
    }

    /// Returns a short description.
    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::Auth => "the credential was refused",
            Self::Quota => "the quota is used up",
            Self::NotFound => "no such model or path",
            Self::RateLimit => "too many requests",
            Self::Server => "the server failed",
            Self::BadRequest => "the request was refused",
            Self::Redirect => "refused to follow a redirect",
            Self::Unexpected => "unexpected status",
        }
    }
}

/// True when the words say that there is no such model, and not that the model lacks something: what is missing comes
/// after the word `model`, or is named as the parameter at fault. "'max_tokens' is not supported with this model" is
/// about the request.
fn lacks_model(error: &ApiError) -> bool {
    let message = error.message.to_ascii_lowercase();
    MISSING_WORDS.iter().any(|words| {
        message.find(words).is_some_and(|at| match error.param.as_str() {
            "" => message[..at + words.len()].contains("model"),
            param => param == "model",
        })
    })
}

#[cfg(test)]
mod tests {
    use super::AnswerError;
    use super::ApiError;

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
                (error.describe().as_str(), error.code.as_str()),
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
        assert_eq!(long.describe().chars().count(), 401);
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
