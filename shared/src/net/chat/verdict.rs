//! What an error of an API means: one function of status, headers and error object.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::api_error::ApiError;
use super::refusal::RefusalHead;
use super::rules;
use crate::exit::Exit;
use crate::net::wait::spell;

/// What an API error is about. Exit code and retries follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The credential is refused.
    Auth,
    /// The account may not do this: its region, its plan, a firewall.
    Permission,
    /// The quota or the balance is used up: waiting a minute will not help.
    Quota,
    /// No such model, or not for this account.
    Model,
    /// No such path: the base URL is at fault.
    Path,
    /// The version of the API that the address names, or does not name (Azure).
    ApiVersion,
    /// Too many requests just now.
    RateLimit,
    /// The server is too busy, or the model is being loaded.
    Busy,
    /// The server fails.
    Server,
    /// A filter refuses what the request holds.
    Moderation,
    /// The request is at fault.
    BadRequest,
    /// The request, or the conversation in it, is too long.
    TooLarge,
    /// A member of the request is unknown or not supported.
    OptionRefused,
    /// The model answers in streams only.
    StreamOnly,
    /// The model does not answer in streams.
    StreamRefused,
    /// Plain http to a port that speaks https.
    PlainHttp,
    /// A web page instead of the API: a login to the network, or a service that is no API.
    Page,
    /// A redirect, which is never followed: it would carry the secret along.
    Redirect,
    /// An error that says nothing known, or a status that no chat endpoint sends.
    Unexpected,
}

impl ErrorKind {
    /// True when the same request may succeed later.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::RateLimit | Self::Busy | Self::Server)
    }

    /// Returns the exit code that it comes to.
    #[must_use]
    pub const fn exit(self) -> Exit {
        match self {
            Self::Auth => Exit::NoAuth,
            Self::Permission
            | Self::Quota
            | Self::Model
            | Self::Path
            | Self::ApiVersion
            | Self::PlainHttp => Exit::Unavailable,
            Self::RateLimit | Self::Busy | Self::Server => Exit::TryAgain,
            Self::Moderation
            | Self::BadRequest
            | Self::TooLarge
            | Self::OptionRefused
            | Self::StreamOnly
            | Self::StreamRefused => Exit::Data,
            Self::Page | Self::Redirect | Self::Unexpected => Exit::Protocol,
        }
    }

    /// Returns a short description.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Auth => "the credential was refused",
            Self::Permission => "access is denied",
            Self::Quota => "the quota is used up",
            Self::Model | Self::Path => "no such model or path",
            Self::ApiVersion => "the API version was refused",
            Self::RateLimit => "too many requests",
            Self::Busy => "the server is busy",
            Self::Server => "the server failed",
            Self::Moderation => "the content was refused",
            Self::TooLarge => "the request is too large",
            Self::BadRequest | Self::OptionRefused | Self::StreamOnly | Self::StreamRefused => {
                "the request was refused"
            }
            Self::PlainHttp => "the server wants https",
            Self::Page => "this is not the API",
            Self::Redirect => "refused to follow a redirect",
            Self::Unexpected => "unexpected status",
        }
    }
}

/// What was asked for: a hint never names the command that just failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A chat completion.
    Chat,
    /// The list of models.
    Models,
    /// Anything else: files, batches.
    Other,
}

/// A day's limit that renews within this time is a rate.
const ROLLING: Duration = Duration::from_secs(3600);

/// Who speaks in a refusal. Not all of them know the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// The API.
    Api,
    /// A front door that writes XML: its codes may be about the key, its silence is not.
    FrontDoor,
    /// A web page, which knows no key.
    Page,
}

/// What an error means, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it is about.
    pub kind: ErrorKind,
    /// True when the same request may succeed later.
    pub retry: bool,
    /// How long the server asks to wait, in headers or body.
    pub wait: Option<Duration>,
    /// What the server says, on one harmless line; empty when it says nothing. It may quote the key.
    pub words: String,
    /// The members of the request that may be at fault: the one that the server names, or what reads like one in its words.
    options: Vec<String>,
    /// Where the provider shows balance and limits.
    billing: Option<&'static str>,
}

impl Verdict {
    /// Judges an error without a status of its own. A code that is an HTTP status counts as one.
    pub(super) fn within_answer(error: &ApiError, now: SystemTime) -> Self {
        let status = error.names().iter().find_map(|name| status_of(name));
        let kind = kind(error, status, Speaker::Api);
        Self {
            words: error.describe(),
            ..Self::new(kind, error, &RefusalHead::default(), now)
        }
    }

