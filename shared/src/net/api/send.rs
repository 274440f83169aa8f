//! One request, its attempts, and the beginning of its response.

use std::fmt;
use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::error::SendError;
use super::retry::{Backoff, jitter};
use crate::exit::Failure;
use crate::net::chat::{Refusal, RefusalHead};
use crate::net::http::{Client, HttpError, Request, Response};
use crate::net::ratelimit::{self, Permit, RateLimit};

/// The most bytes of a refusal's body that are read.
const REFUSAL_LIMIT: usize = 64 << 10;

/// How long a refusal's body is read.
const REFUSAL_TIME: Duration = Duration::from_secs(5);

/// A response with a 2xx status whose body has begun.
#[derive(Debug)]
pub struct ResponseStart {
    /// The rest of the response.
    pub response: Response,
    /// The first bytes of its body; `None` for an empty body.
    pub first_chunk: Option<Vec<u8>>,
}

/// What happens before a response begins.
#[derive(Clone, Debug)]
pub enum Event {
    /// Another attempt follows after a pause.
    Retry {
        /// The server's name.
        server: String,
        /// What went wrong.
        reason: String,
        /// How long the pause is.
        pause: Duration,
        /// The number of the attempt that follows.
        attempt: u32,
        /// The most attempts.
        limit: u32,
    },
    /// The rate limit delays the request, or cannot be kept.
    RateLimit(ratelimit::Notice),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry {
                server,
                reason,
                pause,
                attempt,
                limit,
            } => {
                let seconds = pause.as_secs_f64();
                write!(
                    f,
                    "'{server}': {reason}; try {attempt} of {limit} in {seconds:.1} s"
                )
            }
            Self::RateLimit(notice) => notice.fmt(f),
        }
    }
}

/// Sends what `make` makes until the body of a response with a 2xx status begins.
///
/// `make` is called before every attempt. With a `rate_limit` every attempt needs a permit. `notify` is told of every
/// wait; no event holds the secret of `endpoint`. There is no attempt after the first byte of the response's body: from
/// then on a fault is the caller's to report. Nor is there one after a time-out once connected, because the server may be
/// working on the request. No redirect is followed.
///
/// # Errors
/// The last attempt's.
pub async fn send(
    client: &Client,
    endpoint: &Endpoint,
    rate_limit: Option<&RateLimit>,
    retries: u32,
    mut make: impl FnMut() -> Result<Request, Failure>,
    mut notify: impl FnMut(&Event),
) -> Result<ResponseStart, SendError> {
    let mut backoff = Backoff::new(retries);
    loop {
        let request = make().map_err(SendError::Failed)?;
        let permit = match rate_limit {
            Some(limit) => {
                let permit = limit
                    .acquire(&mut |notice| notify(&Event::RateLimit(notice)))
                    .await;
                Some(permit.map_err(SendError::Failed)?)
            }
            None => None,
        };
        let error = match attempt(client, request, permit, &endpoint.provider().name).await {
            Ok(start) => return Ok(start),
            Err(error) if error.is_transient() => error,
            Err(error) => return Err(error),
        };
        let Some(pause) = backoff.next_pause(error.retry_after(), jitter()) else {
            return Err(error);
        };
        notify(&Event::Retry {
            server: endpoint.server(),
            reason: endpoint.redacted(error.describe()),
            pause,
            attempt: backoff.tries(),
            limit: backoff.limit(),
        });
        tokio::time::sleep(pause).await;
    }
}

/// Sends the request once and reads the beginning of the response.
async fn attempt(
    client: &Client,
    request: Request,
    permit: Option<Permit>,
    provider: &'static str,
) -> Result<ResponseStart, SendError> {
    let mut response = match client.send(request).await {
        Ok(response) => response,
        Err(error) => {
            if let (Some(permit), true) = (permit, error.is_unsent()) {
                permit.not_sent();
            }
            return Err(error.into());
        }
    };
    if let Some(permit) = &permit {
        permit.answered();
    }
    if (200..300).contains(&response.status()) {
        let first_chunk = first_chunk(&mut response).await?;
        return Ok(ResponseStart {
            response,
            first_chunk,
        });
    }
    Err(SendError::Refused(
        refusal(&mut response, permit.as_ref(), provider).await,
    ))
}

async fn first_chunk(response: &mut Response) -> Result<Option<Vec<u8>>, HttpError> {
    response.decode()?;
    let chunk = response.chunk().await.map_err(|error| match error {
        // Nothing of the answer has come yet: the head is not part of it.
        HttpError::Cut(reason) => HttpError::Reset(reason),
        other => other,
    })?;
    Ok(chunk.map(|bytes| bytes.as_ref().to_vec()))
}

/// Reads a refusal. Its `Retry-After` is passed on before the body, which may come slowly.
async fn refusal(response: &mut Response, permit: Option<&Permit>, provider: &'static str) -> Refusal {
    let head = RefusalHead::read(response.status(), response.headers(), SystemTime::now());
    if let (Some(permit), Some(pause)) = (permit, head.wait) {
        permit.retry_after(pause);
    }
    let body = refusal_body(response).await;
    Refusal::read(&head, &body, provider)
}

/// Reads as much of a refusal's body as there is in time. A fault in it changes nothing: the status is known.
async fn refusal_body(response: &mut Response) -> Vec<u8> {
    // One that cannot be decoded says nothing.
    if response.decode().is_err() {
        return Vec::new();
    }
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(bytes)) = response.chunk().await {
            body.extend_from_slice(bytes.as_ref());
            if body.len() > REFUSAL_LIMIT {
                body.truncate(REFUSAL_LIMIT);
                break;
            }
        }
    };
    let _ = timeout(REFUSAL_TIME, reading).await;
    body
}
