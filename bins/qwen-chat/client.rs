//! An endpoint that is ready to be asked, once or again and again.

use std::sync::Arc;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::Told;
use qwen_shared::net::api::{self, Endpoint, SendError};
use qwen_shared::net::api::{authorize, hint_when_refused};
use qwen_shared::net::chat::Summary;
use qwen_shared::net::config::{Settings, TimeoutSettings};
use qwen_shared::net::credential::{Refresh, Wanted};
use qwen_shared::net::http::{self, Client, Timeouts};
use qwen_shared::net::ratelimit::Pace;
use qwen_shared::net::ratelimit::identity;
use qwen_shared::output::Reporter;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use url::Url;

use super::args::LimitArgs;
use super::exchange::{Bounds, Ended, Exchange, Fault};
use super::output::Output;

/// Settings, credential, client and runtime, put together.
pub(crate) struct Asker {
    settings: Settings,
    endpoint: Endpoint,
    client: Client,
    pace: Pace,
    runtime: &'static Runtime,
    retries: u32,
    max_time: Option<Duration>,
    reporter: Reporter,
}

/// What came of a question.
pub(crate) struct Answered {
    /// The presenter, with what it holds.
    pub(crate) output: Output,
    /// What is known of the answer.
    pub(crate) summary: Summary,
    /// How many tries there were.
    pub(crate) attempts: u32,
    /// How long it all took.
    pub(crate) elapsed: Duration,
    /// Why there is no whole answer.
    pub(crate) failure: Option<Failure>,
}

impl Asker {
    /// Gets the credential and makes the client.
    ///
    /// # Errors
    /// Those of [`authorize`]; 78 where the secret may not go to the endpoint.
    pub(crate) fn new(settings: Settings, limits: &LimitArgs, reporter: &Reporter) -> Result<Self, Failure> {
        let endpoint = open(&settings, Refresh::WhenDue, reporter)?;
        let timeouts = timeouts(settings.timeouts, limits);
        let client =
            Client::new(endpoint.base_url(), timeouts).map_err(|error| error.failure(&endpoint.server()))?;
        Ok(Self {
            max_time: limits.max_time.or(settings.timeouts.total),
            pace: Pace::new(
                &identity(&settings, endpoint.secret()),
                settings.rate,
                !limits.no_pace,
            ),
            settings,
            endpoint,
            client,
            runtime: http::runtime()?,
            retries: limits.retries,
            reporter: reporter.clone(),
        })
    }

    /// Returns the server's name for messages.
    pub(crate) fn server(&self) -> String {
        self.endpoint.server()
    }

    /// Gets a document of at most `most` bytes from below the endpoint. With `stops` Ctrl-C ends the wait instead of the
    /// program. An access token that is refused is refreshed once, as for a question.
    ///
    /// # Errors
    /// As a question has them.
    pub(crate) fn fetch(
        &mut self,
        url: impl Fn(&Endpoint) -> Url,
        most: usize,
        stops: bool,
    ) -> Result<Vec<u8>, Failure> {
        let bounds = Bounds::from_now(self.max_time, stops);
        let mut result = self.fetch_once(&url, most, bounds);
        let mut was_renewed = false;
        if let Err(fault) = &result
            && self.may_renew(fault)
        {
            self.renew()?;
            was_renewed = true;
            result = self.fetch_once(&url, most, bounds);
        }
        result.map_err(|fault| self.failure(fault, was_renewed))
    }

    #[expect(clippy::result_large_err, reason = "returned once per request")]
    fn fetch_once(
        &self,
        url: &impl Fn(&Endpoint) -> Url,
        most: usize,
        bounds: Bounds,
    ) -> Result<Vec<u8>, Fault> {
        let endpoint = &self.endpoint;
        let make = || {
            endpoint
                .request("GET", url(endpoint))
                .map_err(|error| error.failure(&endpoint.server()))
        };
        let tell = |told: &Told| self.reporter.notice(&told.words(&endpoint.server()));
        let work = async {
            let opened = api::send(&self.client, endpoint, None, self.retries, make, tell).await?;
            let mut body = opened.first.unwrap_or_default();
            body.extend(opened.response.body(most).await?);
            Ok(body)
        };
        let result: Result<_, SendError> = self.runtime.block_on(async { bounds.hold(work).await })?;
        result.map_err(Fault::Send)
    }

