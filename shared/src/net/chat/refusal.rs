//! Responses with a status other than 2xx.

use std::time::{Duration, SystemTime};

use super::api_error::{ApiError, excerpt};
use super::challenge;
use super::verdict::{Asked, ErrorKind, Speaker, Verdict};
use crate::exit::Failure;
use crate::markup::element;
use crate::net::wait::{self, HeaderWaits};
use crate::text::{clip, one_line};

/// The most characters that are shown of a body that is no known error.
const BODY_LIMIT: usize = 200;

/// What the head of a response says about a refusal. It is known before the body, which may come slowly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalHead {
    /// The HTTP status.
    pub status: u16,
    /// The media type.
    pub content_type: Option<String>,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// How long the server asks to wait.
    pub wait: Option<Duration>,
    /// When a limit renews. It is there in good answers too, and says something only about a rate.
    pub reset: Option<Duration>,
    /// What the first `WWW-Authenticate` says that says what is wrong.
    pub challenge: Option<Box<ApiError>>,
    /// What `x-should-retry` says.
    pub should_retry: Option<bool>,
    /// The server's time, where it tells it.
    pub date: Option<SystemTime>,
}

impl RefusalHead {
    /// Reads the head of a response.
    #[must_use]
    pub fn read<'a>(status: u16, headers: impl Iterator<Item = (&'a str, &'a str)>, now: SystemTime) -> Self {
        let headers: Vec<_> = headers.collect();
        let header = |wanted: &str| {
            let mut found = headers
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.next().map(|(_, value)| value.trim().to_owned())
        };
        let challenges = headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
        let waits = HeaderWaits::read(headers.iter().copied(), now);
        Self {
            status,
            content_type: header("content-type"),
            location: header("location"),
            wait: waits.retry_after,
            reset: waits.reset,
            challenge: challenges
                .filter_map(|(_, value)| challenge::error_of(value))
                .next()
                .map(Box::new),
            date: wait::date(headers.iter().copied()),
            should_retry: header("x-should-retry").and_then(|word| word.to_ascii_lowercase().parse().ok()),
        }
    }
}

/// A response with a status other than 2xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What it means.
    pub verdict: Verdict,
    /// The error object, when there is one.
    pub error: Option<Box<ApiError>>,
    /// True when the request carried no credential that could be refused.
    pub is_anonymous: bool,
    /// True where the body is a web page: something may have answered in the API's place.
    pub is_page: bool,
}

impl Refusal {
    /// Reads a refusal from its head and its body (or the beginning of it), as `provider` writes them.
    #[must_use]
    pub fn read(head: &RefusalHead, body: &[u8], provider: &'static str) -> Self {
        let text = String::from_utf8_lossy(body);
        let body = Body::read(head, text.trim_start_matches('\u{feff}').trim());
        let error = body.error().sent_by(provider);
        let now = head.date.unwrap_or_else(SystemTime::now);
        let mut verdict = Verdict::of_response(head, &error, body.speaker(), now);
        verdict.words = body.words(head);
        Self {
            status: head.status,
            verdict,
            error: matches!(body, Body::Error(_)).then(|| Box::new(error)),
            is_anonymous: false,
            is_page: matches!(body, Body::Page(_)),
        }
    }

    /// Returns what happened, on one line: `too many requests (429): …`.
    #[must_use]
    pub fn describe(&self) -> String {
        let Verdict { kind, words, .. } = &self.verdict;
        let what = match kind {
            ErrorKind::Auth if self.is_anonymous => "a credential is needed, and none was sent",
            kind => kind.describe(),
        };
        let what = format!("{what} ({})", self.status);
        match (words.as_str(), kind) {
            ("", _) => what,
            // Where it leads, unless it does not say so.
            (place, ErrorKind::Redirect) if place.starts_with("to '") => format!("{what} {place}"),
            (words, _) => format!("{what}: {words}"),
        }
    }

    /// Turns it into a failure that names the server. Hints that depend on the settings are the caller's.
    #[must_use]
    pub fn failure(&self, server: &str, asked: Asked) -> Failure {
        let failure = Failure::new(self.verdict.exit(), format!("'{server}': {}", self.describe()));
        self.verdict.hints(asked).into_iter().fold(failure, Failure::hint)
    }
}

/// Says what a body holds that is none of what was asked for: its words, the title of a page, else its type.
#[must_use]
pub fn describe_body(content_type: Option<&str>, body: &[u8]) -> String {
    let head = RefusalHead {
        content_type: content_type.map(str::to_owned),
        ..RefusalHead::default()
    };
    let text = String::from_utf8_lossy(&body[..body.len().min(DESCRIBED)]);
    let body = Body::read(&head, text.trim_start_matches('\u{feff}').trim());
    match body.words(&head) {
        words if words.is_empty() => "the answer is empty".to_owned(),
        words => words,
    }
}

