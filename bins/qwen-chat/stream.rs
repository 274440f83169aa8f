//! From the connection to the output, as fast as the bytes come and not in smaller pieces than need be.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use qwen_shared::api::Opened;
use qwen_shared::chat::{AnswerError, AnswerReader, Summary};
use qwen_shared::failure::Failure;
use qwen_shared::http::{HttpError, Response};

use crate::output::Output;

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
