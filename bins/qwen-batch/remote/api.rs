//! The provider's files and batches, as requests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::Backoff;
use qwen_shared::net::api::jitter;
use qwen_shared::net::chat::{ErrorKind, Refusal};
use qwen_shared::net::http::retry_after;
use qwen_shared::net::http::{HttpError, Phase, Request, Response, Timeouts, Upload};
use qwen_shared::output::Reporter;
use serde_json::Value;

use super::batch::Batch;
use crate::args::LimitArgs;
use crate::client::{Door, Way};

/// The largest answer that is no file, in bytes.
const ANSWER_LIMIT: usize = 8 << 20;

/// Where batches are handed in and asked after.
#[derive(Debug)]
pub(crate) struct Office {
    door: Arc<Door>,
    reporter: Reporter,
}

/// What is asked of it.
#[derive(Debug)]
pub(crate) struct Errand {
    method: &'static str,
    path: String,
    query: Vec<(&'static str, String)>,
    load: Load,
    /// True when to do it twice does no harm.
    is_repeatable: bool,
}

#[derive(Debug)]
enum Load {
    None,
    Json(Value),
    File(Upload),
}

impl Errand {
    /// Asks for something.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path.into(), Load::None, true)
    }

    /// Removes something.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path.into(), Load::None, true)
    }

    /// Does something that can be done again without harm.
    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path.into(), Load::None, true)
    }

    /// Makes something that would be there twice if it were done twice.
    pub(crate) fn make(path: impl Into<String>, body: Value) -> Self {
        Self::new("POST", path.into(), Load::Json(body), false)
    }

    /// Hands in a file.
    pub(crate) fn upload(path: impl Into<String>, form: Upload) -> Self {
        Self::new("POST", path.into(), Load::File(form), true)
    }

    const fn new(method: &'static str, path: String, load: Load, is_repeatable: bool) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            load,
            is_repeatable,
        }
    }

    /// Adds a query parameter.
    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.query.push((name, value));
        self
    }
}

/// Why an errand failed.
enum Fault {
    Http(HttpError),
    Refused(Refusal),
}

impl Office {
    /// Finds the way there.
    ///
    /// # Errors
    /// Those of [`Door::open`].
    pub(crate) fn open(
        profile: Option<&String>,
        model: Option<&String>,
        limits: &LimitArgs,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let way = Way {
            profile,
            model,
            limits,
            first_byte: Timeouts::default().first_byte,
            paced: true,
        };
        Ok(Self {
            door: Arc::new(Door::open(&way, reporter)?),
            reporter: reporter.clone(),
        })
    }

    /// Returns the way there.
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// Runs an errand whose answer is a batch.
    ///
    /// # Errors
    /// As [`Office::run`]; 76 for an answer that is no batch.
    pub(crate) async fn batch(&self, errand: Errand) -> Result<Batch, Failure> {
        let value = self.json(errand).await?;
        Batch::from_json(value).ok_or_else(|| self.not_understood("no batch"))
    }

    /// Runs an errand whose answer is JSON.
    ///
    /// # Errors
    /// As [`Office::run`]; 76 for an answer that is not JSON.
    pub(crate) async fn json(&self, errand: Errand) -> Result<Value, Failure> {
        let response = self.run(errand).await?;
        let body = response
            .body(ANSWER_LIMIT)
            .await
            .map_err(|error| error.failure(&self.server()))?;
        serde_json::from_slice(&body).map_err(|_| self.not_understood("not JSON"))
    }

    /// Runs an errand and returns the answer once its head has come. A server that is busy is asked again.
    ///
    /// # Errors
    /// 69 for what the server does not have, 75 for one that does not answer, 77 for a credential that it refuses.
    pub(crate) async fn run(&self, errand: Errand) -> Result<Response, Failure> {
        let mut backoff = Backoff::new(self.door.retries);
        let mut may_renew = true;
        loop {
            let endpoint = self.door.fresh().await?;
            let fault = match self.once(&errand).await {
                Ok(response) => return Ok(response),
                Err(fault) => fault,
            };
            if may_renew && fault.is_about_credential() && self.door.refused(&endpoint).await? {
                may_renew = false;
                continue;
            }
            let pause = match fault.is_passing(errand.is_repeatable) {
                true => backoff.next_pause(fault.retry_after(), jitter()),
                false => None,
            };
            let Some(pause) = pause else {
                return Err(self.failure(&fault));
            };
            self.announce(&fault, pause);
            tokio::time::sleep(pause).await;
        }
    }

