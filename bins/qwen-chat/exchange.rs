//! One exchange: the request's tries, then the answer, under a limit for both.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use qwen_shared::api::{self, Endpoint, SendError, Told};
use qwen_shared::chat::{Kind, Summary};
use qwen_shared::exit::Exit;
use qwen_shared::failure::Failure;
use qwen_shared::http::Client;
use qwen_shared::pace::Pace;
use tokio::time::Instant;

use crate::output::Output;
use crate::stream::{self, Broken};

/// Everything that an exchange needs, owned: it runs as a task.
pub(crate) struct Exchange {
    pub(crate) client: Client,
    pub(crate) pace: Pace,
    pub(crate) endpoint: Endpoint,
    pub(crate) body: Arc<Vec<u8>>,
    pub(crate) retries: u32,
    /// When to give up, and how long that was.
    pub(crate) deadline: Option<(Instant, Duration)>,
    /// True when Ctrl-C ends the answer, not the program.
    pub(crate) stops: bool,
    pub(crate) output: Output,
}

/// An exchange that is over.
pub(crate) struct Ended {
    /// The presenter, with what it holds.
    pub(crate) output: Output,
    /// What is known of the answer.
    pub(crate) summary: Summary,
    /// How many tries there were.
    pub(crate) attempts: u32,
    /// Why there is no whole answer.
    pub(crate) fault: Option<Fault>,
}

/// Why there is no whole answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The answer never began.
    Send(SendError),
    /// It broke.
    Broken(Broken),
    /// `--max-time` was over.
    Late(Duration),
    /// The user stopped it.
    Stopped,
}

impl Fault {
    /// True when the credential was refused before the answer began.
    pub(crate) const fn is_refused_credential(&self) -> bool {
        matches!(self, Self::Send(SendError::Refused(refusal)) if matches!(refusal.kind, Kind::Auth))
    }

    /// Lifts it into a failure that names the server.
    pub(crate) fn failure(self, server: &str) -> Failure {
        match self {
            Self::Send(error) => error.failure(server),
            Self::Broken(broken) => broken.failure(server),
            Self::Late(limit) => {
                let seconds = limit.as_secs_f64();
                Failure::new(Exit::TryAgain, format!("'{server}': not done within {seconds} s"))
                    .hint("raise it with --max-time SECONDS")
            }
            Self::Stopped => Failure::new(Exit::TryAgain, "stopped"),
        }
    }
}

impl Exchange {
    /// Runs the exchange to its end.
    pub(crate) async fn run(mut self) -> Ended {
        let mut attempts = 0;
        let (deadline, stops) = (self.deadline, self.stops);
        let work = work(
            &self.client,
            &self.pace,
            &self.endpoint,
            &self.body,
            self.retries,
            &mut self.output,
            &mut attempts,
        );
        let result = if deadline.is_none() && !stops {
            work.await
        } else {
            tokio::select! {
                biased;
                () = stopped(stops) => Err((Fault::Stopped, Summary::default())),
                limit = late(deadline) => Err((Fault::Late(limit), Summary::default())),
                result = work => result,
            }
        };
        let (summary, fault) = match result {
            Ok(summary) => (summary, None),
            Err((fault, summary)) => (summary, Some(fault)),
        };
        Ended {
            output: self.output,
            summary,
            attempts,
            fault,
        }
    }
}

async fn work(
    client: &Client,
    pace: &Pace,
    endpoint: &Endpoint,
    body: &[u8],
    retries: u32,
    output: &mut Output,
    attempts: &mut u32,
) -> Result<Summary, (Fault, Summary)> {
    let make = || {
        *attempts += 1;
        endpoint
            .chat_request(body.to_vec())
            .map_err(|error| error.failure(&endpoint.server()))
    };
    let tell = |told: &Told| output.announce(told, &endpoint.server());
    let opened = api::send(client, Some(pace), retries, make, tell).await;
    let opened = opened.map_err(|error| (Fault::Send(error), Summary::default()))?;
    stream::read(opened, output)
        .await
        .map_err(|(broken, summary)| (Fault::Broken(broken), summary))
}

/// Waits for Ctrl-C where it is ours to handle; for ever where it ends the program.
async fn stopped(stops: bool) {
    if !stops || tokio::signal::ctrl_c().await.is_err() {
        pending::<()>().await;
    }
}

async fn late(deadline: Option<(Instant, Duration)>) -> Duration {
    match deadline {
        Some((at, limit)) => {
            tokio::time::sleep_until(at).await;
            limit
        }
        None => pending().await,
    }
}
