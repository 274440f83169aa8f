//! One question put to an endpoint: its tries, its answer, its one renewal of a refused token.

use std::sync::Arc;
use std::time::{Duration, Instant};

use qwen_shared::api::{self, Endpoint, SendError};
use qwen_shared::authorize::authorize;
use qwen_shared::chat::{Kind, Summary};
use qwen_shared::config::{Access, Settings};
use qwen_shared::credential::{Refresh, Wanted};
use qwen_shared::exit::Exit;
use qwen_shared::failure::Failure;
use qwen_shared::http::{self, Client, Timeouts};
use qwen_shared::out::Talk;
use tokio::runtime::Runtime;

use crate::cli::LimitArgs;
use crate::output::Output;
use crate::stream::{self, Broken};

/// An endpoint ready to be asked, again and again in a conversation.
pub(crate) struct Asker {
    settings: Settings,
    endpoint: Endpoint,
    client: Client,
    runtime: Runtime,
    retries: u32,
    max_time: Option<Duration>,
    talk: Talk,
}

/// What came of a question.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The presenter, with what it holds.
    pub(crate) output: Output,
    /// What is known of the answer.
    pub(crate) summary: Summary,
    /// How many tries it took.
    pub(crate) attempts: u32,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// Why there is no whole answer.
    pub(crate) failure: Option<Failure>,
}

/// Why there is no whole answer.
enum Ended {
    Send(SendError),
    Broken(Broken),
    Late(Duration),
    Stopped,
}

impl Asker {
    /// Gets the credential and makes the client.
    ///
    /// # Errors
    /// Those of [`authorize`]; 78 where the secret may not go to the endpoint.
    pub(crate) fn new(settings: Settings, limits: &LimitArgs, talk: &Talk) -> Result<Self, Failure> {
        let endpoint = open(&settings, Refresh::WhenDue, talk)?;
        let timeouts = timeouts(settings.timeouts, limits);
        let client = Client::new(endpoint.base_url(), timeouts)
            .map_err(|error| error.failure(&endpoint.server()))?;
        Ok(Self {
            settings,
            endpoint,
            client,
            runtime: http::runtime()?,
            retries: limits.retries,
            max_time: limits.max_time.or(timeouts.total),
            talk: talk.clone(),
        })
    }

    /// Returns the settings in force.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends a body and presents the answer. `stops` says that Ctrl-C ends the answer instead of the program.
    pub(crate) fn ask(&mut self, body: Vec<u8>, output: Output, stops: bool) -> Answered {
        let started = Instant::now();
        let body = Arc::new(body);
        let deadline = self.max_time.and_then(|limit| Some((started.checked_add(limit)?, limit)));
        let (mut output, mut result) = self.run(&body, output, deadline, stops);
        if let Err((ended, attempts, _)) = &result
            && self.is_refused_token(ended)
        {
            let attempts = *attempts;
            match self.renew() {
                Ok(()) => {
                    (output, result) = self.run(&body, output, deadline, stops);
                    if let Ok((_, count)) | Err((_, count, _)) = &mut result {
                        *count += attempts;
                    }
                }
                Err(failure) => {
                    let summary = Summary::default();
                    let ended = Ended::Send(SendError::Unmade(failure));
                    result = Err((ended, attempts, summary));
                }
            }
        }
        let elapsed = started.elapsed();
        match result {
            Ok((summary, attempts)) => Answered { output, summary, attempts, elapsed, failure: None },
            Err((ended, attempts, summary)) => {
                let failure = Some(self.failure(ended));
                Answered { output, summary, attempts, elapsed, failure }
            }
        }
    }

    /// True when an access token was refused before the answer began: refreshing it may help.
    fn is_refused_token(&self, ended: &Ended) -> bool {
        matches!(self.settings.access.value, Access::Oauth { .. })
            && matches!(ended, Ended::Send(SendError::Refused(refusal)) if refusal.kind == Kind::Auth)
    }

    /// Gets another token in the place of the one that was refused.
    fn renew(&mut self) -> Result<(), Failure> {
        let Some(token) = self.endpoint.secret().cloned() else {
            return Ok(());
        };
        self.talk.detail("the token was refused; refreshing it once");
        self.endpoint = open(&self.settings, Refresh::Rejected(token), &self.talk)?;
        Ok(())
    }

    /// Runs one exchange on the runtime.
    ///
    /// It runs as a task of its own, not as the runtime's root: waking the root costs two system calls each time, and a
    /// long answer wakes its reader twenty thousand times.
    fn run(
        &self,
        body: &Arc<Vec<u8>>,
        mut output: Output,
        deadline: Option<(Instant, Duration)>,
        stops: bool,
    ) -> (Output, Result<(Summary, u32), (Ended, u32, Summary)>) {
        let (client, endpoint, body) = (self.client.clone(), self.endpoint.clone(), Arc::clone(body));
        let retries = self.retries;
        let task = async move {
            let mut attempts = 0;
            let result = {
                let work = exchange(&client, &endpoint, &body, retries, &mut output, &mut attempts);
                tokio::select! {
                    biased;
                    () = stopped(stops) => Err((Ended::Stopped, Summary::default())),
                    () = late(deadline) => Err((deadline.map_or(Ended::Stopped, |(_, limit)| Ended::Late(limit)), Summary::default())),
                    result = work => result,
                }
            };
            let result = match result {
                Ok(summary) => Ok((summary, attempts)),
                Err((ended, summary)) => Err((ended, attempts, summary)),
            };
            (output, result)
        };
        todo!()
    }
}
