//! A request and its answer, under a deadline.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{self, Endpoint, SendError};
use qwen_shared::net::api::{Opened, Told};
use qwen_shared::net::chat::{AnswerError, AnswerReader, Summary};
use qwen_shared::net::http::{Client, HttpError, Response};
use qwen_shared::net::ratelimit::Pace;
use qwen_shared::output::Stdout;
use tokio::time::Instant;

use super::output::Output;

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
    read(opened, output)
        .await
        .map_err(|(broken, summary)| (Fault::Broken(broken), summary))
}

/// When to give up, and whether the user may end it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// When to give up, and how long that was.
    deadline: Option<(Instant, Duration)>,
    /// True when Ctrl-C ends the work, not the program.
    stops: bool,
}

impl Bounds {
    /// Sets bounds from now on: `limit` for everything, and with `stops` the user's Ctrl-C.
    pub(crate) fn from_now(limit: Option<Duration>, stops: bool) -> Self {
        Self {
            deadline: limit.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit))),
            stops,
        }
    }

    /// Runs work within the bounds.
    ///
    /// # Errors
    /// [`Fault::Late`] and [`Fault::Stopped`]; the work is dropped then.
    pub(crate) async fn hold<T>(self, work: impl Future<Output = T>) -> Result<T, Fault> {
        if self.deadline.is_none() && !self.stops {
            return Ok(work.await);
        }
        tokio::select! {
            biased;
            () = stopped(self.stops) => {
                // The terminal has shown the key, and the cursor stands behind it.
                let _ = Stdout::write(b"\n");
                Err(Fault::Stopped)
            }
            limit = late(self.deadline) => Err(Fault::Late(limit)),
            done = work => Ok(done),
        }
    }
}

/// Waits for Ctrl-C where it is ours to handle; for ever where it ends the program.
async fn stopped(stops: bool) {
    if stops {
        // The runtime sleeps between two requests, and hears of a Ctrl-C from then (in a login, say) when it is woken: one
        // turn of it, with nobody listening, forgets that one.
        tokio::task::yield_now().await;
        if tokio::signal::ctrl_c().await.is_ok() {
            return;
        }
    }
    pending().await
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

/// How long the rest of a stream is waited for once the answer is whole: a count of tokens may follow the finish reason,
/// but some servers neither send it nor end the stream.
const TAIL: Duration = Duration::from_secs(5);

/// Why an answer that had begun is not whole.
#[derive(Debug)]
pub(crate) enum Broken {
    /// What came is wrong.
    Answer(AnswerError),
    /// The connection failed.
    Http(HttpError),
    /// The answer cannot be written.
    Output(Failure),
}

impl Broken {
    /// Lifts it into a failure that names the server.
    pub(crate) fn failure(self, server: &str) -> Failure {
        match self {
            Self::Answer(error) => error.failure(server),
            Self::Http(error) => error.failure(server),
            Self::Output(failure) => failure,
        }
    }
}

/// Reads an answer to its end, handing its text to `output` and writing it as it comes.
///
/// # Errors
/// What broke, with what is known so far. The text that came before has been written.
pub(crate) async fn read(opened: Opened, output: &mut Output) -> Result<Summary, (Broken, Summary)> {
    let Opened {
        mut response, first, ..
    } = opened;
    let mut reader = AnswerReader::new(response.header("content-type"));
    let mut read = match first {
        Some(bytes) => feed(&mut reader, &bytes, output),
        None => Ok(()),
    };
    while read.is_ok() && !reader.is_done() {
        read = match next(&mut response, output, reader.is_complete()).await {
            Ok(Some(bytes)) => feed(&mut reader, bytes.as_ref(), output),
            Ok(None) => break,
            Err(Broken::Http(_)) if reader.is_complete() => break,
            Err(broken) => Err(broken),
        };
    }
    if let Err(broken) = read {
        reader.close(&mut |delta| output.take(delta));
        return Err((broken, reader.into_summary()));
    }
    // An answer that is whole JSON is only looked at here.
    reader
        .finish(&mut |delta| output.take(delta))
        .map_err(|(error, summary)| (Broken::Answer(error), summary))
}

fn feed(reader: &mut AnswerReader, bytes: &[u8], output: &mut Output) -> Result<(), Broken> {
    reader
        .push(bytes, &mut |delta| output.take(delta))
        .map_err(Broken::Answer)?;
    if output.is_full() {
        output.flush().map_err(Broken::Output)?;
    }
    Ok(())
}

/// Waits for the next piece of the body.
///
/// What waits to be written is written before this waits in earnest. When nothing is there, the connection's task is
/// given one more turn, since it may have bytes that it has not handed over: a fast server's answer then takes a write
/// per some dozens of tokens, and a slow one's tokens are shown one by one.
async fn next(
    response: &mut Response,
    output: &mut Output,
    is_whole: bool,
) -> Result<Option<impl AsRef<[u8]> + use<>>, Broken> {
    let mut turned = false;
    let mut chunk = pin!(response.chunk());
    let piece = poll_fn(|context| {
        if let Poll::Ready(piece) = chunk.as_mut().poll(context) {
            return Poll::Ready(piece.map_err(Broken::Http));
        }
        if output.waiting() > 0 {
            if !std::mem::replace(&mut turned, true) {
                context.waker().wake_by_ref();
            } else if let Err(failure) = output.flush() {
                return Poll::Ready(Err(Broken::Output(failure)));
            }
        }
        Poll::Pending
    });
    if !is_whole {
        return piece.await;
    }
    tokio::time::timeout(TAIL, piece).await.unwrap_or(Ok(None))
}
