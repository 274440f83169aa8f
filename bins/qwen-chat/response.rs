//! A request, and the reading of its response.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{self, Endpoint, Event, ResponseStart, SendError};
use qwen_shared::net::chat::{AnswerError, AnswerReader, Asked, Dialect, Summary};
use qwen_shared::net::http::{self, HttpError};
use qwen_shared::net::ratelimit::RateLimit;

use super::deadline::{Deadline, Expired};
use super::output::Output;

/// Why there is no complete answer.
#[derive(Debug)]
pub(crate) enum RequestError {
    /// The answer never began.
    Send(Box<SendError>),
    /// The answer is invalid or incomplete.
    Answer(AnswerError),
    /// The connection failed within the answer.
    Http(HttpError),
    /// The answer cannot be written.
    Output(Failure),
    /// It was given up.
    Expired(Expired),
}

impl RequestError {
    /// True when the credential was refused before the answer began.
    pub(crate) fn is_refused_credential(&self) -> bool {
        matches!(self, Self::Send(error) if error.is_refused_credential())
    }

    /// Turns it into a failure that names the server.
    pub(crate) fn failure(self, server: &str, asked: Asked) -> Failure {
        match self {
            Self::Send(error) => (*error).failure(server, asked),
            Self::Answer(error) => error.failure(server),
            Self::Http(error) => error.failure(server),
            Self::Output(failure) => failure,
            Self::Expired(Expired::TimedOut(limit)) => {
                let seconds = limit.as_secs_f64();
                Failure::new(Exit::TryAgain, format!("'{server}': not done within {seconds} s"))
                    .hint("raise it with --max-time SECONDS")
            }
            Self::Expired(Expired::Interrupted) => Failure::new(Exit::TryAgain, "stopped"),
        }
    }
}

/// Everything that a chat request needs, owned: it runs as a task.
pub(crate) struct Request {
    pub(crate) client: http::Client,
    pub(crate) rate_limit: RateLimit,
    pub(crate) endpoint: Endpoint,
    pub(crate) body: Vec<u8>,
    pub(crate) retries: u32,
    pub(crate) deadline: Deadline,
    pub(crate) output: Output,
    /// How often it was sent.
    pub(crate) attempts: u32,
}

impl Request {
    /// Sends the request and writes its answer to the output. Returns with what is known about the answer, and with the
    /// request itself, so that it can be sent once more.
    pub(crate) async fn run(mut self) -> (Self, Summary, Option<RequestError>) {
        let deadline = self.deadline.clone();
        let (summary, error) = match deadline.run(self.send()).await {
            Ok(Ok(summary)) => (summary, None),
            Ok(Err((error, summary))) => (summary, Some(error)),
            Err(expired) => (Summary::default(), Some(RequestError::Expired(expired))),
        };
        (self, summary, error)
    }

    async fn send(&mut self) -> Result<Summary, (RequestError, Summary)> {
        let Self { endpoint, output, .. } = self;
        let make = || {
            self.attempts += 1;
            endpoint
                .chat_request(self.body.clone())
                .map_err(|error| error.failure(&endpoint.server()))
        };
        let notify = |event: &Event| output.notify(event);
        let start = api::send(
            &self.client,
            endpoint,
            Some(&self.rate_limit),
            self.retries,
            make,
            notify,
        );
        let start = start
            .await
            .map_err(|error| (RequestError::Send(Box::new(error)), Summary::default()))?;
        read(start, output, endpoint.dialect()).await
    }
}

/// How long the rest of a stream is waited for once the answer is complete: a count of tokens may follow the finish
/// reason, but some servers neither send it nor end the stream.
const TAIL: Duration = Duration::from_secs(5);

/// Reads an answer to its end and writes it as it arrives.
///
/// # Errors
/// The error, with what is known so far. The text that came before has been written.
async fn read(
    start: ResponseStart,
    output: &mut Output,
    dialect: Dialect,
) -> Result<Summary, (RequestError, Summary)> {
    let ResponseStart {
        mut response,
        first_chunk,
    } = start;
    let mut reader = AnswerReader::new(response.header("content-type")).dialect(dialect);
    let mut result = match first_chunk {
        Some(bytes) => push(&mut reader, &bytes, output),
        None => Ok(()),
    };
    while result.is_ok() && !reader.is_done() {
        result = match next_chunk(&mut response, output, reader.awaits_tail()).await {
            Ok(Some(bytes)) => push(&mut reader, bytes.as_ref(), output),
            Ok(None) => break,
            Err(RequestError::Http(_)) if reader.is_complete() => break,
            Err(error) => Err(error),
        };
    }
    if let Err(error) = result {
        reader.close(&mut |delta| output.push(delta));
        return Err((error, reader.into_summary()));
    }
    // JSON in one piece is only parsed here.
    reader
        .finish(&mut |delta| output.push(delta))
        .map_err(|(error, summary)| (RequestError::Answer(error), summary))
}

fn push(reader: &mut AnswerReader, bytes: &[u8], output: &mut Output) -> Result<(), RequestError> {
    reader
        .push(bytes, &mut |delta| output.push(delta))
        .map_err(RequestError::Answer)?;
    if output.should_flush() {
        output.flush().map_err(RequestError::Output)?;
    }
    Ok(())
}

/// Waits for the next piece of the body, and flushes the output before it really has to wait.
///
/// When nothing is there, the connection's task is polled once more, since it may have bytes that it has not passed on:
/// a fast server's answer then takes a write per some dozens of tokens, and a slow one's tokens are shown one by one.
async fn next_chunk(
    response: &mut http::Response,
    output: &mut Output,
    awaits_tail: bool,
) -> Result<Option<impl AsRef<[u8]> + use<>>, RequestError> {
    let mut was_woken = false;
    let mut chunk = pin!(response.chunk());
    let chunk = poll_fn(|context| {
        if let Poll::Ready(chunk) = chunk.as_mut().poll(context) {
            return Poll::Ready(chunk.map_err(RequestError::Http));
        }
        if output.pending() > 0 {
            if !std::mem::replace(&mut was_woken, true) {
                context.waker().wake_by_ref();
            } else if let Err(failure) = output.flush() {
                return Poll::Ready(Err(RequestError::Output(failure)));
            }
        }
        Poll::Pending
    });
    if !awaits_tail {
        return chunk.await;
    }
    tokio::time::timeout(TAIL, chunk).await.unwrap_or(Ok(None))
}
