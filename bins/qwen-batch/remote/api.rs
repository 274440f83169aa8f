//! Requests to the Batch API.

use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{Call, Client, Endpoint, Error, Event, LONGEST_WAIT, RefusedResponse};
use qwen_shared::net::chat::{AnswerError, ApiError, Asked, ErrorKind, Form};
use qwen_shared::net::config::TimeoutSettings;
use qwen_shared::net::http::{self, Bytes, HttpError, Response, Upload};
use qwen_shared::output::Reporter;
use serde_json::Value;
use tokio::time::sleep;

use super::batch::Batch;
use crate::args::LimitArgs;
use crate::client::{ClientOptions, connect};

/// The largest JSON answer, in bytes.
const ANSWER_LIMIT: usize = 8 << 20;

/// Here it is about the state of a batch, which a retry does not change.
const CONFLICT: u16 = 409;

/// The pause after an answer that is none; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct BatchApi {
    client: Client,
    reporter: Reporter,
    /// How often a request is sent once more.
    retries: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct ApiRequest {
    method: &'static str,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Body,
    repeats: Repeats,
}

#[derive(Clone, Debug)]
enum Body {
    None,
    Json(Bytes),
    Form(Upload),
}

/// When a request is sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeats {
    /// After anything that may pass: sending it twice does no harm.
    Freely,
    /// After what shows that the server did not process it: it creates something.
    IfNotProcessed,
    /// With another credential alone: the caller asks again by itself.
    WithOtherCredential,
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
    pub(crate) fn create(path: impl Into<String>, body: &Value) -> Self {
        Self {
            repeats: Repeats::IfNotProcessed,
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
            repeats: Repeats::Freely,
        }
    }

    pub(crate) fn query(mut self, name: &'static str, value: String) -> Self {
        self.query.push((name, value));
        self
    }

    /// Lets the caller alone ask again.
    pub(crate) fn once(mut self) -> Self {
        self.repeats = Repeats::WithOtherCredential;
        self
    }
}

/// Why a request has no answer that can be used.
#[derive(Debug)]
pub(crate) enum RequestError {
    /// What the client met.
    Client(Error),
    /// A refusal that is a web page: the API may not have been asked at all.
    Page(Error),
    /// A good status, and another body than was asked for: what the answer is.
    Odd(Odd),
}

/// What an answer is that is not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Odd {
    Empty,
    /// A captive portal's, or a front door's.
    Page,
    NotJson,
    /// JSON, but no `batch`, `list` or `file`.
    Not(&'static str),
}

impl Odd {
    fn of_body(body: &[u8]) -> Self {
        match body.trim_ascii() {
            [] => Self::Empty,
            [b'<', ..] => Self::Page,
            _ => Self::NotJson,
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Empty => "the answer is empty".to_owned(),
            Self::Page => "the answer is a web page".to_owned(),
            Self::NotJson => "the answer is not JSON".to_owned(),
            Self::Not(what) => format!("the answer is no {what}"),
        }
    }
}

impl From<Error> for RequestError {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

impl From<Odd> for RequestError {
    fn from(odd: Odd) -> Self {
        Self::Odd(odd)
    }
}

impl RequestError {
    /// Returns what the client met.
    const fn client(&self) -> Option<&Error> {
        match self {
            Self::Client(error) | Self::Page(error) => Some(error),
            Self::Odd(_) => None,
        }
    }

    /// Returns the status of a refusal.
    pub(crate) const fn status(&self) -> Option<u16> {
        match self.client() {
            Some(Error::Refused(refusal)) => Some(refusal.status),
            _ => None,
        }
    }

    /// Returns what the server says it is about.
    fn kind(&self) -> Option<ErrorKind> {
        self.client().and_then(Error::kind)
    }

