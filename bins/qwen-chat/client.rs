//! The client of one endpoint.

use std::sync::Arc;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{self, Endpoint, Event, SendError, authorize, hint_when_refused};
use qwen_shared::net::chat::{Asked, Summary};
use qwen_shared::net::config::{Overrides, Settings, TimeoutSettings};
use qwen_shared::net::credential::{Refresh, RefreshPolicy};
use qwen_shared::net::http::{self, Timeouts};
use qwen_shared::net::ratelimit::{RateLimit, identity};
use qwen_shared::output::Reporter;
use qwen_shared::signal::Caught;
use tokio::time::Instant;

use super::args::LimitArgs;
use super::deadline::Deadline;
use super::output::Output;
use super::response::{Request, RequestError};

/// The most bytes of a list of models.
const MODELS_LIMIT: usize = 32 << 20;

/// Settings, credential and HTTP client together.
pub(crate) struct Client {
    settings: Settings,
    endpoint: Endpoint,
    http: http::Client,
    rate_limit: RateLimit,
    retries: u32,
    max_time: Option<Duration>,
    reporter: Reporter,
}

/// What came of a request.
pub(crate) struct Response {
    /// The output, with what it holds back until the end.
    pub(crate) output: Output,
    /// What is known about the answer.
    pub(crate) summary: Summary,
    /// How often the request was sent.
    pub(crate) attempts: u32,
    /// How long it all took.
    pub(crate) elapsed: Duration,
    /// Why there is no complete answer.
    pub(crate) failure: Option<Failure>,
}

impl Client {
    /// Gets the credential and makes the client.
    ///
    /// # Errors
    /// Those of [`authorize`]; 78 where the secret may not go to the endpoint.
    pub(crate) fn new(settings: Settings, limits: &LimitArgs, reporter: &Reporter) -> Result<Self, Failure> {
        let endpoint = endpoint(&settings, Refresh::WhenDue, reporter)?;
        let http = http::Client::new(endpoint.base_url(), timeouts(settings.timeouts, limits))
            .map_err(|error| error.failure(&endpoint.server()))?;
        let identity = identity(&settings, endpoint.secret());
        Ok(Self {
            max_time: limits.max_time.or(settings.timeouts.total),
            rate_limit: RateLimit::new(&identity, settings.rate, !limits.no_pace),
            settings,
            endpoint,
            http,
            retries: limits.retries,
            reporter: reporter.clone(),
        })
    }

    /// Returns the server's name for messages.
    pub(crate) fn server(&self) -> String {
        self.endpoint.server()
    }

    /// Gets the list of models. With `ctrl_c`, Ctrl-C ends the wait instead of the program. An access token that is
    /// refused is refreshed once, as for a chat request.
    ///
    /// # Errors
    /// As for a chat request.
    pub(crate) fn get_models(&mut self, ctrl_c: Option<&Arc<Caught>>) -> Result<Vec<u8>, Failure> {
        let deadline = Deadline::new(self.max_time, ctrl_c);
        let mut was_renewed = false;
        loop {
            let result = http::runtime()?.block_on(deadline.clone().run(self.send_models_request()));
            let error = match result {
                Ok(Ok(body)) => return Ok(body),
                Ok(Err(error)) => RequestError::Send(Box::new(error)),
                Err(expired) => RequestError::Expired(expired),
            };
            if was_renewed || !self.can_renew(&error) {
                return Err(self.failure(error, was_renewed, Asked::Models));
            }
            self.renew()?;
            was_renewed = true;
        }
    }

    async fn send_models_request(&self) -> Result<Vec<u8>, SendError> {
        let endpoint = &self.endpoint;
        let make = || {
            endpoint
                .request("GET", endpoint.models_url())
                .map_err(|error| error.failure(&endpoint.server()))
        };
        let notify = |event: &Event| self.reporter.notice(&event.to_string());
        let start = api::send(&self.http, endpoint, None, self.retries, make, notify).await?;
        let mut body = start.first_chunk.unwrap_or_default();
        body.extend(start.response.body(MODELS_LIMIT).await?);
        Ok(body)
    }

