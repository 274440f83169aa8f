//! An answer, read as it comes.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::Error;
use crate::exit::Failure;
use crate::net::chat::{AnswerReader, Delta, Progress};
use crate::net::http::{Received, Response, SILENCE, Waiting};

/// How long the rest of a stream is waited for once the answer is complete: a count of tokens may follow the finish
/// reason, but some servers neither send it nor end the stream.
const TAIL: Duration = Duration::from_secs(5);

/// Takes an answer.
pub trait AnswerSink: Send {
    /// Takes a piece.
    fn push(&mut self, delta: Delta<'_>);

    /// True when what was taken is to be written although more may follow at once.
    fn should_flush(&self) -> bool {
        false
    }

    /// True when something is there to be written before more is waited for.
    fn has_pending(&self) -> bool {
        false
    }

    /// Writes what was taken.
    ///
    /// # Errors
    /// It cannot be written; the answer is not read any further.
    fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Takes note that the answer has said nothing new for long; once.
    fn is_silent(&mut self, _waiting: &Waiting) {}

    /// True when no more of the answer is wanted.
    fn is_satisfied(&self) -> bool {
        false
    }
}

/// Reads an answer to its end. What came before an error has been taken; `reader` knows what it was.
///
/// # Errors
/// Why the answer is not whole, as far as that shows before its end: [`AnswerReader::finish`] is the caller's.
pub async fn read_answer(
    mut response: Response,
    reader: &mut AnswerReader,
    sink: &mut impl AnswerSink,
) -> Result<(), Error> {
    // A head that came so late was waited for aloud.
    let mut is_silence_told = response.waiting().is_some();
    let mut tail = Tail::default();
    while !reader.is_done() && !sink.is_satisfied() {
        let next = next_chunk(&mut response, sink, tail.end(reader.awaits_tail()));
        let next = match is_silence_told {
            true => next.await,
            false => match timeout(SILENCE, next).await {
                Ok(next) => next,
                Err(_) => Ok(Some(Bytes::new())),
            },
        };
        match next {
            Ok(Some(bytes)) => {
                let before = reader.progress();
                reader.push(&bytes, &mut |delta| sink.push(delta))?;
                if !bytes.is_empty() {
                    response.received(received(before, reader.progress()));
                }
                if sink.should_flush() {
                    sink.flush()?;
                }
                if !is_silence_told && let Some(waiting) = response.waiting() {
                    is_silence_told = true;
                    sink.is_silent(&waiting);
                }
            }
            Ok(None) => break,
            Err(Error::Http(_)) if reader.is_complete() => break,
            Err(Error::Http(error)) if error.is_of_connection() && reader.is_document() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Until when the rest of a stream is waited for: [`TAIL`] after the finish reason, whatever comes in that time.
#[derive(Debug, Default)]
struct Tail(Option<(u64, Instant)>);

impl Tail {
    /// Returns the end of the wait for what may follow that event, if nothing else may.
    fn end(&mut self, event: Option<u64>) -> Option<Instant> {
        let event = event?;
        match self.0 {
            Some((known, end)) if known == event => Some(end),
            _ => {
                let end = Instant::now() + TAIL;
                self.0 = Some((event, end));
                Some(end)
            }
        }
    }
}

/// Tells what a piece of an answer said, by what its reader had read before it and has read now.
const fn received(before: Progress, now: Progress) -> Received {
    if now.telling > before.telling {
        Received::Something
    } else if now.events > before.events {
        Received::Event
    } else {
        Received::Nothing
    }
}

/// Waits for the next piece of the body, and flushes the output before it really has to wait.
///
/// When nothing is there, the connection's task is polled once more, since it may have bytes that it has not passed on:
/// a fast server's answer then takes a write per some dozens of tokens, and a slow one's tokens are shown one by one.
async fn next_chunk(
    response: &mut Response,
    sink: &mut impl AnswerSink,
    end: Option<Instant>,
) -> Result<Option<Bytes>, Error> {
    let mut was_woken = false;
    let mut chunk = pin!(response.chunk());
    let chunk = poll_fn(|context| {
        if let Poll::Ready(chunk) = chunk.as_mut().poll(context) {
            return Poll::Ready(chunk.map_err(Error::Http));
        }
        if sink.has_pending() {
            if !std::mem::replace(&mut was_woken, true) {
                context.waker().wake_by_ref();
            } else if let Err(failure) = sink.flush() {
                return Poll::Ready(Err(Error::Failed(failure)));
            }
        }
        Poll::Pending
    });
    match end {
        None => chunk.await,
        // A server that never pauses must not be waited for either.
        Some(end) if Instant::now() >= end => Ok(None),
        Some(end) => timeout_at(end, chunk).await.unwrap_or(Ok(None)),
    }
}
