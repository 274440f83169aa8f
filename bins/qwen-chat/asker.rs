//! An endpoint that is ready to be asked, once or again and again.

use std::sync::Arc;
use std::time::Duration;

use qwen_shared::api::{Endpoint, SendError, Told};
use qwen_shared::authorize::authorize;
use qwen_shared::chat::Summary;
use qwen_shared::config::{Access, Settings};
use qwen_shared::credential::{Refresh, Wanted};
use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, Hint};
use qwen_shared::http::{self, Client, Timeouts};
use qwen_shared::out::Talk;
use qwen_shared::pace::{Pace, identity};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::cli::LimitArgs;
use crate::exchange::{Ended, Exchange, Fault};
use crate::output::Output;

/// Settings, credential, client and runtime, put together.
pub(crate) struct Asker {
    settings: Settings,
    endpoint: Endpoint,
    client: Client,
    pace: Pace,
    runtime: Runtime,
    retries: u32,
    max_time: Option<Duration>,
    talk: Talk,
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
    pub(crate) fn new(settings: Settings, limits: &LimitArgs, talk: &Talk) -> Result<Self, Failure> {
        let endpoint = open(&settings, Refresh::WhenDue, talk)?;
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
            talk: talk.clone(),
        })
    }

    /// Returns the endpoint.
    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the client and the runtime, for requests that are not questions.
    pub(crate) const fn client(&self) -> (&Client, &Runtime) {
        (&self.client, &self.runtime)
    }

    /// Returns how often a request is tried again.
    pub(crate) const fn retries(&self) -> u32 {
        self.retries
    }

    /// Says that another try follows.
    pub(crate) fn announce(&self, told: &Told) {
        self.talk.notice(&told.words(&self.endpoint.server()));
    }

    /// Lifts what a request that is no question met into a failure.
    pub(crate) fn refused(&self, error: SendError) -> Failure {
        self.failure(Fault::Send(error), false)
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
        let deadline = self
            .max_time
            .and_then(|limit| Some((started.checked_add(limit)?, limit)));
        let mut ended = self.run(Arc::clone(&body), output, deadline, stops)?;
        let is_oauth = matches!(self.settings.access.value, Access::Oauth { .. });
        let mut was_renewed = false;
        if is_oauth && ended.fault.as_ref().is_some_and(Fault::is_refused_credential) {
            let before = ended.attempts;
            match self.renew() {
                Ok(()) => {
                    was_renewed = true;
                    ended = self.run(body, ended.output, deadline, stops)?;
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
    fn run(
        &self,
        body: Arc<Vec<u8>>,
        output: Output,
        deadline: Option<(Instant, Duration)>,
        stops: bool,
    ) -> Result<Ended, Failure> {
        let exchange = Exchange {
            client: self.client.clone(),
            pace: self.pace.clone(),
            endpoint: self.endpoint.clone(),
            body,
            retries: self.retries,
            deadline,
            stops,
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
            self.talk.detail("the token was refused; refreshing it once");
            self.endpoint = open(&self.settings, Refresh::Rejected(token), &self.talk)?;
        }
        Ok(())
    }

    /// Lifts a fault into a failure, with what the settings can add to it, and without what they must not.
    fn failure(&self, fault: Fault, was_renewed: bool) -> Failure {
        let is_refused = fault.is_refused_credential();
        let mut failure = fault.failure(&self.endpoint.server());
        if is_refused {
            let hint = self.after_refusal(was_renewed);
            failure.hints.push(Hint(hint));
        }
        if failure.exit == Exit::Unavailable {
            failure =
                failure.hint("run 'qwen-chat --list-models', or 'qwen-auth status' for endpoint and quota");
        }
        redacted(failure, &self.endpoint)
    }

    fn after_refusal(&self, was_renewed: bool) -> String {
        let profile = self.settings.profile_name();
        match &self.settings.access.value {
            Access::Oauth { .. } if was_renewed => format!(
                "the token is fresh, so another login will not help: the account may not use this endpoint or model; \
                 run 'qwen-auth use NAME' for another profile than '{profile}'"
            ),
            Access::Oauth { .. } => format!("run 'qwen-login --profile {profile}'"),
            Access::ApiKey(_) => format!(
                "check the key of {}, or run 'qwen-login'",
                self.settings.access.source
            ),
            Access::Open => "set OPENAI_API_KEY, or run 'qwen-login --api-key'".to_owned(),
        }
    }
}

/// Gets the credential, and the endpoint that it may go to.
fn open(settings: &Settings, refresh: Refresh, talk: &Talk) -> Result<Endpoint, Failure> {
    let wanted = Wanted {
        refresh,
        ..Wanted::default()
    };
    let authorization = authorize(settings, &wanted, talk)?;
    let base_url = authorization.base_url(settings)?;
    Endpoint::new(settings, authorization.token, Some(base_url))
}

/// Lays what was typed over what is configured. The limit for everything is kept apart: it counts retries too.
fn timeouts(configured: Timeouts, limits: &LimitArgs) -> Timeouts {
    Timeouts {
        connect: limits.connect_timeout.unwrap_or(configured.connect),
        first_byte: limits.first_byte_timeout.unwrap_or(configured.first_byte),
        idle: limits.idle_timeout.unwrap_or(configured.idle),
        total: None,
    }
}

/// Takes the secret out of a message: a server may quote it.
fn redacted(mut failure: Failure, endpoint: &Endpoint) -> Failure {
    if let Some(secret) = endpoint
        .secret()
        .map(|secret| secret.expose())
        .filter(|secret| secret.len() >= 4)
    {
        failure.message = failure.message.replace(secret.as_str(), "***");
    }
    failure
}
