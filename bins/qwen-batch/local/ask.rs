//! One question, until there is a verdict.

use std::sync::Arc;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::jitter;
use qwen_shared::net::api::{Backoff, Endpoint, LONGEST_WAIT};
use qwen_shared::net::http::{HttpError, Phase, Request};
use qwen_shared::net::ratelimit::{Notice, Permit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::sleep;

use super::failure_policy::Mood;
use super::response::{Heard, read};
use crate::client::Door;
use crate::line::Task;
use crate::record::{Fault, Verdict};

/// How a question ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With a result.
    Judged(Verdict),
    /// With a fault that every other question would meet too. It has no result, and is asked again by the next run.
    Stopped(Failure),
    /// Without having been sent: the run is ending.
    Left,
}

/// What all questions of a run share.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) door: Arc<Door>,
    /// So many requests may be under way.
    pub(crate) slots: Arc<Semaphore>,
    /// True once the run is ending: nothing more is sent.
    pub(crate) ending: watch::Receiver<bool>,
    /// Where words about waits go.
    pub(crate) words: mpsc::UnboundedSender<Notice>,
    /// Held while a turn is waited for: one place in the queue is enough for one process.
    gate: tokio::sync::Mutex<()>,
    mood: Mood,
}

/// What one try came to.
enum Try {
    Done(Ended),
    /// Another try may go better; what is to be said if there is none.
    Again(Option<Duration>, Ended),
    /// The token was refused, and renewed.
    Renewed,
}

impl Asker {
    pub(crate) fn new(
        door: Arc<Door>,
        slots: usize,
        ending: watch::Receiver<bool>,
        words: mpsc::UnboundedSender<Notice>,
    ) -> Self {
        Self {
            door,
            slots: Arc::new(Semaphore::new(slots)),
            ending,
            words,
            gate: tokio::sync::Mutex::default(),
            mood: Mood::new(slots),
        }
    }

    /// Asks until there is a verdict. `slot` is given back between two tries, so that a question that waits holds up
    /// no other.
    pub(crate) async fn ask(&self, task: &Task, slot: OwnedSemaphorePermit) -> Ended {
        let body = match serde_json::to_vec(&task.body) {
            Ok(body) => body,
            Err(error) => return judged(Fault::new(Exit::Data, error.to_string())),
        };
        let mut backoff = Backoff::new(self.door.retries);
        let mut slot = Some(slot);
        let mut may_renew = true;
        loop {
            if slot.is_none() {
                slot = Arc::clone(&self.slots).acquire_owned().await.ok();
            }
            let turn = match self.turn().await {
                Ok(Some(turn)) => turn,
                Ok(None) => return Ended::Left,
                Err(failure) => return Ended::Stopped(failure),
            };
            let (wait, otherwise) = match self.try_once(task, &body, turn, may_renew).await {
                Try::Done(ended) => return ended,
                Try::Renewed => {
                    may_renew = false;
                    continue;
                }
                Try::Again(wait, otherwise) => (wait, otherwise),
            };
            let Some(pause) = backoff.next_pause(wait, jitter()) else {
                return otherwise;
            };
            slot = None;
            if self.unless_ending(sleep(pause)).await.is_none() {
                return Ended::Left;
            }
        }
    }

    /// Waits for the quota; `None` when the run is ending first.
    async fn turn(&self) -> Result<Option<Permit>, Failure> {
        let words = self.words.clone();
        let turn = async {
            let _one = self.gate.lock().await;
            self.door
                .rate_limit
                .acquire(&mut |word| {
                    let _ = words.send(word);
                })
                .await
        };
        self.unless_ending(turn).await.transpose()
    }