    /// Judges a response by its head and its error.
    pub(super) fn of_response(
        head: &RefusalHead,
        error: &ApiError,
        speaker: Speaker,
        now: SystemTime,
    ) -> Self {
        let status = judged_status(head.status, error);
        Self::new(kind(error, Some(status), speaker), error, head, now)
    }

    fn new(
        (kind, is_rolling): (ErrorKind, bool),
        error: &ApiError,
        head: &RefusalHead,
        now: SystemTime,
    ) -> Self {
        let named = head
            .wait
            .or_else(|| error.named_wait().map(|wait| wait.from(now)));
        let kind = match named {
            Some(wait) if is_rolling && !wait.is_zero() && wait < ROLLING => ErrorKind::RateLimit,
            _ => kind,
        };
        let may_renew = matches!(kind, ErrorKind::RateLimit | ErrorKind::Quota);
        Self {
            kind,
            retry: head.should_retry.unwrap_or_else(|| kind.is_transient()),
            wait: named.or_else(|| head.reset.filter(|_| may_renew)),
            words: String::new(),
            options: options(error),
            billing: error.provider.and_then(rules::billing_page),
        }
    }

    /// Returns how a program ends because of it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.kind.exit()
    }

    /// True when another credential may help.
    #[must_use]
    pub const fn is_about_credential(&self) -> bool {
        matches!(self.kind, ErrorKind::Auth)
    }

    /// True when a member of the request is refused that stands below `name`, such as `stream_options`.
    #[must_use]
    pub fn refuses(&self, name: &str) -> bool {
        let is_below = |option: &String| {
            let rest = option.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.exit() == Exit::Data && self.options.iter().any(is_below)
    }

    /// Returns what to type next. What depends on the settings (another key, another login) is the caller's.
    #[must_use]
    pub fn hints(&self, asked: Asked) -> Vec<String> {
        const STATUS: &str = "run 'qwen-auth status' for endpoint and account";
        let hint = match self.kind {
            ErrorKind::Quota => return self.quota_hints(STATUS),
            ErrorKind::Permission => STATUS,
            ErrorKind::Model if asked != Asked::Models => "run 'qwen-chat --list-models'",
            ErrorKind::PlainHttp => "let the base URL begin with 'https://'",
            ErrorKind::Path => "check the base URL: many end in '/v1'",
            ErrorKind::ApiVersion => "set OPENAI_API_VERSION to a version that the endpoint knows",
            ErrorKind::TooLarge => "split the input, or choose a model that takes more",
            ErrorKind::Page => "check the base URL, and whether this network wants you to log in to it first",
            ErrorKind::Redirect => "check the base URL; the key goes nowhere else than there",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }

    /// Returns where the balance is shown, and when the quota renews.
    fn quota_hints(&self, otherwise: &str) -> Vec<String> {
        let place = match self.billing {
            Some(page) => format!("balance and limits are shown at {page}"),
            None => otherwise.to_owned(),
        };
        let wait = self.wait.filter(|wait| !wait.is_zero());
        let renewal = wait.map(|wait| format!("the server says that it renews in {}", spell(wait)));
        std::iter::once(place).chain(renewal).collect()
    }
}

/// Returns the status to judge a response by. A 424 passes on the answer of a server behind the one that was asked: where it
/// names that one's status, it means that (SageMaker), but for a credential, which is not the user's.
fn judged_status(status: u16, error: &ApiError) -> u16 {
    let passed_on = || error.names().iter().find_map(|name| status_of(name));
    match status {
        424 => passed_on()
            .filter(|inner| !matches!(inner, 401 | 403 | 407))
            .unwrap_or(status),
        status => status,
    }
}

/// Returns the HTTP status that a code is, or ends with (Huawei: `InferHub.ModelArts.81114.429`); what nobody uses as one is
/// a code of the server's own (iFlow: 439).
fn status_of(code: &str) -> Option<u16> {
    let code = match code.rsplit_once('.') {
        Some((name, end)) if name.starts_with(char::is_alphabetic) => end,
        _ => code,
    };
    let is_of_client =
        |status| matches!(status, 400..=418 | 420..=426 | 428 | 429 | 431 | 449 | 451 | 460 | 498 | 499);
    let is_of_server = |status| matches!(status, 500..=511 | 520..=530 | 598 | 599);
    code.parse()
        .ok()
        .filter(|status| is_of_client(*status) || is_of_server(*status))
}

/// Decides what an error is about; true for a limit that may be one of the rate.
fn kind(error: &ApiError, status: Option<u16>, speaker: Speaker) -> (ErrorKind, bool) {
    let is_api = speaker == Speaker::Api;
    let knows_keys = |kind| speaker != Speaker::Page || kind != ErrorKind::Auth;
    // A 401 is never about what the request holds (RFC 9110, section 15.5.2), whatever words it is explained with.
    let fits = |kind: ErrorKind| status != Some(401) || kind.exit() != Exit::Data;
    let rule = rules::find(error, status).filter(|rule| knows_keys(rule.kind) && fits(rule.kind));
    if let Some(rule) = rule {
        return (rule.kind, rule.is_rolling);
    }
    let kind = match status {
        Some(401) if is_api => ErrorKind::Auth,
        // It is about the credential only where it says so, which a rule has found, or says nothing.
        Some(403) if is_api && rules::says_nothing(error) => ErrorKind::Auth,
        // A proxy of ours is asked before; this 407 comes from one that stands in the way unasked.
        Some(401 | 403 | 407 | 451) => ErrorKind::Permission,
        Some(402) => ErrorKind::Quota,
        Some(404..=406 | 410 | 426) => ErrorKind::Path,
        Some(413) => ErrorKind::TooLarge,
        Some(420 | 429) => ErrorKind::RateLimit,
        Some(511) => ErrorKind::Page,
        Some(503 | 529) => ErrorKind::Busy,
        Some(408 | 409 | 421 | 423..=425 | 449 | 460 | 499 | 500..=599) => ErrorKind::Server,
        Some(300..=399) => ErrorKind::Redirect,
        Some(400..=499) => ErrorKind::BadRequest,
        _ => ErrorKind::Unexpected,
    };
    (kind, false)
}

/// What stands before the members that a server knows, after the one that it does not.
const KNOWN_FOLLOW: [&str; 5] = [
    "expected one of",
    "supported parameters are",
    "allowed parameters are",
    "valid parameters are",
    "did you mean",
];

/// The most members that are kept.
const OPTIONS: usize = 16;

/// Returns the members of the request that an error names: its `param`, or the quoted and composite names in its words.
fn options(error: &ApiError) -> Vec<String> {
    if !error.param.is_empty() {
        return vec![error.param.clone()];
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_.[]".contains(c);
    let message = before_known(&error.message);
    let mut found = Vec::new();
    let mut place = 0;
    while let Some(start) = message[place..].find(|c: char| c.is_ascii_lowercase()) {
        let start = place + start;
        let end = message[start..]
            .find(|c| !is_part(c))
            .map_or(message.len(), |end| start + end);
        let word = message[start..end].trim_end_matches(['.', '[']);
        let word = match word.strip_suffix(']') {
            Some(inner) if !inner.contains('[') => inner,
            _ => word,
        };
        let is_quoted =
            message[..start].ends_with(['\'', '"', '`']) && message[end..].starts_with(['\'', '"', '`']);
        // The name of an object in JSON is a place, not the member at fault.
        let is_outer = message[end..]
            .trim_start_matches(['"', ':', ' '])
            .starts_with('{');
        if (is_quoted || word.contains('_')) && !is_outer && found.len() < OPTIONS {
            found.push(word.to_owned());
        }
        place = end;
    }
    found
}

/// Returns a message as far as it does not list the members that the server knows.
fn before_known(message: &str) -> &str {
    let lower = message.to_ascii_lowercase();
    let ends = KNOWN_FOLLOW.iter().filter_map(|words| lower.find(words));
    &message[..ends.min().unwrap_or(message.len())]
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{ApiError, Asked, ErrorKind, RefusalHead, Speaker, Verdict};
    use crate::net::wait::spell;

    fn judged(status: u16, words: &str, wait: Option<Duration>) -> Verdict {
        let error = match words {
            "" => ApiError::default(),
            words => ApiError::from_text(words),
        };
        let head = RefusalHead {
            status,
            wait,
            ..RefusalHead::default()
        };
        Verdict::of_response(&head, &error.sent_by("deepseek"), Speaker::Api, SystemTime::now())
    }

    #[test]
    fn an_error_that_says_nothing_is_judged_by_its_status() {
        for (status, kind) in [
            (302, ErrorKind::Redirect),
            (400, ErrorKind::BadRequest),
            (401, ErrorKind::Auth),
            (402, ErrorKind::Quota),
            (403, ErrorKind::Auth),
            (404, ErrorKind::Path),
            (407, ErrorKind::Permission),
            (408, ErrorKind::Server),
            (413, ErrorKind::TooLarge),
            (429, ErrorKind::RateLimit),
            (451, ErrorKind::Permission),
            (500, ErrorKind::Server),
            (503, ErrorKind::Busy),
            (511, ErrorKind::Page),
            (529, ErrorKind::Busy),
            (600, ErrorKind::Unexpected),
        ] {
            assert_eq!(judged(status, "", None).kind, kind, "{status}");
        }
    }

    #[test]
    fn what_to_type_next_follows_from_the_kind_and_never_names_what_failed() {
        let no_model = "The model `x` does not exist";
        for (status, words, asked, hint) in [
            (302, "", Asked::Chat, Some("nowhere else")),
            (401, "", Asked::Chat, None),
            (404, "", Asked::Chat, Some("'/v1'")),
            (404, no_model, Asked::Chat, Some("--list-models")),
            (404, no_model, Asked::Models, None),
            (413, "", Asked::Chat, Some("split the input")),
            (
                400,
                "The plain HTTP request was sent to HTTPS port",
                Asked::Chat,
                Some("begin with 'https://'"),
            ),
            (451, "", Asked::Chat, Some("qwen-auth status")),
            (511, "", Asked::Chat, Some("this network")),
        ] {
            let hints = judged(status, words, None).hints(asked);
            assert_eq!(
                hints.len(),
                usize::from(hint.is_some()),
                "{status} {words}: {hints:?}"
            );
            assert!(
                hints.iter().all(|given| given.contains(hint.unwrap())),
                "{status} {words}: {hints:?}"
            );
        }
    }

    #[test]
    fn the_members_at_fault_are_quoted_or_read_like_one() {
        for (words, members) in [
            (
                "Unknown parameter: 'stream_options.include_usage'.",
                &["stream_options.include_usage"][..],
            ),
            ("Unrecognized request argument supplied: top_k", &["top_k"]),
            (
                "the field \"stream\" and the field `seed` are unknown",
                &["stream", "seed"],
            ),
            ("the field stream is unknown", &[]),
            ("unknown field [top_k]", &["top_k"]),
            (
                "messages[0].tool_calls[1]. is wrong",
                &["messages[0].tool_calls[1]"],
            ),
            ("Unknown field top_k, expected one of min_p, top_p", &["top_k"]),
            (
                "in {\"stream_options\": {\"include_usage\": true}}",
                &["include_usage"],
            ),
            ("'stream` is half quoted, 'stream is too", &["stream"]),
        ] {
            assert_eq!(super::options(&ApiError::from_text(words)), members, "{words}");
        }
        let many = "a_b ".repeat(17);
        assert_eq!(super::options(&ApiError::from_text(&many)).len(), 16);
        let mut named = ApiError::from_text("unknown: top_k");
        named.param = "top_p".to_owned();
        assert_eq!(super::options(&named), ["top_p"]);
    }

    #[test]
    fn a_refused_member_is_one_below_the_name() {
        let verdict = judged(400, "Unknown parameter: 'stream_options.include_usage'", None);
        assert!(verdict.refuses("stream_options"));
        assert!(verdict.refuses("stream_options.include_usage"));
        assert!(!verdict.refuses("stream"));
        assert!(!verdict.refuses("stream_options.include"));
        assert!(!judged(401, "'stream_options'", None).refuses("stream_options"));
    }

    #[test]
    fn a_quota_comes_with_the_page_of_the_balance_and_the_time_of_its_renewal() {
        let hints = |wait| judged(402, "", wait).hints(Asked::Chat);
        let wait = Duration::from_secs(7200);
        let (page, renewal) = (&hints(None)[0], &hints(Some(wait))[1]);
        assert!(page.contains("https://platform.deepseek.com/"), "{page}");
        assert!(renewal.contains(&spell(wait)), "{renewal}");
        assert_eq!(hints(None).len(), 1);
        assert_eq!(hints(Some(Duration::ZERO)).len(), 1);
    }

    #[test]
    fn an_error_within_an_answer_keeps_the_words_of_the_server() {
        assert_eq!(ApiError::from_text("Try later").verdict().words, "Try later");
    }
}