    /// Returns what the server says.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Client(error) | Self::Page(error) => error.describe(),
            Self::Odd(odd) => odd.describe(),
        }
    }

    /// Returns how long the server asks to wait.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.client().and_then(Error::wait)
    }

    /// True for a refusal of a member of the request.
    pub(crate) fn refuses(&self, member: &str) -> bool {
        let verdict = self.client().and_then(Error::verdict);
        verdict.is_some_and(|verdict| verdict.refuses(member))
    }

    /// True where the server does not have what was asked for, or not yet.
    pub(crate) fn is_missing(&self) -> bool {
        match (self, self.status()) {
            (Self::Client(_), Some(status)) => status == 404,
            (Self::Client(_), None) => matches!(self.kind(), Some(ErrorKind::Model | ErrorKind::Path)),
            _ => false,
        }
    }

    /// True for a fault of the network, of what stands in it, or of the server: the same request may succeed later.
    pub(crate) fn may_pass(&self) -> bool {
        let Self::Client(error) = self else {
            return true;
        };
        if let Some(verdict) = error.verdict() {
            let is_other_speaker = matches!(
                verdict.kind,
                ErrorKind::Page | ErrorKind::Redirect | ErrorKind::Unexpected | ErrorKind::Server
            );
            return self.status() != Some(CONFLICT) && (verdict.retry || is_other_speaker);
        }
        match error {
            // One that intercepts shows a certificate of its own.
            Error::Http(HttpError::Tls { .. }) => true,
            Error::Http(error) => matches!(error.exit(), Exit::TryAgain | Exit::Protocol),
            Error::Failed(failure) => failure.exit == Exit::TryAgain,
            _ => false,
        }
    }

    /// True where the API itself has refused the request, so that nothing came of it.
    ///
    /// Not where something else may have answered in its place, where it may have been worked on all the same (408, 5xx), or
    /// where it may have been done before (409).
    pub(crate) fn proves_refusal(&self) -> bool {
        match self {
            Self::Client(Error::Refused(refusal)) => {
                refusal.error.is_some() && matches!(refusal.status, 400..=407 | 410..=499)
            }
            _ => false,
        }
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
            retries: true,
        };
        Ok(Self {
            client: connect(&options, reporter)?,
            reporter: reporter.clone(),
            retries: limits.common.options(TimeoutSettings::default()).retries,
        })
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) const fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// Returns how often a request is sent once more.
    pub(crate) const fn retries(&self) -> u32 {
        self.retries
    }

    /// Returns the server's name for messages.
    pub(crate) fn server(&self) -> String {
        self.client.server()
    }

    /// Gets a batch by its ID.
    ///
    /// # Errors
    /// As [`BatchApi::ask`].
    pub(crate) async fn get_batch(&self, id: &str) -> Result<Batch, Failure> {
        let request = ApiRequest::get(format!("/batches/{id}"));
        self.ask(&request, Batch::read)
            .await
            .map_err(|error| self.failure(error))
    }

    /// Sends a request whose answer is JSON, and reads that. An answer that is none is asked for again, where that does no
    /// harm: it may be a captive portal's page.
    ///
    /// # Errors
    /// The last attempt's.
    pub(crate) async fn ask<T>(
        &self,
        request: &ApiRequest,
        read: fn(Value) -> Result<T, Odd>,
    ) -> Result<T, RequestError> {
        let mut pause = FIRST_PAUSE;
        let mut tries = 1;
        loop {
            let error = match self.ask_once(request, read).await {
                Err(RequestError::Odd(odd)) => odd,
                other => return other,
            };
            if request.repeats != Repeats::Freely || tries > self.retries {
                return Err(error.into());
            }
            tries += 1;
            self.reporter.notice(
                &Event::Retry {
                    server: self.server(),
                    reason: error.describe(),
                    pause,
                    attempt: tries,
                    limit: self.retries + 1,
                }
                .to_string(),
            );
            sleep(pause).await;
            pause *= 2;
        }
    }

    async fn ask_once<T>(
        &self,
        request: &ApiRequest,
        read: fn(Value) -> Result<T, Odd>,
    ) -> Result<T, RequestError> {
        let mut call = WholeCall(ApiCall::new(request, &self.reporter));
        let result = self.client.call(&mut call).await;
        let body = result.map_err(|error| call.0.error(error))?;
        let value: Value = serde_json::from_slice(without_mark(&body)).map_err(|_| Odd::of_body(&body))?;
        let error = ApiError::from_json(&value);
        read(value).map_err(|odd| match error {
            Some(error) => Error::Answer(AnswerError::Api(error)).into(),
            None => odd.into(),
        })
    }

    /// Sends a request, with retries; returns once the response's head has come.
    ///
    /// # Errors
    /// What the client met.
    pub(crate) async fn send(&self, request: &ApiRequest) -> Result<Response, RequestError> {
        let mut call = ApiCall::new(request, &self.reporter);
        let result = self.client.call(&mut call).await;
        result.map_err(|error| call.error(error))
    }

    /// Turns an error into a failure: 69 for what the server does not have, 75 for one that does not answer, 76 for an
    /// answer that is none, 77 for a refused credential.
    pub(crate) fn failure(&self, error: RequestError) -> Failure {
        match error {
            RequestError::Client(mut error) | RequestError::Page(mut error) => {
                if let Error::Refused(refusal) = &mut error
                    && refusal.status == CONFLICT
                {
                    refusal.verdict.kind = ErrorKind::BadRequest;
                    refusal.verdict.retry = false;
                }
                self.client.failure(error, Asked::Other)
            }
            RequestError::Odd(odd) => {
                let failure =
                    Failure::new(Exit::Protocol, format!("'{}': {}", self.server(), odd.describe()));
                match odd {
                    Odd::Page => failure
                        .hint("check the base URL, and whether this network wants you to log in to it first"),
                    _ => failure,
                }
            }
        }
    }
}