    /// Waits for a future; `None` when the run is ending first, or already.
    async fn unless_ending<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut ending = self.ending.clone();
        tokio::select! {
            biased;
            _ = ending.wait_for(|&ending| ending) => None,
            value = future => Some(value),
        }
    }

    async fn try_once(&self, task: &Task, body: &[u8], permit: Permit, may_renew: bool) -> Try {
        let endpoint = match self.door.fresh().await {
            Ok(endpoint) => endpoint,
            Err(failure) => return Try::Done(Ended::Stopped(failure)),
        };
        let server = endpoint.server();
        let request = match request(&endpoint, task, body) {
            Ok(request) => request,
            Err(error) => return Try::Done(Ended::Stopped(error.failure(&server))),
        };
        let response = match self.door.client.send(request).await {
            Ok(response) => response,
            Err(error) => {
                if matches!(
                    error,
                    HttpError::Connect(_) | HttpError::Timeout(Phase::Connect, _)
                ) {
                    permit.not_sent();
                }
                return unanswered(&error, &server);
            }
        };
        permit.answered();
        let heard = match read(response).await {
            Ok(heard) => heard,
            Err(error) => return Try::Done(judged(Fault::new(error.exit(), error.to_string()))),
        };
        if (200..300).contains(&heard.reply.status) {
            self.mood.answered();
            return Try::Done(Ended::Judged(heard.judge(task)));
        }
        if may_renew && self.mood.doubts_credential(&heard.refusal()) {
            match self.door.refused(&endpoint).await {
                Ok(true) => return Try::Renewed,
                Ok(false) => {}
                Err(failure) => return Try::Done(Ended::Stopped(failure)),
            }
        }
        self.refused(heard, &permit, &server)
    }

    /// Decides what a refusal means for this question and for the run.
    fn refused(&self, heard: Heard, permit: &Permit, server: &str) -> Try {
        let refusal = heard.refusal();
        let failure = refusal.failure(server);
        let is_throttling = self.mood.is_throttling(&refusal);
        let is_too_long = refusal.retry_after.is_some_and(|wait| wait > LONGEST_WAIT);
        let is_hopeless = !refusal.kind.is_transient() && self.mood.is_hopeless();
        if self.mood.is_for_all(&refusal) || (is_throttling && is_too_long) || is_hopeless {
            return Try::Done(Ended::Stopped(self.door.advise(failure)));
        }
        let fault = Fault::new(failure.exit, self.door.redacted(refusal.words()));
        let ended = Ended::Judged(Verdict {
            reply: Some(heard.reply.with_body(|body| self.door.redacted(body))),
            fault: Some(fault),
            is_cut: false,
        });
        if !refusal.kind.is_transient() {
            return Try::Done(ended);
        }
        // One 429 among answers is about its question; many in a row are about all of them, in every process.
        if let (true, Some(pause)) = (is_throttling, refusal.retry_after) {
            permit.retry_after(pause);
        }
        Try::Again(refusal.retry_after, ended)
    }
}

/// Makes the request of a task.
fn request(endpoint: &Endpoint, task: &Task, body: &[u8]) -> Result<Request, HttpError> {
    let url = match task.path.strip_prefix("/v1") {
        Some(rest) if !task.is_chat() => endpoint.url_below(rest),
        _ => endpoint.chat_url_for(task.model()),
    };
    let mut request = endpoint.request("POST", url)?;
    request.body("application/json", body.to_vec())?;
    request.header("accept", "application/json")?;
    Ok(request)
}

fn judged(fault: Fault) -> Ended {
    Ended::Judged(fault.into())
}

/// Decides what it means that no answer came.
fn unanswered(error: &HttpError, server: &str) -> Try {
    let failure = error.failure(server);
    match error {
        HttpError::Connect(_) | HttpError::Timeout(Phase::Connect, _) => {
            Try::Again(None, Ended::Stopped(failure))
        }
        HttpError::Tls { .. } | HttpError::ProxyAuth | HttpError::Invalid(_) => {
            Try::Done(Ended::Stopped(failure))
        }
        HttpError::Reset(_) => Try::Again(None, judged(Fault::new(error.exit(), error.to_string()))),
        _ => Try::Done(judged(Fault::new(error.exit(), error.to_string()))),
    }
}