    /// Sends a chat request and writes its answer. With `ctrl_c`, Ctrl-C ends the answer instead of the program.
    ///
    /// An access token that is refused is refreshed once, and the request sent once more. When the fresh token is refused
    /// too, the failure says so: another login would not help.
    ///
    /// # Errors
    /// Only a bug of ours; whatever goes wrong with the request is in [`Response::failure`].
    pub(crate) fn send(
        &mut self,
        body: Vec<u8>,
        output: Output,
        ctrl_c: Option<&Arc<Caught>>,
    ) -> Result<Response, Failure> {
        let started = Instant::now();
        let request = Request {
            client: self.http.clone(),
            rate_limit: self.rate_limit.clone(),
            endpoint: self.endpoint.clone(),
            body,
            retries: self.retries,
            deadline: Deadline::new(self.max_time, ctrl_c),
            output,
            attempts: 0,
        };
        let (mut request, mut summary, mut error) = run(request)?;
        let mut was_renewed = false;
        if error.as_ref().is_some_and(|error| self.can_renew(error)) {
            match self.renew() {
                Ok(()) => {
                    was_renewed = true;
                    request.endpoint = self.endpoint.clone();
                    (request, summary, error) = run(request)?;
                }
                Err(failure) => error = Some(RequestError::Send(Box::new(SendError::Failed(failure)))),
            }
        }
        Ok(Response {
            output: request.output,
            summary,
            attempts: request.attempts,
            elapsed: started.elapsed(),
            failure: error.map(|error| self.failure(error, was_renewed, Asked::Chat)),
        })
    }

    /// True when another access token may help.
    fn can_renew(&self, error: &RequestError) -> bool {
        self.settings.uses_oauth() && error.is_refused_credential()
    }

    /// Replaces a token that was refused.
    fn renew(&mut self) -> Result<(), Failure> {
        if let Some(token) = self.endpoint.secret().cloned() {
            self.reporter.detail("the token was refused; refreshing it once");
            self.endpoint = endpoint(&self.settings, Refresh::Rejected(token), &self.reporter)?;
        }
        Ok(())
    }

    /// Turns an error into a failure, with hints that depend on the settings, and without the secret.
    fn failure(&self, error: RequestError, was_renewed: bool, asked: Asked) -> Failure {
        let is_refused = error.is_refused_credential();
        let mut failure = error.failure(&self.endpoint.server(), asked);
        if is_refused {
            failure = failure.hint(hint_when_refused(&self.settings, was_renewed));
        }
        failure.message = self.endpoint.redacted(failure.message);
        failure
    }
}

/// Runs a request as a task, not as the runtime's root future: waking the root costs two system calls each time, and a
/// long answer wakes its reader tens of thousands of times.
fn run(request: Request) -> Result<(Request, Summary, Option<RequestError>), Failure> {
    let runtime = http::runtime()?;
    let task = runtime.spawn(request.run());
    runtime
        .block_on(task)
        .map_err(|error| Failure::new(Exit::Bug, "the request's task ended by itself").caused_by(error))
}

/// Resolves the settings and reports their notices.
pub(crate) fn resolve_settings(overrides: &Overrides, reporter: &Reporter) -> Result<Settings, Failure> {
    let settings = Settings::resolve(overrides)?;
    settings.report(reporter);
    Ok(settings)
}

/// Gets the credential, and the endpoint that it may go to.
fn endpoint(settings: &Settings, refresh: Refresh, reporter: &Reporter) -> Result<Endpoint, Failure> {
    let policy = RefreshPolicy {
        refresh,
        ..RefreshPolicy::default()
    };
    let authorization = authorize(settings, &policy, reporter)?;
    let base_url = authorization.base_url(settings)?;
    Endpoint::new(settings, authorization.token, Some(base_url))
}

/// Returns the limits of one attempt: flags, then the profile. The limit for everything includes retries.
fn timeouts(configured: TimeoutSettings, limits: &LimitArgs) -> Timeouts {
    let given = TimeoutSettings {
        connect: limits.connect_timeout,
        first_byte: limits.first_byte_timeout,
        idle: limits.idle_timeout,
        progress: None,
        total: None,
    };
    Timeouts {
        total: None,
        ..given.or(configured).with_defaults(Timeouts::default())
    }
}
