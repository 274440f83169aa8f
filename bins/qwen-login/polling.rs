//! Polling the token endpoint for the token (RFC 8628, sections 3.4 and 3.5).

use std::time::Duration;

use qwen_shared::net::http::HttpError;
use qwen_shared::net::oauth::{
    Form, HttpResponse, OauthError, PublicClient, TokenResponse, Transport, members,
};
use qwen_shared::signal::{self, Caught};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use url::Url;

use crate::device_authorization::{DeviceAuthorization, interval};
use crate::pkce::CodeVerifier;

/// The time between two reports of [`Progress::Waiting`].
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What happens while the person decides.
#[derive(Debug)]
pub(crate) enum Progress<'a> {
    /// This is the time until the code expires.
    Waiting(Duration),
    /// The server sent `slow_down`; this is the interval from now on.
    SlowDown(Duration),
    /// A poll failed; the next one follows after this time.
    Retrying(&'a OauthError, Duration),
}

/// The outcome of one poll.
enum Poll {
    Token(Box<TokenResponse>),
    Pending,
    /// With the interval that the server wants from now on, where it says so.
    SlowDown(Option<Duration>),
    Unavailable(OauthError),
    Failed(OauthError),
}

/// Polls with one device code, never with two requests at a time: a server may take a second use of the code for theft
/// and revoke the token.
pub(crate) struct TokenPoller<'a> {
    transport: &'a dyn Transport,
    clock: &'a dyn Clock,
    token_endpoint: &'a Url,
    form: Form,
    interval: PollInterval,
    deadline: Duration,
}

