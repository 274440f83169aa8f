//! One request, its tries, and the beginning of its answer.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::error::SendError;
use super::retry::Backoff;
use crate::exit::Failure;
use crate::net::chat::Refusal;
use crate::net::http::retry_after;
use crate::net::http::{Client, HttpError, Phase, Request, Response};
use crate::net::ratelimit::{Pace, Turn, Word};
use crate::text::clip;

/// The most of a refusal's body that is read, in bytes.
const REFUSAL_LIMIT: usize = 64 << 10;

/// How long that beginning is waited for.
const REFUSAL_TIME: Duration = Duration::from_secs(5);

/// An answer that has begun: its status is 2xx.
#[derive(Debug)]
pub struct Opened {
    /// The rest of the answer.
    pub response: Response,
    /// The first bytes of its body; `None` for an empty body.
    pub first: Option<Vec<u8>>,
    /// How many tries it took.
    pub attempts: u32,
}

/// A pause before another try, to be announced.
#[derive(Clone, Debug)]
pub struct Wait {
    /// What went wrong.
    pub reason: String,
    /// How long the pause is.
    pub pause: Duration,
    /// The number of the try that follows.
    pub attempt: u32,
    /// How many tries there are at most.
    pub limit: u32,
}

impl Wait {
    /// Returns the announcement.
    #[must_use]
    pub fn words(&self, server: &str) -> String {
        let (seconds, attempt, limit) = (self.pause.as_secs_f64(), self.attempt, self.limit);
        format!(
            "'{server}': {}; try {attempt} of {limit} in {seconds:.1} s",
            self.reason
        )
    }
}

/// What there is to say before an answer begins.
#[derive(Debug)]
pub enum Told {
    /// Another try follows.
    Again(Wait),
    /// The quota has no room yet, or cannot be kept.
    Quota(Word),
}

impl Told {
    /// Returns the announcement.
    #[must_use]
    pub fn words(&self, server: &str) -> String {
        match self {
            Self::Again(wait) => wait.words(server),
            Self::Quota(word) => word.to_string(),
        }
    }
}

/// Sends what `make` makes until the body of a good answer begins.
///
/// `make` is called before every try. With a `pace` every try waits for its turn, and what becomes of it is told to all
/// processes that share the quota. `tell` is told of every wait, in words without the secret of `endpoint`. Tries end
/// with the first byte of the answer's body: from then on a fault is the caller's to report, never to repeat. A time-out
/// once connected is not tried again either, because the server may be at work on the request. No redirect is followed.
///
/// # Errors
/// The last try's.
pub async fn send(
    client: &Client,
    endpoint: &Endpoint,
    pace: Option<&Pace>,
    retries: u32,
    mut make: impl FnMut() -> Result<Request, Failure>,
    mut tell: impl FnMut(&Told),
) -> Result<Opened, SendError> {
    let mut backoff = Backoff::new(retries);
    loop {
        let request = make().map_err(SendError::Unmade)?;
        let turn = turn(pace, &mut |word| tell(&Told::Quota(word))).await?;
        let error = match attempt(client, request, turn).await {
            Ok((response, first)) => {
                let attempts = backoff.tries();
                return Ok(Opened {
                    response,
                    first,
                    attempts,
                });
            }
            Err(error) if error.is_passing() => error,
            Err(error) => return Err(error),
        };
        let Some(pause) = backoff.next_pause(error.retry_after(), chance()) else {
            return Err(error);
        };
        tell(&Told::Again(Wait {
            reason: endpoint.redacted(error.words()),
            pause,
            attempt: backoff.tries(),
            limit: backoff.limit(),
        }));
        tokio::time::sleep(pause).await;
    }
}

/// Waits for the turn of one try.
async fn turn(pace: Option<&Pace>, say: &mut impl FnMut(Word)) -> Result<Option<Turn>, SendError> {
    match pace {
        Some(pace) => pace.turn(say).await.map(Some).map_err(SendError::Unmade),
        None => Ok(None),
    }
}

/// Sends it once, and reads the beginning of the answer.
async fn attempt(
    client: &Client,
    request: Request,
    turn: Option<Turn>,
) -> Result<(Response, Option<Vec<u8>>), SendError> {
    let mut response = match client.send(request).await {
        Ok(response) => response,
        Err(error) => {
            if let (Some(turn), HttpError::Connect(_) | HttpError::Timeout(Phase::Connect, _)) =
                (turn, &error)
            {
                turn.not_sent();
            }
            return Err(error.into());
        }
    };
    if let Some(turn) = &turn {
        turn.answered();
    }
    if (200..300).contains(&response.status()) {
        let first = first_bytes(&mut response).await?;
        return Ok((response, first));
    }
    Err(SendError::Refused(refusal(&mut response, turn.as_ref()).await))
}

/// Reads what comes first of a good answer's body.
async fn first_bytes(response: &mut Response) -> Result<Option<Vec<u8>>, HttpError> {
    refuse_encoding(response)?;
    let first = response.chunk().await.map_err(|error| match error {
        // The head is not the answer: nothing of it has come yet.
        HttpError::Cut(reason) => HttpError::Reset(reason),
        other => other,
    })?;
    Ok(first.map(|bytes| bytes.as_ref().to_vec()))
}

/// Reads an answer that says no. A pause that it asks for is passed on before the body, which may drip.
async fn refusal(response: &mut Response, turn: Option<&Turn>) -> Refusal {
    let status = response.status();
    if (300..400).contains(&status)
        && let Some(location) = response.header("location")
    {
        return Refusal::redirect(status, location);
    }
    let wait = retry_after(
        response.header("retry-after"),
        response.header("retry-after-ms"),
        SystemTime::now(),
    );
    if let (Some(turn), Some(pause)) = (turn, wait) {
        turn.held_back(pause);
    }
    let content_type = response.header("content-type").map(str::to_owned);
    let body = beginning(response).await;
    Refusal::read(status, content_type.as_deref(), &body, wait)
}

/// Refuses a body that is compressed though no encoding was offered: its bytes would be taken for a broken answer.
fn refuse_encoding(response: &Response) -> Result<(), HttpError> {
    match response.header("content-encoding") {
        None => Ok(()),
        Some(encoding) if encoding.trim().eq_ignore_ascii_case("identity") => Ok(()),
        Some(encoding) => Err(HttpError::Encoded(clip(encoding, 40))),
    }
}

/// Reads what there is of a refusal's body. A fault in it changes nothing, nor does a body that drips: the status has
/// been heard.
async fn beginning(response: &mut Response) -> Vec<u8> {
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

/// Returns a number in 0..1 that differs from call to call: what spreads the pauses of those that failed together.
#[must_use]
pub fn chance() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}