    async fn once(&self, errand: &Errand) -> Result<Response, Fault> {
        let endpoint = self.door.endpoint();
        let mut url = endpoint.url_below(&errand.path);
        for (name, value) in &errand.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let mut request: Request = endpoint.request(errand.method, url)?;
        match &errand.load {
            Load::None => {}
            Load::Json(value) => request.body("application/json", value.to_string().into_bytes())?,
            Load::File(form) => request.upload(form.clone()),
        }
        let response = self.door.client.send(request).await?;
        if (200..300).contains(&response.status()) {
            return Ok(response);
        }
        let status = response.status();
        let text = |name: &str| response.header(name).map(str::to_owned);
        let (content_type, location) = (text("content-type"), text("location"));
        let wait = retry_after(
            response.header("retry-after"),
            response.header("retry-after-ms"),
            SystemTime::now(),
        );
        let body = response.body(ANSWER_LIMIT).await.unwrap_or_default();
        let mut refusal = match location {
            Some(location) if (300..400).contains(&status) => Refusal::redirect(status, &location),
            _ => Refusal::read(status, content_type.as_deref(), &body, wait),
        };
        if status == 409 {
            // Here it is about the state of a batch, which will not be what it was.
            refusal.kind = ErrorKind::BadRequest;
        }
        Err(Fault::Refused(refusal))
    }

    fn announce(&self, fault: &Fault, pause: Duration) {
        let reason = match fault {
            Fault::Http(error) => error.to_string(),
            Fault::Refused(refusal) => refusal.words(),
        };
        let seconds = pause.as_secs_f64();
        self.reporter
            .notice(&format!("{reason}; trying again in {seconds:.1} s"));
    }

    fn failure(&self, fault: &Fault) -> Failure {
        let server = self.server();
        match fault {
            Fault::Http(error) => error.failure(&server),
            Fault::Refused(refusal) => self.door.advise(refusal.failure(&server)),
        }
    }

    /// The failure of an answer that is not what was asked for.
    pub(crate) fn not_understood(&self, what: &str) -> Failure {
        Failure::new(
            Exit::Protocol,
            format!("'{}': the answer is {what}", self.server()),
        )
    }

    /// Returns the server's name for messages.
    pub(crate) fn server(&self) -> String {
        self.door.endpoint().server()
    }
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl Fault {
    fn is_about_credential(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.kind == ErrorKind::Auth)
    }

    /// True when another try may go better. What must not be done twice is tried again only where it was not done.
    fn is_passing(&self, is_repeatable: bool) -> bool {
        match self {
            Self::Http(HttpError::Connect(_) | HttpError::Timeout(Phase::Connect, _)) => true,
            Self::Http(HttpError::Reset(_)) => is_repeatable,
            Self::Http(_) => false,
            Self::Refused(refusal) => {
                refusal.kind == ErrorKind::RateLimit || (is_repeatable && refusal.kind.is_transient())
            }
        }
    }

    const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Http(_) => None,
            Self::Refused(refusal) => refusal.retry_after,
        }
    }
}

/// Puts an ID into a path. IDs are the provider's words: what would change the path is refused.
///
/// # Errors
/// 64.
pub(crate) fn checked(id: &str) -> Result<&str, Failure> {
    let plain = id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    if plain && !id.is_empty() && !id.starts_with('.') {
        return Ok(id);
    }
    Err(Failure::new(
        Exit::Usage,
        format!("'{id}' cannot be the ID of a batch or a file"),
    ))
}

/// Adds to the failure of an endpoint that has no such path what can be done without a batch engine.
pub(crate) fn without_engine(failure: Failure) -> Failure {
    match failure.exit {
        Exit::Unavailable => failure.hint("where there is no batch engine: 'qwen-batch run IN -o OUT'"),
        _ => failure,
    }
}
