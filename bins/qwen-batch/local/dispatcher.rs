//! Sends one request until there is a result: rate limit, retries, token renewal.

use std::sync::Arc;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{Backoff, Endpoint, LONGEST_WAIT, jitter};
use qwen_shared::net::http::{self, HttpError, Phase};
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

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Completion {
    Recorded(Record),
    /// By a failure that every other request would have too. The request has no result; the next run sends it again.
    Aborted(Failure),
    /// The run ended first.
    NotSent,
}

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
    Done(Completion),
    /// Retry after a pause of the server's or our own choice; the completion if there are no retries left.
    Retry(Option<Duration>, Completion),
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

    /// Sends a request and retries it. The slot is free between two attempts, so that a request that waits delays no
    /// other.
    pub(crate) async fn dispatch(&self, request: &BatchRequest, slot: OwnedSemaphorePermit) -> Completion {
        let body = match serde_json::to_vec(&request.body) {
            Ok(body) => body,
            Err(error) => return failed(Exit::Data, error.to_string()),
        };
        let mut backoff = Backoff::new(self.client.retries);
        let mut slot = Some(slot);
        let mut may_renew = true;
        loop {
            if slot.is_none() {
                slot = Arc::clone(&self.slots).acquire_owned().await.ok();
            }
            let permit = match self.rate_limit_permit().await {
                Ok(Some(permit)) => permit,
                Ok(None) => return Completion::NotSent,
                Err(failure) => return Completion::Aborted(failure),
            };
            let (retry_after, completion) = match self.attempt(request, &body, permit, may_renew).await {
                Attempt::Done(completion) => return completion,
                Attempt::TokenRenewed => {
                    may_renew = false;
                    continue;
                }
                Attempt::Retry(retry_after, completion) => (retry_after, completion),
            };
            let Some(pause) = backoff.next_pause(retry_after, jitter()) else {
                return completion;
            };
            slot = None;
            if self.unless_ending(sleep(pause)).await.is_none() {
                return Completion::NotSent;
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

    async fn attempt(&self, request: &BatchRequest, body: &[u8], permit: Permit, may_renew: bool) -> Attempt {
        let endpoint = match self.client.valid_endpoint().await {
            Ok(endpoint) => endpoint,
            Err(failure) => return Attempt::Done(Completion::Aborted(failure)),
        };
        let server = endpoint.server();
        let http_request = match http_request(&endpoint, request, body) {
            Ok(http_request) => http_request,
            Err(error) => return Attempt::Done(Completion::Aborted(error.failure(&server))),
        };
        let response = match self.client.http.send(http_request).await {
            Ok(response) => response,
            Err(error) => {
                if is_connect_error(&error) {
                    permit.not_sent();
                }
                return no_response(&error, &server);
            }
        };
        permit.answered();
        let response = match WholeResponse::read(response, ANSWER_LIMIT).await {
            Ok(response) => response,
            Err(error) => return Attempt::Done(failed(error.exit(), error.to_string())),
        };
        if response.is_success() {
            self.policy.count_answer();
            let record = response.into_record(request.is_chat());
            return Attempt::Done(Completion::Recorded(record));
        }
        if may_renew && self.policy.is_about_credential(&response.refusal()) {
            match self.client.renew_refused(&endpoint).await {
                Ok(true) => return Attempt::TokenRenewed,
                Ok(false) => {}
                Err(failure) => return Attempt::Done(Completion::Aborted(failure)),
            }
        }
        self.refused(&response, &permit, &server)
    }

    /// Decides what a refusal means for this request and for the run.
    fn refused(&self, response: &WholeResponse, permit: &Permit, server: &str) -> Attempt {
        let refusal = response.refusal();
        let failure = refusal.failure(server);
        let is_temporary = refusal.kind.is_transient();
        let is_rate_limit_for_all = self.policy.count_rate_limit(&refusal);
        let is_too_long = refusal.retry_after.is_some_and(|wait| wait > LONGEST_WAIT);
        if self.policy.concerns_all(&refusal)
            || (is_rate_limit_for_all && is_too_long)
            || (!is_temporary && self.policy.count_permanent_refusal())
        {
            return Attempt::Done(Completion::Aborted(self.client.with_hint(failure)));
        }
        let error = RecordError::new(failure.exit, self.client.redacted(refusal.words()));
        let completion = Completion::Recorded(Record {
            response: Some(response.recorded().map_body(|body| self.client.redacted(body))),
            error: Some(error),
            is_cut: false,
        });
        if !is_temporary {
            return Attempt::Done(completion);
        }
        // A single 429 is about its request; many in a row are about all processes.
        if let (true, Some(pause)) = (is_rate_limit_for_all, refusal.retry_after) {
            permit.retry_after(pause);
        }
        Attempt::Retry(refusal.retry_after, completion)
    }
}

fn http_request(
    endpoint: &Endpoint,
    request: &BatchRequest,
    body: &[u8],
) -> Result<http::Request, HttpError> {
    let url = match request.url.strip_prefix("/v1") {
        Some(path) if !request.is_chat() => endpoint.url_below(path),
        _ => endpoint.chat_url_for(request.model()),
    };
    let mut http_request = endpoint.request("POST", url)?;
    http_request.body("application/json", body.to_vec())?;
    http_request.header("accept", "application/json")?;
    Ok(http_request)
}

fn failed(exit: Exit, message: String) -> Completion {
    Completion::Recorded(RecordError::new(exit, message).into())
}

const fn is_connect_error(error: &HttpError) -> bool {
    matches!(
        error,
        HttpError::Connect(_) | HttpError::Timeout(Phase::Connect, _)
    )
}

fn no_response(error: &HttpError, server: &str) -> Attempt {
    match error {
        _ if is_connect_error(error) => Attempt::Retry(None, Completion::Aborted(error.failure(server))),
        HttpError::Tls { .. } | HttpError::ProxyAuth | HttpError::Invalid(_) => {
            Attempt::Done(Completion::Aborted(error.failure(server)))
        }
        HttpError::Reset(_) => Attempt::Retry(None, failed(error.exit(), error.to_string())),
        _ => Attempt::Done(failed(error.exit(), error.to_string())),
    }
}