/// Takes off a byte-order mark.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// A call that ends with the head of the response.
struct ApiCall<'a> {
    request: &'a ApiRequest,
    reporter: &'a Reporter,
    /// True when the last refusal was a web page.
    is_page: bool,
}

impl<'a> ApiCall<'a> {
    const fn new(request: &'a ApiRequest, reporter: &'a Reporter) -> Self {
        Self {
            request,
            reporter,
            is_page: false,
        }
    }

    fn error(&self, error: Error) -> RequestError {
        match &error {
            Error::Refused(_) if self.is_page => RequestError::Page(error),
            _ => RequestError::Client(error),
        }
    }
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

    async fn read(&mut self, response: Response) -> Result<Response, Error> {
        Ok(response)
    }

    fn may_repeat(&self, error: &Error) -> bool {
        let is_about_credential = error.kind() == Some(ErrorKind::Auth);
        let is_conflict = matches!(error, Error::Refused(refusal) if refusal.status == CONFLICT);
        match self.request.repeats {
            Repeats::Freely => !is_conflict,
            Repeats::IfNotProcessed => match error {
                Error::Http(error) => error.is_unsent(),
                error => is_about_credential || error.kind() == Some(ErrorKind::RateLimit),
            },
            Repeats::WithOtherCredential => is_about_credential,
        }
    }

    fn notify(&mut self, event: &Event) {
        self.reporter.notice(&event.to_string());
    }

    fn refused(&mut self, response: &RefusedResponse<'_>) -> bool {
        self.is_page = response.body.trim_ascii_start().starts_with(b"<");
        true
    }
}

/// A call that ends with the body: one that is cut is asked for again like one that did not come.
struct WholeCall<'a>(ApiCall<'a>);

impl Call for WholeCall<'_> {
    type Output = Vec<u8>;

    fn request(&mut self, endpoint: &Endpoint, form: Form) -> Result<http::Request, Error> {
        self.0.request(endpoint, form)
    }

    async fn read(&mut self, response: Response) -> Result<Vec<u8>, Error> {
        Ok(response.body(ANSWER_LIMIT).await?)
    }

    fn may_repeat(&self, error: &Error) -> bool {
        self.0.may_repeat(error)
    }

    fn notify(&mut self, event: &Event) {
        self.0.notify(event);
    }

    fn refused(&mut self, response: &RefusedResponse<'_>) -> bool {
        self.0.refused(response)
    }
}

/// Accepts an ID that can be a part of a path.
///
/// # Errors
/// 64.
pub(crate) fn validate_id(id: &str) -> Result<&str, Failure> {
    if is_id(id) {
        return Ok(id);
    }
    Err(Failure::new(
        Exit::Usage,
        format!("'{id}' is not a valid batch or file ID"),
    ))
}

/// True for an ID that can be a part of a path: one segment, behind the name of its kind where it is one of Gemini's
/// (`batches/abc`).
pub(crate) fn is_id(id: &str) -> bool {
    let own = ["batches/", "files/"]
        .iter()
        .find_map(|kind| id.strip_prefix(kind));
    let own = own.unwrap_or(id);
    let is_plain = own
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:=".contains(&byte));
    is_plain && !own.is_empty() && !own.starts_with('.')
}

/// Adds to the failure of an endpoint without such a path what works without a Batch API.
pub(crate) fn hint_at_run(failure: Failure) -> Failure {
    match failure.exit {
        Exit::Unavailable => failure.hint("without a Batch API, use 'qwen-batch run IN -o OUT'"),
        _ => failure,
    }
}