/// The most bytes of a body that are looked at to say what it is.
const DESCRIBED: usize = 64 << 10;

/// What the body of a refusal is.
enum Body {
    Empty,
    /// A redirect's, which nobody reads.
    Redirect,
    Error(ApiError),
    /// The error of a storage service or another front door, in XML.
    Markup(ApiError),
    /// JSON or XML that is no known error, or plain text; on one line.
    Text(String),
    /// HTML: its title.
    Page(String),
    /// None of these; its media type.
    Unknown(String),
}

impl Body {
    fn read(head: &RefusalHead, text: &str) -> Self {
        let content_type = head.content_type.as_deref().unwrap_or_default();
        if (300..400).contains(&head.status) && head.location.is_some() {
            return Self::Redirect;
        }
        if text.is_empty() {
            return match &head.challenge {
                Some(error) => Self::Error(ApiError::clone(error)),
                None => Self::Empty,
            };
        }
        if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
            return Self::from_json(&json, text);
        }
        let lower = text
            .get(..text.len().min(2000))
            .unwrap_or(text)
            .to_ascii_lowercase();
        let is_html = lower.contains("<html") || lower.contains("<!doctype html") || lower.contains("<body");
        let is_xml = lower.trim_start().starts_with("<?xml");
        if is_html || (content_type.contains("html") && text.contains('<') && !is_xml) {
            return Self::Page(
                element(text, "title")
                    .or_else(|| element(text, "h1"))
                    .unwrap_or_default(),
            );
        }
        if text.starts_with('<') {
            return Self::from_xml(text);
        }
        if text.contains("</") {
            return Self::Unknown(content_type.to_owned());
        }
        let is_text = text
            .chars()
            .take(BODY_LIMIT)
            .all(|c| !c.is_control() || c.is_whitespace() || c == '\x1b');
        match is_text && !text.contains('\u{fffd}') {
            true => Self::Text(text.to_owned()),
            false => Self::Unknown(content_type.to_owned()),
        }
    }

    fn from_json(json: &serde_json::Value, text: &str) -> Self {
        let error = match json {
            serde_json::Value::String(said) => Some(ApiError::from_text(said)),
            other => ApiError::from_json(other),
        };
        match error {
            Some(error) if !error.is_empty() => Self::Error(error),
            _ => match ApiError::from_member(json) {
                error if !error.is_empty() => Self::Error(error),
                _ if matches!(text, "{}" | "[]" | "null" | "\"\"") => Self::Empty,
                _ => Self::Text(text.to_owned()),
            },
        }
    }

    /// Reads `<Error><Code>…</Code><Message>…</Message></Error>`.
    fn from_xml(text: &str) -> Self {
        let first = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| element(text, name))
                .unwrap_or_default()
        };
        let (code, message) = (
            first(&["Code", "code"]),
            first(&["Message", "message", "faultstring"]),
        );
        match code.is_empty() && message.is_empty() {
            true => Self::Text(text.to_owned()),
            false => Self::Markup(ApiError::from_member(
                &serde_json::json!({ "code": code, "message": message }),
            )),
        }
    }

    /// Returns the error to judge by.
    fn error(&self) -> ApiError {
        match self {
            Self::Error(error) | Self::Markup(error) => error.clone(),
            Self::Text(text) | Self::Page(text) => ApiError::from_text(text),
            Self::Empty | Self::Redirect | Self::Unknown(_) => ApiError::default(),
        }
    }

    const fn speaker(&self) -> Speaker {
        match self {
            Self::Page(_) => Speaker::Page,
            Self::Markup(_) => Speaker::FrontDoor,
            _ => Speaker::Api,
        }
    }

    fn words(&self, head: &RefusalHead) -> String {
        match self {
            Self::Error(error) if error.is_empty() => String::new(),
            Self::Error(error) | Self::Markup(error) => error.describe(),
            Self::Redirect => {
                let location = head.location.as_deref().unwrap_or_default();
                format!("to '{}'", clip(&one_line(location), BODY_LIMIT))
            }
            Self::Empty => String::new(),
            Self::Text(text) => excerpt(one_line(text).trim_end_matches(['.', '。', ' ']), BODY_LIMIT),
            Self::Page(title) => match one_line(title) {
                title if title.is_empty() => "the answer is an HTML page".to_owned(),
                title => format!("the answer is an HTML page, '{}'", excerpt(&title, BODY_LIMIT)),
            },
            Self::Unknown(kind) if kind.is_empty() => "the answer is not text".to_owned(),
            Self::Unknown(kind) => format!("the answer is '{}'", clip(&one_line(kind), BODY_LIMIT)),
        }
    }
}

#[cfg(test)]
mod tests;
