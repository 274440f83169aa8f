//! One exchange: the request's tries, then the answer, under a limit for both.

use std::sync::Arc;
use std::time::Duration;

use qwen_shared::api::{self, Endpoint, SendError, Told};
use qwen_shared::chat::Summary;
use qwen_shared::exit::Exit;
use qwen_shared::failure::Failure;
use qwen_shared::http::Client;
use qwen_shared::pace::Pace;

use crate::bounds::Bounds;
use crate::output::Output;
use crate::stream::{self, Broken};

/// Everything that an exchange needs, owned: it runs as a task.
pub(crate) struct Exchange {
    pub(crate) client: Client,
    pub(crate) pace: Pace,
    pub(crate) endpoint: Endpoint,
    pub(crate) body: Arc<Vec<u8>>,
    pub(crate) retries: u32,
    pub(crate) bounds: Bounds,
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
        matches!(self, Self::Send(error) if error.is_refused_credential())
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
        let work = work(
            &self.client,
            &self.pace,
            &self.endpoint,
            &self.body,
            self.retries,
            &mut self.output,
            &mut attempts,
        );
        let (summary, fault) = match self.bounds.hold(work).await {
            Ok(Ok(summary)) => (summary, None),
            Ok(Err((fault, summary))) => (summary, Some(fault)),
            Err(fault) => (Summary::default(), Some(fault)),
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
    let opened = api::send(client, endpoint, Some(pace), retries, make, tell).await;
    let opened = opened.map_err(|error| (Fault::Send(error), Summary::default()))?;
    stream::read(opened, output)
        .await
        .map_err(|(broken, summary)| (Fault::Broken(broken), summary))
}
