//! Requests to the Batch API.

use std::future::{Future, ready};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{Call, Client, Endpoint, Error, Event, LONGEST_WAIT};
use qwen_shared::net::chat::{Asked, ErrorKind, Form};
use qwen_shared::net::http::{self, Bytes, Response, Upload};
use qwen_shared::output::Reporter;
use serde_json::Value;

use super::batch::Batch;
use crate::args::LimitArgs;
use crate::client::{ClientOptions, connect};

/// The largest JSON answer, in bytes.
const ANSWER_LIMIT: usize = 8 << 20;

/// Here it is about the state of a batch, which a retry does not change.
const CONFLICT: u16 = 409;

#[derive(Debug)]
pub(crate) struct BatchApi {
    client: Client,
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
    Json(Bytes),
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
            ..Self::new("POST", path, Body::Json(body.to_string().into()))
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

    pub(crate) fn query(mut self, name: &'static str, value: String) -> Self {
        self.query.push((name, value));
        self
    }
}

impl BatchApi {
    /// # Errors
    /// Those of [`connect`].
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
            longest_wait: LONGEST_WAIT,
            is_paced: true,
        };
        Ok(Self {
            client: connect(&options, reporter)?,
            reporter: reporter.clone(),
        })
    }

    pub(crate) const fn client(&self) -> &Client {
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
            .map_err(|error| self.client.failure(error.into(), Asked::Other))?;
        serde_json::from_slice(&body).map_err(|_| self.unexpected_answer("not JSON"))
    }

    /// Sends a request, with retries; returns once the response's head has come.
    ///
    /// # Errors
    /// 69 for what the server does not have, 75 for one that does not answer, 77 for a refused credential.
    pub(crate) async fn send(&self, request: ApiRequest) -> Result<Response, Failure> {
        let mut call = ApiCall {
            request,
            reporter: &self.reporter,
        };
        self.client.call(&mut call).await.map_err(|mut error| {
            if let Error::Refused(refusal) = &mut error
                && refusal.status == CONFLICT
            {
                refusal.verdict.kind = ErrorKind::BadRequest;
                refusal.verdict.retry = false;
            }
            self.client.failure(error, Asked::Other)
        })
    }

    pub(crate) fn unexpected_answer(&self, what: &str) -> Failure {
        Failure::new(
            Exit::Protocol,
            format!("'{}': the answer is {what}", self.server()),
        )
    }

    /// Returns the server's name for messages.
    pub(crate) fn server(&self) -> String {
        self.client.server()
    }
}

struct ApiCall<'a> {
    request: ApiRequest,
    reporter: &'a Reporter,
}

impl Call for ApiCall<'_> {
    type Output = Response;

    fn request(&mut self, endpoint: &Endpoint, _: Form) -> Result<http::Request, Error> {
        let request = &self.request;
        let mut url = endpoint.url_below(&request.path);
        for (name, value) in &request.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let mut http_request = endpoint.request(request.method, url)?;
        match &request.body {
            Body::None => {}
            Body::Json(json) => http_request.body("application/json", json.clone())?,
            Body::Form(form) => http_request.upload(form.clone()),
        }
        Ok(http_request)
    }

    fn read(&mut self, response: Response) -> impl Future<Output = Result<Response, Error>> + Send {
        ready(Ok(response))
    }

    /// What is not idempotent is repeated only if the server did not process it.
    fn may_repeat(&self, error: &Error) -> bool {
        let was_not_processed = match error {
            Error::Http(error) => error.is_unsent(),
            error => matches!(error.kind(), Some(ErrorKind::RateLimit | ErrorKind::Auth)),
        };
        let is_conflict = matches!(error, Error::Refused(refusal) if refusal.status == CONFLICT);
        !is_conflict && (self.request.is_idempotent || was_not_processed)
    }

    fn notify(&mut self, event: &Event) {
        self.reporter.notice(&event.to_string());
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
