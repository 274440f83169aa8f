//! Polling for the token (RFC 8628 §3.4, §3.5).

use std::time::Duration;

use oauth2::DeviceCodeErrorResponseType;
use qwen_shared::net::http::HttpError;
use qwen_shared::net::oauth::Form;
use qwen_shared::net::oauth::{Answer, Endpoints, OauthError, PublicClient, TokenResponse, Transport};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as NoSuchCode;
use serde_json::Value;

use super::authorization::{Attempt, DeviceAuthorization, Pkce};

/// The longest time that passes between two reports of the time that is left.
const TICK: Duration = Duration::from_secs(1);

/// What came of one poll.
#[derive(Debug)]
enum Polled {
    Token(Box<TokenResponse>),
    Again(PollOutcome),
    Trouble(OauthError, Option<Duration>),
    Ended(OauthError),
}

/// What happens while a person decides.
#[derive(Debug)]
pub(crate) enum Progress<'a> {
    /// Time passes: so much is left until the code expires.
    Waiting(Duration),
    /// The server asked for fewer polls: this is the interval from now on.
    Slower(Duration),
    /// A poll got no answer, or a bad one; polling goes on after this wait.
    Trouble(&'a OauthError, Duration),
}

/// One login in the making: what to poll with, and until when.
///
/// One poll is under way at a time: a server takes a second use of a device code for theft and revokes what it has
/// just issued.
pub(crate) struct Exchange<'a> {
    transport: &'a dyn Transport,
    clock: &'a dyn Clock,
    endpoints: &'a Endpoints,
    form: Form,
    rhythm: Rhythm,
    deadline: Duration,
}

