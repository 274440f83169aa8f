//! Whether a request is sent once more, and when.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use super::error::Error;
use crate::exit::Exit;
use crate::net::chat::{AnswerError, Change, ErrorKind};
use crate::net::http::HttpError;

/// How often a request is sent once more, unless the user says otherwise.
pub(super) const RETRIES: u32 = 3;

/// The longest pause that a server may ask a person to wait for. A longer one is a refusal.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The first pause where the server names none; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// What may help after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing.
    Stop,
    /// The same request later: after the pause that the server asks for, if it asks for one.
    Retry(Option<Duration>),
    /// The same request with another credential.
    Renew,
    /// The same question in another form.
    Change(Change),
}

/// What a request for a stream gets in addition: the member, and the one inside it that some servers name alone.
const ADDED: [&str; 2] = ["stream_options", "include_usage"];

/// Decides what may help after an error, as long as nothing of an answer has come; [`super::Call::may_repeat`] says
/// whether that is so.
///
/// An answer that ends before its first word, in good order or not, by a word of the server's own (`timeout`) or by none, is
/// as good as a 5xx. A time-out is not retried once there is a connection: the server may be working on the request. Nor is
/// what no repetition cures: a body that is no answer or breaks its own format, and what is too large to be kept.
pub(super) fn decide(error: &Error) -> Decision {
    if let Some(verdict) = error.verdict() {
        return match verdict.kind {
            ErrorKind::StreamOnly => Decision::Change(Change::Stream(true)),
            ErrorKind::StreamRefused => Decision::Change(Change::Stream(false)),
            _ if ADDED.iter().any(|name| verdict.refuses(name)) => {
                Decision::Change(Change::WithoutStreamOptions)
            }
            _ if verdict.is_about_credential() => Decision::Renew,
            _ if verdict.retry => Decision::Retry(verdict.wait),
            _ => Decision::Stop,
        };
    }
    match error {
        Error::Http(HttpError::Reset(_) | HttpError::Cut(_)) => Decision::Retry(None),
        Error::Answer(
            AnswerError::Interrupted(_) | AnswerError::Incomplete { .. } | AnswerError::NoChoice(_),
        ) => Decision::Retry(None),
        Error::Http(error) if error.is_unsent() && error.exit() == Exit::TryAgain => Decision::Retry(None),
        _ => Decision::Stop,
    }
}

impl Error {
    /// True when the same request may succeed later, as long as nothing of an answer has been shown.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(decide(self), Decision::Retry(_))
    }
}

/// How many attempts are left, and how long to wait before the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    tries: u32,
    limit: u32,
    longest_wait: Duration,
}

impl Backoff {
    /// Allows one attempt and `retries` more.
    pub(super) const fn new(retries: u32, longest_wait: Duration) -> Self {
        Self {
            tries: 1,
            limit: retries.saturating_add(1),
            longest_wait,
        }
    }

    /// Returns how many attempts have begun.
    pub(super) const fn tries(&self) -> u32 {
        self.tries
    }

    /// Returns the most attempts.
    pub(super) const fn limit(&self) -> u32 {
        self.limit
    }

    /// Begins another attempt: returns the pause before it, or `None` when there is no attempt left or the server asks
    /// for a longer wait than is allowed.
    ///
    /// `jitter` in 0..1 spreads the pauses of processes that failed together; it never shortens `retry_after`.
    pub(super) fn next_pause(&mut self, retry_after: Option<Duration>, jitter: f64) -> Option<Duration> {
        if self.tries >= self.limit || retry_after.is_some_and(|wait| wait > self.longest_wait) {
            return None;
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << (self.tries - 1).min(10));
        self.tries += 1;
        Some(match retry_after {
            Some(wait) => wait + FIRST_PAUSE.mul_f64(jitter / 2.0),
            None => doubled.min(LONGEST_PAUSE).mul_f64(0.75 + jitter / 2.0),
        })
    }
}

