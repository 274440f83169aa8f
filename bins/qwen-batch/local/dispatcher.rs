//! Sends one request until there is a result, and decides what a fault means for the run.

use std::sync::Arc;
use std::time::Duration;

use qwen_shared::exit::Failure;
use qwen_shared::net::api::{Call, Client, Endpoint, Error, RefusedResponse};
use qwen_shared::net::chat::{AnswerError, Asked, Change, Dialect, Form, Refusal};
use qwen_shared::net::http::{self, HttpError};
use qwen_shared::net::ratelimit::{Notice, Permit, RateLimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::sleep;

use super::LONGEST_WAIT;
use super::failure_policy::FailurePolicy;
use crate::record::{Record, RecordError, RecordedResponse};
use crate::request::BatchRequest;
use crate::response::WholeResponse;

/// The largest answer that is kept, in bytes.
const ANSWER_LIMIT: usize = 64 << 20;

/// What all requests of a run share.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    client: Client,
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

impl Dispatcher {
    pub(crate) fn new(
        client: Client,
        slots: usize,
        is_ending: watch::Receiver<bool>,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Self {
        Self {
            client,
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
        let mut call = BatchCall {
            dispatcher: self,
            request,
            slot: Some(slot),
            dialect: Dialect::default(),
            response: None,
            record: None,
            is_rate_limit_for_all: false,
        };
        match self.client.call(&mut call).await {
            Ok(record) => Ok(Some(record)),
            Err(Error::Stopped) => Ok(None),
            Err(error) => call.failed(error).map(Some),
        }
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
}

struct BatchCall<'a> {
    dispatcher: &'a Dispatcher,
    request: &'a BatchRequest,
    slot: Option<OwnedSemaphorePermit>,
    dialect: Dialect,
    /// The last refusal as it came.
    response: Option<RecordedResponse>,
    /// The record of a response that reports an error.
    record: Option<Record>,
    is_rate_limit_for_all: bool,
}

impl Call for BatchCall<'_> {
    type Output = Record;

    fn model(&self) -> Option<&str> {
        Some(self.request.model())
    }

    fn request(&mut self, endpoint: &Endpoint, form: Form) -> Result<http::Request, Error> {
        self.dialect = endpoint.dialect();
        let request = self.request;
        let url = match request.url.strip_prefix("/v1") {
            Some(path) if !request.is_chat() => endpoint.url_below(path),
            _ => endpoint.chat_url_for(request.model()),
        };
        let body = request
            .to_json(form)
            .map_err(|error| HttpError::Invalid(error.to_string()))?;
        let mut http_request = endpoint.request("POST", url)?;
        http_request.body("application/json", body)?;
        let accepted = match form.stream {
            Some(true) => "text/event-stream, application/json",
            _ => "application/json",
        };
        http_request.header("accept", accepted)?;
        Ok(http_request)
    }

    async fn read(&mut self, response: http::Response) -> Result<Record, Error> {
        let response = WholeResponse::read(response, ANSWER_LIMIT).await?;
        let (record, error) = response.into_record(self.request.is_chat(), self.dialect);
        match error {
            None => {
                self.dispatcher.policy.count_answer();
                Ok(record)
            }
            Some(error) => {
                self.record = Some(record);
                Err(error.into())
            }
        }
    }

    /// An answer that broke off is a result: its tokens are paid.
    fn may_repeat(&self, error: &Error) -> bool {
        !matches!(error, Error::Http(HttpError::Cut(_)))
    }

    fn restart(&mut self) {
        (self.response, self.record) = (None, None);
    }

    fn allows(&self, _: Change) -> bool {
        self.request.is_chat()
    }

    /// A single 429 is about its request; many in a row are about all processes.
    fn refused(&mut self, response: &RefusedResponse<'_>) -> bool {
        let recorded = RecordedResponse::new(response.refusal.status, response.request_id, response.body);
        self.response = Some(recorded);
        self.is_rate_limit_for_all = self.dispatcher.policy.count_rate_limit(response.refusal);
        self.is_rate_limit_for_all
    }

    async fn permit(&mut self, limit: &RateLimit) -> Result<Option<Permit>, Error> {
        let (dispatcher, model) = (self.dispatcher, self.request.model());
        let permit = async {
            let _queue = dispatcher.queue.lock().await;
            let mut notify = |notice| {
                let _ = dispatcher.notices.send(notice);
            };
            limit.acquire(model, &mut notify).await
        };
        match dispatcher.unless_ending(permit).await {
            Some(permit) => Ok(Some(permit?)),
            None => Err(Error::Stopped),
        }
    }

    async fn pause(&mut self, pause: Duration) -> bool {
        let dispatcher = self.dispatcher;
        self.slot = None;
        if dispatcher.unless_ending(sleep(pause)).await.is_none() {
            return false;
        }
        self.slot = Arc::clone(&dispatcher.slots).acquire_owned().await.ok();
        true
    }
}

impl BatchCall<'_> {
    /// Decides what an error means: a result of this request, or the end of the run.
    fn failed(self, error: Error) -> Result<Record, Failure> {
        let client = &self.dispatcher.client;
        match error {
            Error::Refused(refusal) => self.refusal_record(refusal),
            Error::Answer(AnswerError::Api(said))
                if self.dispatcher.policy.concerns_all(&said.verdict(), None) =>
            {
                Err(client.failure(AnswerError::Api(said).into(), Asked::Chat))
            }
            Error::Answer(error) => Ok(match self.record {
                Some(record) => record.redacted(client),
                None => {
                    let message = client.redacted(error.to_string());
                    RecordError::new(error.exit(), message).into()
                }
            }),
            Error::Http(error) if is_about_connection(&error) => {
                Err(client.failure(error.into(), Asked::Chat))
            }
            Error::Http(error) => {
                let message = client.redacted(error.to_string());
                Ok(RecordError::new(error.exit(), message).into())
            }
            error => Err(client.failure(error, Asked::Chat)),
        }
    }

    fn refusal_record(self, refusal: Refusal) -> Result<Record, Failure> {
        let Dispatcher { client, policy, .. } = self.dispatcher;
        let is_transient = refusal.verdict.retry;
        let is_too_long = refusal.verdict.wait.is_some_and(|wait| wait > LONGEST_WAIT);
        if policy.concerns_all(&refusal.verdict, Some(refusal.status))
            || (self.is_rate_limit_for_all && is_too_long)
            || (!is_transient && policy.count_permanent_refusal())
        {
            return Err(client.failure(Error::Refused(refusal), Asked::Chat));
        }
        let exit = refusal.verdict.exit();
        let record = Record {
            response: self.response,
            error: Some(RecordError::new(exit, refusal.describe())),
            is_cut: false,
        };
        Ok(record.redacted(client))
    }
}

/// True for a fault that every other request would meet too.
fn is_about_connection(error: &HttpError) -> bool {
    error.is_unsent()
        || matches!(
            error,
            HttpError::Tls { .. } | HttpError::ProxyAuth | HttpError::Invalid(_)
        )
}
