//! What a refusal is about, by its status and by what the server says.

use super::error::ApiError;
use crate::exit::Exit;

/// What a refusal is about. Exit code and retries follow from it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The credential is refused.
    Auth,
    /// The quota or the balance is used up: waiting a minute will not help.
    Quota,
    /// No such model or path.
    Missing,
    /// Too many requests just now.
    RateLimit,
    /// The server fails, or is too busy.
    Busy,
    /// The request is at fault.
    Request,
    /// A redirect, which is never followed: it would carry the secret along.
    Redirect,
    /// Nothing that a chat endpoint would say.
    Strange,
}

/// Words in a code or type that mean a used-up quota. `insufficient_quota` is OpenAI's and DashScope's, `Arrearage` and
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

impl Kind {
    /// Tells what a status and an error object mean together. Without a status the object decides alone.
    #[must_use]
    pub fn of(status: Option<u16>, error: Option<&ApiError>) -> Self {
        let lower = |text: Option<&String>| text.map(|text| text.to_ascii_lowercase()).unwrap_or_default();
        let code = lower(error.map(|error| &error.code));
        let kind = lower(error.map(|error| &error.kind));
        let message = lower(error.map(|error| &error.message));
        let coded = |words: &[&str]| {
            words
                .iter()
                .any(|word| code.contains(word) || kind.contains(word))
        };
        let said = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if status == Some(402) || coded(&QUOTA_CODES) || said(&QUOTA_WORDS) {
            return Self::Quota;
        }
        if coded(&MODEL_CODES) {
            return Self::Missing;
        }
        match status {
            Some(401 | 403) => Self::Auth,
            Some(404 | 405 | 410) => Self::Missing,
            Some(400 | 422) if error.is_some_and(misses_model) => Self::Missing,
            Some(429) => Self::RateLimit,
            Some(408 | 409 | 425 | 500..=599) => Self::Busy,
            Some(300..=399) => Self::Redirect,
            Some(400..=499) => Self::Request,
            _ if coded(&RATE_CODES) => Self::RateLimit,
            _ if coded(&BUSY_CODES) => Self::Busy,
            _ if coded(&AUTH_CODES) => Self::Auth,
            _ => Self::Strange,
        }
    }

    /// True when the same request may succeed a little later.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::RateLimit | Self::Busy)
    }

    /// Returns the exit code that it comes to.
    pub(super) const fn exit(self) -> Exit {
        match self {
            Self::Auth => Exit::NoAuth,
            Self::Quota | Self::Missing => Exit::Unavailable,
            Self::RateLimit | Self::Busy => Exit::TryAgain,
            Self::Request => Exit::Data,
            Self::Redirect | Self::Strange => Exit::Protocol,
        }
    }

    /// Says it in a few words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Auth => "the credential was refused",
            Self::Quota => "the quota is used up",
            Self::Missing => "no such model or path",
            Self::RateLimit => "too many requests",
            Self::Busy => "the server failed",
            Self::Request => "the request was refused",
            Self::Redirect => "refused to follow a redirect",
            Self::Strange => "unexpected status",
        }
    }
}

/// True when the words say that there is no such model, and not that the model lacks something: what is missing comes
/// after the word `model`, or is named as the parameter at fault. "'max_tokens' is not supported with this model" is
/// about the request.
fn misses_model(error: &ApiError) -> bool {
    let message = error.message.to_ascii_lowercase();
    MISSING_WORDS.iter().any(|words| {
        message.find(words).is_some_and(|at| match error.param.as_str() {
            "" => message[..at + words.len()].contains("model"),
            param => param == "model",
        })
    })
}