impl<'a> TokenPoller<'a> {
    /// Starts the lifetime of the code.
    pub(crate) fn new(
        transport: &'a dyn Transport,
        clock: &'a dyn Clock,
        token_endpoint: &'a Url,
        client: &PublicClient,
        verifier: Option<&CodeVerifier>,
        device: &DeviceAuthorization,
    ) -> Self {
        let form = Form::default()
            .field("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
            .field("client_id", &client.client_id)
            .field("device_code", device.device_code.expose())
            .fields(&client.parameters)
            .optional("code_verifier", verifier.map(CodeVerifier::expose));
        Self {
            transport,
            clock,
            token_endpoint,
            form,
            interval: PollInterval::new(device.interval),
            deadline: clock.now().saturating_add(device.expires_in),
        }
    }

    /// Polls until there is a token. The first poll follows after one interval.
    ///
    /// # Errors
    /// [`OauthError::Refused`], [`OauthError::Malformed`], and errors that another poll would meet again. When the code
    /// expires, [`OauthError::Expired`], or the error of the last poll if that failed.
    pub(crate) fn poll_until_done(
        mut self,
        report: &mut dyn FnMut(Progress<'_>),
    ) -> Result<TokenResponse, OauthError> {
        let mut wait = self.interval.after_response();
        let mut last_error = None;
        loop {
            if !self.sleep(wait, report) {
                return Err(last_error.unwrap_or(OauthError::Expired));
            }
            last_error = None;
            match self.poll() {
                Poll::Token(token) => return Ok(*token),
                Poll::Failed(error) => return Err(error),
                Poll::Pending => wait = self.interval.after_response(),
                Poll::SlowDown(wanted) => {
                    wait = self.interval.after_slow_down(wanted);
                    report(Progress::SlowDown(wait));
                }
                Poll::Unavailable(error) => {
                    let retry_after = match &error {
                        OauthError::Unavailable { retry_after, .. } => *retry_after,
                        _ => None,
                    };
                    wait = self.interval.after_failure(retry_after);
                    report(Progress::Retrying(&error, wait));
                    last_error = Some(error);
                }
            }
        }
    }

    /// Sleeps for `wait`; false if the code expires first. Checks the clock every second, as the machine may be
    /// suspended meanwhile.
    fn sleep(&self, wait: Duration, report: &mut dyn FnMut(Progress<'_>)) -> bool {
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
            self.clock.sleep((until - now).min(left).min(REPORT_INTERVAL));
        }
    }

    fn poll(&self) -> Poll {
        let response = self
            .transport
            .post_form(self.token_endpoint, &[], self.form.as_str());
        match response {
            Ok(response) => classify(&response),
            Err(error) if is_transient(&error) => Poll::Unavailable(OauthError::Http(error)),
            Err(error) => Poll::Failed(OauthError::Http(error)),
        }
    }
}

/// False for errors that the next poll would meet again.
const fn is_transient(error: &HttpError) -> bool {
    !matches!(
        error,
        HttpError::Tls { .. }
            | HttpError::ProxyRefused {
                status: 400..=499,
                ..
            }
            | HttpError::WrongScheme { .. }
            | HttpError::Invalid(_)
            | HttpError::TooLarge(_)
    )
}

fn classify(response: &HttpResponse) -> Poll {
    if is_qwen_pending(response) {
        return Poll::Pending;
    }
    match TokenResponse::parse(response) {
        Ok(token) => Poll::Token(Box::new(token)),
        Err(error @ OauthError::Unavailable { .. }) => Poll::Unavailable(error),
        Err(error) if error.is_refused_as("authorization_pending") => Poll::Pending,
        Err(error) if error.is_refused_as("slow_down") => Poll::SlowDown(wanted_interval(response)),
        Err(error) if error.is_refused_as("expired_token") => Poll::Failed(OauthError::Expired),
        Err(error) => Poll::Failed(error),
    }
}

/// Returns the new interval that GitHub's server sends with `slow_down`.
fn wanted_interval(response: &HttpResponse) -> Option<Duration> {
    interval(&members(&response.body)?)
}

/// Qwen's server may say with status 200 that the person has not decided yet.
fn is_qwen_pending(response: &HttpResponse) -> bool {
    response.status == 200
        && members(&response.body).is_some_and(|body| {
            let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
            text("status") == "pending" && text("access_token").is_empty()
        })
}

/// The time from the end of one poll to the start of the next.
#[derive(Clone, Debug)]
struct PollInterval {
    interval: Duration,
    failures: u32,
}

impl PollInterval {
    /// RFC 8628, section 3.5.
    const SLOW_DOWN: Duration = Duration::from_secs(5);
    const MAX_BACKOFF: Duration = Duration::from_secs(60);

    const fn new(interval: Duration) -> Self {
        Self {
            interval,
            failures: 0,
        }
    }

    const fn after_response(&mut self) -> Duration {
        self.failures = 0;
        self.interval
    }

    /// `slow_down` lengthens this and all later intervals (RFC 8628, section 3.5), by more than five seconds where the server
    /// wants that.
    fn after_slow_down(&mut self, wanted: Option<Duration>) -> Duration {
        let longer = self.interval.saturating_add(Self::SLOW_DOWN);
        self.interval = longer.max(wanted.unwrap_or_default());
        self.after_response()
    }

    /// Each failure in a row doubles the time. It is never shorter than the interval or `retry_after`.
    fn after_failure(&mut self, retry_after: Option<Duration>) -> Duration {
        self.failures = (self.failures + 1).min(16);
        let doubled = self.interval.saturating_mul(1 << self.failures);
        let wait = doubled.min(Self::MAX_BACKOFF).max(self.interval);
        wait.max(retry_after.unwrap_or_default())
    }
}

/// A monotonic clock.
pub(crate) trait Clock {
    /// Returns the time since some fixed moment.
    fn now(&self) -> Duration;
    fn sleep(&self, time: Duration);
}

/// The system's clock, which also counts the time that the machine is suspended.
#[derive(Default)]
pub(crate) struct SystemClock<'a> {
    interrupted: Option<(&'a dyn Fn(), Caught)>,
}

impl<'a> SystemClock<'a> {
    /// Returns a clock that calls `interrupted` at a Ctrl-C, before the program ends by it: also where that comes between two
    /// sleeps.
    pub(crate) fn interrupted_by(interrupted: &'a dyn Fn()) -> Self {
        let caught = signal::catch(&[signal::SIGINT]).ok();
        Self {
            interrupted: caught.map(|caught| (interrupted, caught)),
        }
    }
}

impl Clock for SystemClock<'_> {
    fn now(&self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let clock = ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let clock = ClockId::Monotonic;
        Duration::try_from(clock_gettime(clock)).unwrap_or_default()
    }

    fn sleep(&self, time: Duration) {
        let Some((interrupted, caught)) = &self.interrupted else {
            return std::thread::sleep(time);
        };
        let time = Timespec::try_from(time).ok();
        let _ = poll(&mut [PollFd::new(caught, PollFlags::IN)], time.as_ref());
        if let Some(signal) = caught.take() {
            interrupted();
            let _ = signal::end_by_signal(signal);
        }
    }
}

#[cfg(test)]
mod tests;
