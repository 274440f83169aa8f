//! Requests to the Batch API.

use std::sync::Arc;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{Backoff, Event, SendError, jitter};
use qwen_shared::net::chat::{Asked, ErrorKind};
use qwen_shared::net::http::{Response, Timeouts, Upload};
use qwen_shared::output::Reporter;
use serde_json::Value;

use super::batch::Batch;
use crate::args::LimitArgs;
use crate::client::{Client, ClientOptions};
use crate::response::WholeResponse;

/// The largest JSON answer, in bytes.
const ANSWER_LIMIT: usize = 8 << 20;

#[derive(Debug)]
pub(crate) struct BatchApi {
    client: Arc<Client>,
    reporter: Reporter,
}

#[derive(Debug)]
pub(crate) struct ApiRequest {
    method: &'static str,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Body,
    /// True when sending it twice does no harm.
    is_idempotent: bool,
}

#[derive(Debug)]
enum Body {
    None,
    Json(Value),
    Form(Upload),
}

impl ApiRequest {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path, Body::None)
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path, Body::None)
    }

    /// A POST without a body, which may be repeated.
    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path, Body::None)
    }

    /// A POST that creates something, and would create it twice.
    pub(crate) fn create(path: impl Into<String>, body: Value) -> Self {
        Self {
            is_idempotent: false,
            ..Self::new("POST", path, Body::Json(body))
        }
    }

    pub(crate) fn upload(path: impl Into<String>, form: Upload) -> Self {
        Self::new("POST", path, Body::Form(form))
    }

    fn new(method: &'static str, path: impl Into<String>, body: Body) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body,
            is_idempotent: true,
        }
    }

    /// What is not idempotent is retried only if the server did not process it.
    fn may_retry(&self, error: &SendError) -> bool {
        let was_not_processed = match error {
            SendError::Http(error) => error.is_unsent(),
            SendError::Refused(refusal) => refusal.verdict.kind == ErrorKind::RateLimit,
            SendError::Failed(_) => false,
        };
        error.is_transient() && (self.is_idempotent || was_not_processed)
    }

    pub(crate) fn query(mut self, name: &'static str, value: String) -> Self {
        self.query.push((name, value));
        self
    }
}

impl BatchApi {
    /// # Errors
    /// Those of [`Client::new`].
    pub(crate) fn new(
        profile: Option<&String>,
        model: Option<&String>,
        limits: &LimitArgs,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let options = ClientOptions {
            profile,
            model,
            limits,
            first_byte: Timeouts::default().first_byte,
            paced: true,
        };
        Ok(Self {
            client: Arc::new(Client::new(&options, reporter)?),
            reporter: reporter.clone(),
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Gets a batch by its ID.
    ///
    /// # Errors
    /// As [`BatchApi::batch`].
    pub(crate) async fn get_batch(&self, id: &str) -> Result<Batch, Failure> {
        self.batch(ApiRequest::get(format!("/batches/{id}"))).await
    }

    /// Sends a request whose answer is a batch.
    ///
    /// # Errors
    /// As [`BatchApi::send`]; 76 for an answer that is no batch.
    pub(crate) async fn batch(&self, request: ApiRequest) -> Result<Batch, Failure> {
        let value = self.json(request).await?;
        Batch::from_json(value).ok_or_else(|| self.unexpected_answer("no batch"))
    }

    /// Sends a request whose answer is JSON.
    ///
    /// # Errors
    /// As [`BatchApi::send`]; 76 for an answer that is not JSON.
    pub(crate) async fn json(&self, request: ApiRequest) -> Result<Value, Failure> {
        let response = self.send(request).await?;
        let body = response
            .body(ANSWER_LIMIT)
            .await
            .map_err(|error| error.failure(&self.server()))?;
        serde_json::from_slice(&body).map_err(|_| self.unexpected_answer("not JSON"))
    }

    /// Sends a request, with retries; returns once the response's head has come.
    ///
    /// # Errors
    /// 69 for what the server does not have, 75 for one that does not answer, 77 for a refused credential.
    pub(crate) async fn send(&self, request: ApiRequest) -> Result<Response, Failure> {
        let mut backoff = Backoff::new(self.client.retries);
        let mut may_renew = true;
        loop {
            let endpoint = self.client.valid_endpoint().await?;
            let error = match self.attempt(&request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if may_renew && error.is_refused_credential() && self.client.renew_refused(&endpoint).await? {
                may_renew = false;
                continue;
            }
            let pause = match request.may_retry(&error) {
                true => backoff.next_pause(error.retry_after(), jitter()),
                false => None,
            };
            let Some(pause) = pause else {
                return Err(self.client.with_hint(error.failure(&self.server(), Asked::Other)));
            };
            let event = Event::Retry {
                server: self.server(),
                reason: self.client.redacted(error.describe()),
                pause,
                attempt: backoff.tries(),
                limit: backoff.limit(),
            };
            self.reporter.notice(&event.to_string());
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, request: &ApiRequest) -> Result<Response, SendError> {
        let endpoint = self.client.endpoint();
        let mut url = endpoint.url_below(&request.path);
        for (name, value) in &request.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let mut http_request = endpoint.request(request.method, url)?;
        match &request.body {
            Body::None => {}
            Body::Json(value) => http_request.body("application/json", value.to_string().into_bytes())?,
            Body::Form(form) => http_request.upload(form.clone()),
        }
        let response = self.client.http.send(http_request).await?;
        if (200..300).contains(&response.status()) {
            return Ok(response);
        }
        let response = WholeResponse::read(response, ANSWER_LIMIT, &endpoint.provider().name).await?;
        let mut refusal = response.refusal();
        if response.status == 409 {
            // Here it is about the state of a batch, which a retry does not change.
            refusal.verdict.kind = ErrorKind::BadRequest;
            refusal.verdict.retry = false;
        }
        Err(SendError::Refused(refusal))
    }

    pub(crate) fn unexpected_answer(&self, what: &str) -> Failure {
        Failure::new(
            Exit::Protocol,
            format!("'{}': the answer is {what}", self.server()),
        )
    }

    /// Returns the server's name for messages.
    pub(crate) fn server(&self) -> String {
        self.client.endpoint().server()
    }
}

/// Accepts an ID that can be a segment of a path.
///
/// # Errors
/// 64.
pub(crate) fn validate_id(id: &str) -> Result<&str, Failure> {
    let is_plain = id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    if is_plain && !id.is_empty() && !id.starts_with('.') {
        return Ok(id);
    }
    Err(Failure::new(
        Exit::Usage,
        format!("'{id}' is not a valid batch or file ID"),
    ))
}

/// Adds to the failure of an endpoint without such a path what works without a Batch API.
pub(crate) fn hint_at_run(failure: Failure) -> Failure {
    match failure.exit {
        Exit::Unavailable => failure.hint("without a Batch API, use 'qwen-batch run IN -o OUT'"),
        _ => failure,
    }
}
