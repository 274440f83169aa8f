//! One request, its tries, and the beginning of its answer.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::retry::{Backoff, LONGEST_WAIT, retry_after};
use crate::chat::{Kind, Refusal};
use crate::failure::Failure;
use crate::http::{Client, HttpError, Phase, Request, Response};
use crate::pace::{Pace, Turn, Word};
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

/// Why there is no answer.
#[derive(Debug)]
pub enum SendError {
    /// The request could not be made; another try would not change that.
    Unmade(Failure),
    /// No HTTP answer.
    Http(HttpError),
    /// An answer that says no.
    Refused(Refusal),
}

impl SendError {
    /// Lifts it into a failure that names the server.
    #[must_use]
    pub fn failure(self, server: &str) -> Failure {
        match self {
            Self::Unmade(failure) => failure,
            Self::Http(error) => error.failure(server),
            Self::Refused(refusal) => {
                let failure = refusal.failure(server);
                match refusal.retry_after.filter(|wait| *wait > LONGEST_WAIT) {
                    Some(wait) => failure.hint(format!("the server asks to wait {} s", wait.as_secs())),
                    None => failure,
                }
            }
        }
    }

    /// True when the server refuses the credential: another one may be let in.
    #[must_use]
    pub const fn is_refused_credential(&self) -> bool {
        matches!(self, Self::Refused(refusal) if matches!(refusal.kind, Kind::Auth))
    }

    const fn is_passing(&self) -> bool {
        match self {
            Self::Unmade(_) => false,
            Self::Http(error) => matches!(
                error,
                HttpError::Connect(_) | HttpError::Reset(_) | HttpError::Timeout(Phase::Connect, _)
            ),
            Self::Refused(refusal) => refusal.kind.is_passing(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Unmade(failure) => failure.message.clone(),
            Self::Http(error) => error.to_string(),
            Self::Refused(refusal) => refusal.words(),
        }
    }
}

impl From<HttpError> for SendError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
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
        let turn = match pace {
            Some(pace) => Some(pace.turn(&mut |word| tell(&Told::Quota(word))).await),
            None => None,
        };
        let turn = turn.transpose().map_err(SendError::Unmade)?;
        let error = match attempt(client, request, turn).await {
            Ok((response, first)) => {
                let attempts = backoff.tries();
                return Ok(Opened {
                    response,
                    first,
                    attempts,
                });
            }
            Err(error) => error,
        };
        if !error.is_passing() {
            return Err(error);
        }
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
    let status = response.status();
    if (200..300).contains(&status) {
        refuse_encoding(&response)?;
        let first = response.chunk().await.map_err(|error| match error {
            // The head is not the answer: nothing of it has come yet.
            HttpError::Cut(reason) => HttpError::Reset(reason),
            other => other,
        })?;
        let first = first.map(|bytes| bytes.as_ref().to_vec());
        return Ok((response, first));
    }
    if (300..400).contains(&status)
        && let Some(location) = response.header("location")
    {
        return Err(SendError::Refused(Refusal::redirect(status, location)));
    }
    let wait = retry_after(
        response.header("retry-after"),
        response.header("retry-after-ms"),
        SystemTime::now(),
    );
    if let (Some(turn), Some(pause)) = (&turn, wait) {
        turn.held_back(pause);
    }
    let content_type = response.header("content-type").map(str::to_owned);
    let body = beginning(&mut response).await;
    Err(SendError::Refused(Refusal::read(
        status,
        content_type.as_deref(),
        &body,
        wait,
    )))
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
