//! Sends one request until there is a result: rate limit, retries, token renewal.

use std::sync::Arc;
use std::time::Duration;

use qwen_shared::exit::Failure;
use qwen_shared::net::api::{Backoff, Endpoint, LONGEST_WAIT, jitter};
use qwen_shared::net::chat::Asked;
use qwen_shared::net::http::{self, HttpError};
use qwen_shared::net::ratelimit::{Notice, Permit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::sleep;

use super::failure_policy::FailurePolicy;
use crate::client::Client;
use crate::record::{Record, RecordError};
use crate::request::BatchRequest;
use crate::response::WholeResponse;

/// The largest answer that is kept, in bytes.
const ANSWER_LIMIT: usize = 64 << 20;

/// What all requests of a run share.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    client: Arc<Client>,
    /// One permit for each request that may be under way.
    pub(crate) slots: Arc<Semaphore>,
    /// True once the run is ending: nothing more is sent.
    is_ending: watch::Receiver<bool>,
    /// Notices about the rate limit.
    notices: mpsc::UnboundedSender<Notice>,
    /// Held while waiting for the rate limit: one place in the queue of processes is enough.
    queue: tokio::sync::Mutex<()>,
    policy: FailurePolicy,
}

/// The result of sending a request once.
enum Attempt {
    Done(Record),
    /// Retry after the pause that the server asks for, if any; the result if no retries are left.
    Retry(Option<Duration>, Result<Record, Failure>),
    TokenRenewed,
}

impl Dispatcher {
    pub(crate) fn new(
        client: Client,
        slots: usize,
        is_ending: watch::Receiver<bool>,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Self {
        Self {
            client: Arc::new(client),
            slots: Arc::new(Semaphore::new(slots)),
            is_ending,
            notices,
            queue: tokio::sync::Mutex::default(),
            policy: FailurePolicy::new(slots),
        }
    }

    /// Sends a request and retries it; `None` when the run ends first. The slot is free between two attempts, so that a
    /// request that waits delays no other.
    ///
    /// # Errors
    /// A failure that every other request would have too. The next run sends the request again.
    pub(crate) async fn dispatch(
        &self,
        request: &BatchRequest,
        slot: OwnedSemaphorePermit,
    ) -> Result<Option<Record>, Failure> {
        let mut backoff = Backoff::new(self.client.retries);
        let mut slot = Some(slot);
        let mut may_renew = true;
        loop {
            if slot.is_none() {
                slot = Arc::clone(&self.slots).acquire_owned().await.ok();
            }
            let Some(permit) = self.rate_limit_permit().await? else {
                return Ok(None);
            };
            let (retry_after, result) = match self.attempt(request, permit, may_renew).await? {
                Attempt::Done(record) => return Ok(Some(record)),
                Attempt::TokenRenewed => {
                    may_renew = false;
                    continue;
                }
                Attempt::Retry(retry_after, result) => (retry_after, result),
            };
            let Some(pause) = backoff.next_pause(retry_after, jitter()) else {
                return result.map(Some);
            };
            slot = None;
            if self.unless_ending(sleep(pause)).await.is_none() {
                return Ok(None);
            }
        }
    }

    /// Waits for the rate limit; `None` when the run ends first.
    async fn rate_limit_permit(&self) -> Result<Option<Permit>, Failure> {
        let permit = async {
            let _queue = self.queue.lock().await;
            let mut notify = |notice| {
                let _ = self.notices.send(notice);
            };
            self.client.rate_limit.acquire(&mut notify).await
        };
        self.unless_ending(permit).await.transpose()
    }

    /// Waits for a future; `None` when the run ends first.
    async fn unless_ending<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut is_ending = self.is_ending.clone();
        tokio::select! {
            biased;
            _ = is_ending.wait_for(|&is_ending| is_ending) => None,
            value = future => Some(value),
        }
    }

    async fn attempt(
        &self,
        request: &BatchRequest,
        permit: Permit,
        may_renew: bool,
    ) -> Result<Attempt, Failure> {
        let endpoint = self.client.valid_endpoint().await?;
        let server = endpoint.server();
        let http_request = http_request(&endpoint, request).map_err(|error| error.failure(&server))?;
        let response = match self.client.http.send(http_request).await {
            Ok(response) => response,
            Err(error) => {
                if error.is_unsent() {
                    permit.not_sent();
                }
                return no_response(&error, &server);
            }
        };
        permit.answered();
        let response = match WholeResponse::read(response, ANSWER_LIMIT, &endpoint.provider().name).await {
            Ok(response) => response,
            Err(error) => return Ok(Attempt::Done(failed(&error))),
        };
        if response.is_success() {
            self.policy.count_answer();
            return Ok(Attempt::Done(response.into_record(request.is_chat())));
        }
        if may_renew
            && self.policy.is_about_credential(&response.refusal())
            && self.client.renew_refused(&endpoint).await?
        {
            return Ok(Attempt::TokenRenewed);
        }
        self.refused(&response, &permit, &server)
    }

    /// Decides what a refusal means for this request and for the run.
    fn refused(&self, response: &WholeResponse, permit: &Permit, server: &str) -> Result<Attempt, Failure> {
        let refusal = response.refusal();
        let failure = refusal.failure(server, Asked::Chat);
        let is_transient = refusal.verdict.retry;
        let is_rate_limit_for_all = self.policy.count_rate_limit(&refusal);
        let is_too_long = refusal.verdict.wait.is_some_and(|wait| wait > LONGEST_WAIT);
        if self.policy.concerns_all(&refusal)
            || (is_rate_limit_for_all && is_too_long)
            || (!is_transient && self.policy.count_permanent_refusal())
        {
            return Err(self.client.with_hint(failure));
        }
        let error = RecordError::new(failure.exit, self.client.redacted(refusal.describe()));
        let record = Record {
            response: Some(response.recorded().map_body(|body| self.client.redacted(body))),
            error: Some(error),
            is_cut: false,
        };
        if !is_transient {
            return Ok(Attempt::Done(record));
        }
        // A single 429 is about its request; many in a row are about all processes.
        if let (true, Some(pause)) = (is_rate_limit_for_all, refusal.verdict.wait) {
            permit.retry_after(pause);
        }
        Ok(Attempt::Retry(refusal.verdict.wait, Ok(record)))
    }
}

fn http_request(endpoint: &Endpoint, request: &BatchRequest) -> Result<http::Request, HttpError> {
    let url = match request.url.strip_prefix("/v1") {
        Some(path) if !request.is_chat() => endpoint.url_below(path),
        _ => endpoint.chat_url_for(request.model()),
    };
    let body = serde_json::to_vec(&request.body).map_err(|error| HttpError::Invalid(error.to_string()))?;
    let mut http_request = endpoint.request("POST", url)?;
    http_request.body("application/json", body)?;
    http_request.header("accept", "application/json")?;
    Ok(http_request)
}

fn failed(error: &HttpError) -> Record {
    RecordError::new(error.exit(), error.to_string()).into()
}

fn no_response(error: &HttpError, server: &str) -> Result<Attempt, Failure> {
    match error {
        _ if error.is_unsent() => Ok(Attempt::Retry(None, Err(error.failure(server)))),
        HttpError::Reset(_) => Ok(Attempt::Retry(None, Ok(failed(error)))),
        HttpError::Tls { .. } | HttpError::ProxyAuth | HttpError::Invalid(_) => Err(error.failure(server)),
        _ => Ok(Attempt::Done(failed(error))),
    }
}