impl<'a> Exchange<'a> {
    /// Begins when the device authorization has come: its time runs from now.
    #[must_use]
    pub(crate) fn new(
        transport: &'a dyn Transport,
        clock: &'a dyn Clock,
        endpoints: &'a Endpoints,
        client: &PublicClient,
        attempt: &Attempt,
        device: &DeviceAuthorization,
    ) -> Self {
        let form = Form::default()
            .field("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
            .field("client_id", &client.client_id)
            .field("device_code", device.device_code.expose())
            .optional(
                "code_verifier",
                attempt.pkce.as_ref().map(Pkce::verifier).map(String::as_str),
            );
        Self {
            transport,
            clock,
            endpoints,
            form,
            rhythm: Rhythm::new(device.interval),
            deadline: clock.now().saturating_add(device.expires_in),
        }
    }

    /// Polls until there is a token or an end, reporting progress at least every second.
    ///
    /// The first poll comes after one interval: nobody approves in less, and some servers hold it against the client.
    ///
    /// # Errors
    /// [`OauthError::Refused`] when the person or the server says no, [`OauthError::Expired`] when the time runs out,
    /// [`OauthError::Malformed`] for an answer that is none. When the time runs out while the server cannot be
    /// reached, the last such error: logging in again would not help before that is mended.
    pub(crate) fn wait(mut self, report: &mut dyn FnMut(Progress<'_>)) -> Result<TokenResponse, OauthError> {
        let mut wait = self.rhythm.interval();
        let mut trouble = None;
        loop {
            if !self.pause(wait, report) {
                return Err(trouble.unwrap_or(OauthError::Expired));
            }
            trouble = None;
            match self.poll() {
                Polled::Token(token) => return Ok(*token),
                Polled::Ended(error) => return Err(error),
                Polled::Again(outcome) => {
                    wait = self.rhythm.next_poll(outcome);
                    if outcome == PollOutcome::SlowDown {
                        report(Progress::Slower(wait));
                    }
                }
                Polled::Trouble(error, retry_after) => {
                    wait = self.rhythm.next_poll(PollOutcome::Unreachable { retry_after });
                    report(Progress::Trouble(&error, wait));
                    trouble = Some(error);
                }
            }
        }
    }

    /// Lets `wait` pass; false when the code expires before.
    ///
    /// The clock is asked after every second, so that a machine that was suspended does not wait for time that has
    /// passed already.
    fn pause(&self, wait: Duration, report: &mut dyn FnMut(Progress<'_>)) -> bool {
        let until = self.clock.now().saturating_add(wait);
        loop {
            let now = self.clock.now();
            let left = self.deadline.saturating_sub(now);
            if left.is_zero() {
                return false;
            }
            if now >= until {
                return true;
            }
            report(Progress::Waiting(left));
            self.clock.sleep((until - now).min(left).min(TICK));
        }
    }

    fn poll(&self) -> Polled {
        let answer = self
            .transport
            .post_form(&self.endpoints.token_endpoint, &[], self.form.as_str());
        match answer {
            Ok(answer) => read(&answer),
            Err(error) if may_pass(&error) => Polled::Trouble(OauthError::Http(error), None),
            Err(error) => Polled::Ended(OauthError::Http(error)),
        }
    }
}

/// True for a fault on the way that may be gone at the next poll. A certificate that is refused is refused again, and
/// no token has a megabyte.
const fn may_pass(error: &HttpError) -> bool {
    !matches!(
        error,
        HttpError::Tls { .. } | HttpError::ProxyAuth | HttpError::Invalid(_) | HttpError::TooLarge(_)
    )
}

fn read(answer: &Answer) -> Polled {
    if is_qwen_pending(answer) {
        return Polled::Again(PollOutcome::Pending);
    }
    match TokenResponse::parse(answer) {
        Ok(token) => Polled::Token(Box::new(token)),
        Err(OauthError::Refused {
            status,
            code,
            description,
        }) => match decision(&code) {
            Some(DeviceCodeErrorResponseType::AuthorizationPending) => Polled::Again(PollOutcome::Pending),
            Some(DeviceCodeErrorResponseType::SlowDown) => Polled::Again(PollOutcome::SlowDown),
            Some(DeviceCodeErrorResponseType::ExpiredToken) => Polled::Ended(OauthError::Expired),
            _ => Polled::Ended(OauthError::Refused {
                status,
                code,
                description,
            }),
        },
        Err(error @ OauthError::Unwell { retry_after, .. }) => Polled::Trouble(error, retry_after),
        Err(error) => Polled::Ended(error),
    }
}

fn decision(code: &str) -> Option<DeviceCodeErrorResponseType> {
    let code: serde::de::value::StrDeserializer<'_, NoSuchCode> = code.into_deserializer();
    DeviceCodeErrorResponseType::deserialize(code).ok()
}

/// Qwen's server may say on status 200 that the person has not decided yet.
fn is_qwen_pending(answer: &Answer) -> bool {
    answer.status == 200
        && serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| {
            body["status"] == "pending" && body["access_token"].as_str().is_none_or(str::is_empty)
        })
}

/// What `slow_down` adds to the interval, for good (RFC 8628, section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The longest wait after polls that got no answer, unless the interval is longer.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// A poll that did not end the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollOutcome {
    /// The person has not decided yet.
    Pending,
    /// The server wants fewer polls.
    SlowDown,
    /// No answer, or one by which the server says that it is not well; it may have said when to come back.
    Unreachable {
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
}

/// The rhythm of the polls. Pure: it neither waits nor looks at a clock.
#[derive(Clone, Debug)]
pub(super) struct Rhythm {
    interval: Duration,
    unanswered: u32,
}

impl Rhythm {
    /// Begins with the interval of the server.
    #[must_use]
    pub(super) const fn new(interval: Duration) -> Self {
        Self {
            interval,
            unanswered: 0,
        }
    }

    /// Returns how long to wait before the first poll.
    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns how long to wait, from the end of the last poll to the start of the next.
    ///
    /// `slow_down` adds five seconds for the rest of the exchange, not once (RFC 8628, section 3.5); a client that
    /// forgets is blocked by the server. Each poll without an answer doubles the wait, which begins above the interval
    /// and is never below it; an answer ends the doubling.
    pub(super) fn next_poll(&mut self, outcome: PollOutcome) -> Duration {
        match outcome {
            PollOutcome::Pending => self.unanswered = 0,
            PollOutcome::SlowDown => {
                self.unanswered = 0;
                self.interval = self.interval.saturating_add(SLOW_DOWN);
            }
            PollOutcome::Unreachable { retry_after } => {
                self.unanswered = (self.unanswered + 1).min(16);
                let doubled = self.interval.saturating_mul(1 << self.unanswered);
                let wait = doubled.min(LONGEST_BACK_OFF).max(self.interval);
                return wait.max(retry_after.unwrap_or_default());
            }
        }
        self.interval
    }
}

/// A clock that only goes forward, and a way to wait by it.
pub(crate) trait Clock {
    /// Returns the time since some fixed moment. Setting the wall clock does not change it.
    fn now(&self) -> Duration;

    /// Waits.
    fn sleep(&self, time: Duration);
}

/// The machine's own clock, which also counts the time that it is suspended: a code expires while a laptop sleeps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        use rustix::time::ClockId;
        use rustix::time::clock_gettime;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let clock = ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let clock = ClockId::Monotonic;
        Duration::try_from(clock_gettime(clock)).unwrap_or_default()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod rhythm_tests {
    use std::time::Duration;

    use super::PollOutcome;
    use super::Rhythm;

    #[test]
    fn the_rhythm_follows_the_standard() {
        use PollOutcome::Pending;
        use PollOutcome::SlowDown;
        use PollOutcome::Unreachable;
        let lost = Unreachable { retry_after: None };
        let told = |seconds| Unreachable {
            retry_after: Some(Duration::from_secs(seconds)),
        };
        for (interval, outcomes, waits) in [
            (5, vec![Pending, Pending], vec![5, 5]),
            (
                5,
                vec![SlowDown, Pending, SlowDown, Pending],
                vec![10, 10, 15, 15],
            ),
            (
                5,
                vec![lost, lost, lost, lost, Pending, lost],
                vec![10, 20, 40, 60, 5, 10],
            ),
            (90, vec![lost, lost], vec![90, 90]),
            (5, vec![SlowDown, lost, Pending], vec![10, 20, 10]),
            (5, vec![told(30), told(1), Pending], vec![30, 20, 5]),
        ] {
            let mut rhythm = Rhythm::new(Duration::from_secs(interval));
            let got: Vec<u64> = outcomes
                .iter()
                .map(|&outcome| rhythm.next_poll(outcome).as_secs())
                .collect();
            assert_eq!(got, waits, "{outcomes:?}");
        }
    }

    #[test]
    fn a_rhythm_never_overflows() {
        let mut rhythm = Rhythm::new(Duration::MAX);
        for outcome in [
            PollOutcome::SlowDown,
            PollOutcome::Unreachable {
                retry_after: Some(Duration::MAX),
            },
        ] {
            for _ in 0..100 {
                assert_eq!(rhythm.next_poll(outcome), Duration::MAX);
            }
        }
    }
}