    /// True for a fault that another access token may mend.
    fn may_renew(&self, fault: &Fault) -> bool {
        self.settings.uses_oauth() && fault.is_refused_credential()
    }

    /// Sends a body and presents the answer. With `stops` Ctrl-C ends the answer instead of the program.
    ///
    /// An access token that is refused is refreshed once, and the request sent once more. A fresh token that is refused
    /// too is reported as that: another login would not help.
    ///
    /// # Errors
    /// Only an invariant of ours; whatever befalls the request is in [`Answered::failure`].
    pub(crate) fn ask(&mut self, body: Vec<u8>, output: Output, stops: bool) -> Result<Answered, Failure> {
        let (started, body) = (Instant::now(), Arc::new(body));
        let bounds = Bounds::from_now(self.max_time, stops);
        let mut ended = self.run(Arc::clone(&body), output, bounds)?;
        let mut was_renewed = false;
        if ended.fault.as_ref().is_some_and(|fault| self.may_renew(fault)) {
            let before = ended.attempts;
            match self.renew() {
                Ok(()) => {
                    was_renewed = true;
                    ended = self.run(body, ended.output, bounds)?;
                    ended.attempts += before;
                }
                Err(failure) => ended.fault = Some(Fault::Send(SendError::Unmade(failure))),
            }
        }
        let failure = ended.fault.map(|fault| self.failure(fault, was_renewed));
        Ok(Answered {
            output: ended.output,
            summary: ended.summary,
            attempts: ended.attempts,
            elapsed: started.elapsed(),
            failure,
        })
    }

    /// Runs one exchange.
    ///
    /// It runs as a task, not as the runtime's root future: waking the root costs two system calls each time, and a long
    /// answer wakes its reader tens of thousands of times.
    fn run(&self, body: Arc<Vec<u8>>, output: Output, bounds: Bounds) -> Result<Ended, Failure> {
        let exchange = Exchange {
            client: self.client.clone(),
            pace: self.pace.clone(),
            endpoint: self.endpoint.clone(),
            body,
            retries: self.retries,
            bounds,
            output,
        };
        let task = self.runtime.spawn(exchange.run());
        self.runtime
            .block_on(task)
            .map_err(|error| Failure::new(Exit::Bug, "the exchange ended by itself").caused_by(error))
    }

    /// Gets another token in the place of the one that was refused.
    fn renew(&mut self) -> Result<(), Failure> {
        if let Some(token) = self.endpoint.secret().cloned() {
            self.reporter.detail("the token was refused; refreshing it once");
            self.endpoint = open(&self.settings, Refresh::Rejected(token), &self.reporter)?;
        }
        Ok(())
    }

    /// Lifts a fault into a failure, with what the settings can add to it, and without what they must not.
    fn failure(&self, fault: Fault, was_renewed: bool) -> Failure {
        let is_refused = fault.is_refused_credential();
        let mut failure = fault.failure(&self.endpoint.server());
        if is_refused {
            failure = failure.hint(hint_when_refused(&self.settings, was_renewed));
        }
        if failure.exit == Exit::Unavailable {
            failure =
                failure.hint("run 'qwen-chat --list-models', or 'qwen-auth status' for endpoint and quota");
        }
        failure.message = self.endpoint.redacted(failure.message);
        failure
    }
}

/// Gets the credential, and the endpoint that it may go to.
fn open(settings: &Settings, refresh: Refresh, reporter: &Reporter) -> Result<Endpoint, Failure> {
    let wanted = Wanted {
        refresh,
        ..Wanted::default()
    };
    let authorization = authorize(settings, &wanted, reporter)?;
    let base_url = authorization.base_url(settings)?;
    Endpoint::new(settings, authorization.token, Some(base_url))
}

/// Returns the limits: flags, then the profile. The limit for everything is kept apart: it counts retries too.
fn timeouts(configured: TimeoutSettings, limits: &LimitArgs) -> Timeouts {
    let given = TimeoutSettings {
        connect: limits.connect_timeout,
        first_byte: limits.first_byte_timeout,
        idle: limits.idle_timeout,
        total: None,
    };
    Timeouts {
        total: None,
        ..given.or(configured).with_defaults(Timeouts::default())
    }
}