/// Returns a random number in 0..1.
pub(super) fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, Decision, FIRST_PAUSE, LONGEST_WAIT, decide, jitter};
    use crate::net::api::Error;
    use crate::net::chat::{AnswerError, ApiError, Change, FinishReason, Refusal, RefusalHead};
    use crate::net::http::{HttpError, Phase};

    fn refused(status: u16, body: &str) -> Error {
        let head = RefusalHead {
            status,
            wait: (status == 429).then(|| Duration::from_secs(2)),
            ..RefusalHead::default()
        };
        Error::Refused(Refusal::read(&head, body.as_bytes(), "custom"))
    }

    fn by_proxy(status: u16) -> Error {
        Error::Http(HttpError::ProxyRefused {
            status,
            words: String::new(),
            variable: "HTTPS_PROXY",
        })
    }

    fn within(body: &str) -> Error {
        Error::Answer(AnswerError::Api(ApiError::parse(body).unwrap()))
    }

    #[test]
    fn what_may_help_follows_from_the_error_alone() {
        let second = Duration::from_secs(1);
        let later = Decision::Retry(None);
        let change = Decision::Change;
        let no_retry = RefusalHead {
            status: 503,
            should_retry: Some(false),
            ..RefusalHead::default()
        };
        let no_retry = Error::Refused(Refusal::read(&no_retry, b"", "custom"));
        for (error, expected) in [
            (Error::Http(HttpError::Connect("refused".into())), later),
            (Error::Http(HttpError::Timeout(Phase::Connect, second)), later),
            (Error::Http(HttpError::Reset("reset".into())), later),
            (Error::Http(HttpError::Cut("reset".into())), later),
            (
                Error::Http(HttpError::Timeout(Phase::FirstByte, second)),
                Decision::Stop,
            ),
            (
                Error::Http(HttpError::Timeout(Phase::Idle, second)),
                Decision::Stop,
            ),
            (by_proxy(407), Decision::Stop),
            (by_proxy(403), Decision::Stop),
            (by_proxy(502), later),
            (refused(408, ""), later),
            (refused(409, ""), later),
            (refused(503, "<html>"), later),
            (refused(429, "{}"), Decision::Retry(Some(2 * second))),
            (
                refused(429, r#"{"error":{"code":"insufficient_quota"}}"#),
                Decision::Stop,
            ),
            (refused(401, ""), Decision::Renew),
            (
                refused(400, r#"{"error":{"message":"bad temperature"}}"#),
                Decision::Stop,
            ),
            (
                refused(
                    400,
                    r#"{"error":{"message":"Unknown parameter: 'stream_options'"}}"#,
                ),
                change(Change::WithoutStreamOptions),
            ),
            (
                refused(
                    400,
                    r#"{"error":{"message":"This model only support stream mode"}}"#,
                ),
                change(Change::Stream(true)),
            ),
            (
                refused(
                    400,
                    r#"{"error":{"message":"Unsupported value: 'stream' does not support true"}}"#,
                ),
                change(Change::Stream(false)),
            ),
            (within(r#"{"error":{"code":502,"message":"m"}}"#), later),
            (
                within(r#"{"error":{"code":"invalid_api_key","message":"m"}}"#),
                Decision::Renew,
            ),
            (no_retry, Decision::Stop),
            (
                Error::Answer(AnswerError::Incomplete { is_withdrawn: false }),
                later,
            ),
            (Error::Answer(AnswerError::NoChoice(None)), later),
            (
                Error::Answer(AnswerError::Interrupted(
                    FinishReason::parse("timeout", "").unwrap(),
                )),
                later,
            ),
            (Error::Answer(AnswerError::Malformed("m".into())), Decision::Stop),
            (Error::Answer(AnswerError::OtherJson("{}".into())), Decision::Stop),
            (
                Error::Answer(AnswerError::NotAnAnswer("text/html".into())),
                Decision::Stop,
            ),
            (
                Error::Answer(AnswerError::NotText("image".into())),
                Decision::Stop,
            ),
            (Error::Answer(AnswerError::TooMuch), Decision::Stop),
            (Error::Stopped, Decision::Stop),
        ] {
            assert_eq!(decide(&error), expected, "{error:?}");
            assert_eq!(
                error.may_pass(),
                matches!(expected, Decision::Retry(_)),
                "{error:?}"
            );
        }
    }

    #[test]
    fn pauses_double_and_tries_end() {
        let mut backoff = Backoff::new(3, LONGEST_WAIT);
        let pauses: Vec<_> = std::iter::from_fn(|| backoff.next_pause(None, 0.5)).collect();
        assert_eq!(pauses, [500, 1000, 2000].map(Duration::from_millis));
        assert_eq!((backoff.tries(), backoff.limit()), (4, 4));
        assert_eq!(Backoff::new(0, LONGEST_WAIT).next_pause(None, 0.5), None);
        let mut many = Backoff::new(u32::MAX, LONGEST_WAIT);
        for _ in 0..100 {
            assert!(many.next_pause(None, 0.99).unwrap() <= Duration::from_secs(20));
        }
    }

    #[test]
    fn the_server_is_waited_for_as_long_as_it_asks_but_not_for_ever() {
        let asked = Duration::from_secs(7);
        let next = |asked, jitter| Backoff::new(1, LONGEST_WAIT).next_pause(Some(asked), jitter);
        assert_eq!(next(asked, 0.0), Some(asked));
        assert_eq!(next(asked, 0.5), Some(asked + FIRST_PAUSE / 4));
        assert_eq!(next(LONGEST_WAIT, 0.0), Some(LONGEST_WAIT));
        assert_eq!(next(Duration::from_secs(61), 0.0), None);
        let mut patient = Backoff::new(1, LONGEST_WAIT * 10);
        assert!(patient.next_pause(Some(Duration::from_secs(61)), 0.0).is_some());
    }

    #[test]
    fn processes_that_failed_together_come_back_at_different_times() {
        let random: Vec<f64> = (0..32).map(|_| jitter()).collect();
        assert!(random.iter().all(|part| (0.0..=1.0).contains(part)), "{random:?}");
        assert!(random.iter().any(|part| *part != random[0]), "{random:?}");
        let middle = random.iter().filter(|part| (0.01..0.99).contains(*part)).count();
        assert!(middle > 16, "{random:?}");
    }
}
