//! The client of one endpoint.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::time::{timeout, timeout_at};

use super::authorization::{carries_secret, hint_when_refused};
use super::call::{Call, Event, Get, RefusedResponse};
use super::endpoint::Endpoint;
use super::error::Error;
use super::models::{PagedModels, with_parameters};
use super::retry::{Backoff, Decision, decide, jitter};
use crate::exit::{Exit, Failure, Hint};
use crate::net::chat::{AnswerError, Asked, Change, ErrorKind, Form, Refusal, RefusalHead};
use crate::net::credential::Refresh;
use crate::net::http::{self, HttpError, Phase, Response, Timeouts, Waiting, runtime};
use crate::net::ratelimit::{Permit, RateLimit, identity};
use crate::net::wait::spell;
use crate::output::Reporter;

/// The most bytes of a refusal's body that are read.
const REFUSAL_LIMIT: usize = 64 << 10;

/// How long a refusal's body is read.
const REFUSAL_TIME: Duration = Duration::from_secs(5);

/// The most bytes of a list of models.
const MODELS_LIMIT: usize = 32 << 20;

/// A refused token that replaced another refused one so recently, and was never accepted, is not renewed again: no token
/// will be.
const FRESH: Duration = Duration::from_secs(60);

/// How a client sends requests.
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions {
    /// The limits of one attempt.
    pub timeouts: Timeouts,
    /// The limit of a call as a whole: attempts, and the waits between and before them.
    pub max_time: Option<Duration>,
    /// How often a request is sent once more.
    pub retries: u32,
    /// The longest pause that the server may ask for.
    pub longest_wait: Duration,
    /// Whether requests wait for the quota.
    pub is_paced: bool,
    /// Whether the program has a flag for each limit.
    pub has_flags: bool,
    /// After a renewal that failed none is tried for so long: a token endpoint that is down, or a login that is dead, is not to be
    /// asked for every request of a program that serves many.
    pub renewal_pause: Duration,
    /// How many threads ask, each with a runtime of its own; nearly always 1.
    pub threads: usize,
}

/// The client of one endpoint: whatever a program asks a server goes through one. Clones share everything.
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    http: http::Client,
    rate_limit: RateLimit,
    options: ClientOptions,
    reporter: Reporter,
    credential: Mutex<Credential>,
    /// Held while the credential is renewed: one renewal serves all requests. When and why the last one failed.
    renewal: tokio::sync::Mutex<Option<FailedRenewal>>,
    /// How questions are put to the models that do not take them as planned.
    forms: Mutex<BTreeMap<String, Form>>,
    /// True once there is such a model: a program that serves many asks for none of it until then.
    has_forms: AtomicBool,
    /// True while a credential that replaced a refused one has not been taken by the server.
    is_on_trial: AtomicBool,
}

/// A renewal that brought no credential.
#[derive(Debug)]
struct FailedRenewal {
    at: Instant,
    exit: Exit,
    message: String,
    hints: Vec<Hint>,
}

impl FailedRenewal {
    fn new(failure: &Failure) -> Self {
        Self {
            at: Instant::now(),
            exit: failure.exit,
            message: failure.message.clone(),
            hints: failure.hints.clone(),
        }
    }

    fn failure(&self) -> Failure {
        let failure = Failure::new(self.exit, self.message.clone());
        Failure {
            hints: self.hints.clone(),
            ..failure
        }
    }
}

/// What a renewal changes.
#[derive(Debug)]
struct Credential {
    endpoint: Arc<Endpoint>,
    renew_at: Option<SystemTime>,
    /// When it replaced a refused one.
    replaced_at: Option<Instant>,
    /// True once the server has taken it.
    is_accepted: bool,
}

impl Credential {
    fn new(endpoint: Endpoint) -> Self {
        Self {
            renew_at: endpoint.renew_at().filter(|_| endpoint.can_renew()),
            endpoint: Arc::new(endpoint),
            replaced_at: None,
            is_accepted: false,
        }
    }

    fn is_renewal_due(&self) -> bool {
        self.renew_at
            .is_some_and(|renew_at| renew_at <= SystemTime::now())
    }
}

impl Client {
    /// Makes the client of an endpoint. Connects to nothing yet.
    ///
    /// # Errors
    /// 78 for certificates or a proxy that cannot be used.
    pub fn new(endpoint: Endpoint, options: ClientOptions, reporter: &Reporter) -> Result<Self, Failure> {
        let http = http::Client::for_threads(endpoint.base_url(), options.timeouts, options.threads)
            .map_err(|error| error.failure(&endpoint.server()))?;
        let settings = endpoint.settings();
        let identity = identity(settings, endpoint.secret());
        Ok(Self(Arc::new(Shared {
            http,
            rate_limit: RateLimit::new(&identity, settings.rate, options.is_paced, options.has_flags),
            options,
            reporter: reporter.clone(),
            credential: Mutex::new(Credential::new(endpoint)),
            renewal: tokio::sync::Mutex::default(),
            forms: Mutex::default(),
            has_forms: AtomicBool::new(false),
            is_on_trial: AtomicBool::new(false),
        })))
    }

    /// Returns the endpoint, with the credential that is in use now.
    #[must_use]
    pub fn endpoint(&self) -> Arc<Endpoint> {
        Arc::clone(&self.credential().endpoint)
    }

    /// Returns the server's name for messages.
    #[must_use]
    pub fn server(&self) -> String {
        self.endpoint().server()
    }

    /// Calls the API: sends the request, if need be several times, until there is a response that the call can read.
    ///
    /// Every attempt waits for the quota. As long as [`Call::may_repeat`] allows it, what passes is retried; a refused
    /// credential is renewed once; what the toolkit decided by itself is taken back when that was refused. No redirect is
    /// followed.
    ///
    /// # Errors
    /// The last attempt's.
    pub async fn call<C: Call>(&self, call: &mut C) -> Result<C::Output, Error> {
        match self.0.options.max_time {
            None => self.attempts(call, None).await,
            Some(limit) => {
                let end = tokio::time::Instant::now() + limit;
                timeout_at(end, Box::pin(self.attempts(call, Some((end, limit)))))
                    .await
                    .unwrap_or(Err(HttpError::Timeout(Phase::Total, limit).into()))
            }
        }
    }

    /// As [`Client::call`], from outside of a runtime. The call comes back with its result.
    ///
    /// It runs as a task, not as the runtime's root future: waking the root costs two system calls each time, and a long
    /// answer wakes its reader tens of thousands of times.
    ///
    /// # Errors
    /// Only what keeps it from being called at all.
    pub fn call_blocking<C>(&self, call: C) -> Result<(C, Result<C::Output, Error>), Failure>
    where
        C: Call + 'static,
        C::Output: Send,
    {
        let client = self.clone();
        run(async move {
            let mut call = call;
            let result = client.call(&mut call).await;
            (call, result)
        })
    }

    /// Gets the list of models, as the server wrote it; where it comes in pages, all of them, as OpenAI writes a list.
    ///
    /// # Errors
    /// As [`Client::call`], for any page.
    pub async fn models(&self) -> Result<Vec<u8>, Error> {
        let first = self
            .call(&mut Get::new(Endpoint::models_url, MODELS_LIMIT))
            .await?;
        let Some(mut list) = PagedModels::begin(&first) else {
            return Ok(first);
        };
        while let Some(next) = list.next_page() {
            let url = |endpoint: &Endpoint| with_parameters(endpoint.models_url(), &next);
            match self.call(&mut Get::new(url, MODELS_LIMIT)).await {
                Ok(page) => list.add(&page, MODELS_LIMIT),
                Err(_) if list.has_other_way() => {}
                Err(error) => return Err(error),
            }
        }
        if list.is_incomplete() {
            let server = self.server();
            let notice = format!("'{server}' offers more models than it lists: its next page brings none");
            self.0.reporter.notice(&self.redacted(notice));
        }
        Ok(list.into_json())
    }

    /// Turns an error into a failure, with hints that depend on the settings, and without the secret.
    #[must_use]
    pub fn failure(&self, error: Error, asked: Asked) -> Failure {
        let is_refused = error.kind() == Some(ErrorKind::Auth);
        let failure = self.plain_failure(error, asked);
        match is_refused {
            true => failure.hint(hint_when_refused(self.endpoint().settings(), self.is_fresh())),
            false => failure,
        }
    }

    /// As [`Client::failure`], for a program that gives its own advice on the credential.
    #[must_use]
    pub fn plain_failure(&self, error: Error, asked: Asked) -> Failure {
        let endpoint = self.endpoint();
        let is_transient = error.verdict().is_some_and(|verdict| verdict.retry);
        let wait = error
            .wait()
            .filter(|wait| is_transient && *wait > self.0.options.longest_wait);
        let limit = match &error {
            Error::Http(HttpError::Timeout(phase, _)) if self.0.options.has_flags => Some(phase.flag()),
            _ => None,
        };
        let is_foreign = matches!(
            error,
            Error::Answer(AnswerError::NotAnAnswer(_) | AnswerError::OtherText(_))
        );
        let mut failure = error.failure(&endpoint.server(), asked);
        failure = self.redacted_failure(failure);
        if let Some(wait) = wait {
            failure = failure.hint(format!("the server asks to wait {}", spell(wait)));
        }
        if let Some(flag) = limit {
            failure = failure.hint(format!("raise it with {flag} SECONDS"));
        }
        if is_foreign && !endpoint.base_url().has_version() {
            failure = failure.hint("many base URLs end in '/v1'");
        }
        failure
    }

    /// As [`Endpoint::redacted`].
    #[must_use]
    pub fn redacted(&self, text: String) -> String {
        self.endpoint().redacted(text)
    }

    /// As [`Endpoint::redacted`], for all that is printed of a failure.
    #[must_use]
    pub fn redacted_failure(&self, mut failure: Failure) -> Failure {
        failure.message = self.redacted(failure.message);
        for hint in &mut failure.hints {
            hint.0 = self.redacted(std::mem::take(&mut hint.0));
        }
        failure
    }

    /// As [`Endpoint::redacted_json`].
    #[must_use]
    pub fn redacted_json(&self, json: String) -> String {
        self.endpoint().redacted_json(json)
    }
}

/// Runs a future as a task of the program's runtime, and waits for it.
///
/// # Errors
/// 74 where there is no runtime, 70 where the task broke.
pub fn run<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Result<T, Failure> {
    let runtime = runtime()?;
    let task = runtime.spawn(future);
    runtime
        .block_on(task)
        .map_err(|error| Failure::new(Exit::Bug, "the request's task ended by itself").caused_by(error))
}

impl Client {
    async fn attempts<C: Call>(
        &self,
        call: &mut C,
        deadline: Option<(tokio::time::Instant, Duration)>,
    ) -> Result<C::Output, Error> {
        let options = &self.0.options;
        let mut backoff = Backoff::new(options.retries, options.longest_wait);
        let mut may_renew = true;
        loop {
            let endpoint = self.valid_endpoint().await?;
            let form = self.form(call.model());
            let error = match self.attempt(&endpoint, form, call, deadline).await {
                Ok(output) => return Ok(output),
                Err(error) => error,
            };
            if !call.may_repeat(&error) {
                return Err(error);
            }
            let is_repeated = match decide(&error) {
                Decision::Stop => false,
                Decision::Renew => std::mem::take(&mut may_renew) && self.renew_refused(&endpoint).await?,
                Decision::Change(change) => {
                    let is_changed = self.change_form(call, form, change);
                    if is_changed {
                        let (server, reason) = (endpoint.server(), endpoint.redacted(error.describe()));
                        self.0.reporter.detail(&format!("'{server}': {reason}; {change}"));
                    }
                    is_changed
                }
                Decision::Retry(wait) => match backoff.next_pause(wait, jitter()) {
                    None => false,
                    Some(pause) => {
                        Box::pin(pause_before_retry(call, &endpoint, &error, pause, &backoff)).await?;
                        true
                    }
                },
            };
            if !is_repeated {
                return Err(error);
            }
            call.restart();
        }
    }

    /// Sends the request once.
    async fn attempt<C: Call>(
        &self,
        endpoint: &Endpoint,
        form: Form,
        call: &mut C,
        deadline: Option<(tokio::time::Instant, Duration)>,
    ) -> Result<C::Output, Error> {
        let request = call.request(endpoint, form)?;
        let permit = call.permit(&self.0.rate_limit).await?;
        let mut on_silence = |waiting: &Waiting| call.waits(waiting);
        let mut response = match self.0.http.send(request, deadline, &mut on_silence).await {
            Ok(response) => response,
            Err(error) => {
                if let (Some(permit), true) = (permit, error.is_unsent()) {
                    permit.not_sent();
                }
                return Err(error.into());
            }
        };
        if let Some(permit) = &permit {
            permit.answered();
        }
        if (200..300).contains(&response.status()) {
            if !call.is_passed_on() {
                response.decode();
            }
            let output = call.read(response).await?;
            self.accepted(endpoint);
            return Ok(output);
        }
        let provider = &endpoint.provider().name;
        let read = Box::pin(refusal(&mut response, provider, permit.as_ref(), call));
        let (mut refusal, read, is_cut) = read.await;
        if call.is_passed_on() {
            call.keep_refusal(response, read, is_cut);
        }
        refusal.is_anonymous = endpoint.secret().is_none() && !carries_secret(endpoint.settings());
        Err(Error::Refused(refusal))
    }

    fn form(&self, model: Option<&str>) -> Form {
        if !self.0.has_forms.load(Ordering::Acquire) {
            return Form::default();
        }
        let forms = self.0.forms.lock().unwrap_or_else(PoisonError::into_inner);
        model
            .and_then(|model| forms.get(model).copied())
            .unwrap_or_default()
    }

    /// Changes the form of all further questions to the call's model; false where that is no other form than the one that
    /// was refused, or takes back more than the toolkit decided by itself.
    fn change_form<C: Call>(&self, call: &C, refused: Form, change: Change) -> bool {
        let Some(model) = call.model().filter(|_| call.allows(change)) else {
            return false;
        };
        let mut forms = self.0.forms.lock().unwrap_or_else(PoisonError::into_inner);
        let form = forms.entry(model.to_owned()).or_default();
        form.apply(change);
        self.0.has_forms.store(true, Ordering::Release);
        *form != refused
    }

    fn credential(&self) -> MutexGuard<'_, Credential> {
        self.0.credential.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_renewal_due(&self) -> bool {
        self.credential().is_renewal_due()
    }

    /// True when the credential has just replaced a refused one, and has not been taken since.
    fn is_fresh(&self) -> bool {
        let credential = self.credential();
        let replaced_at = credential.replaced_at.filter(|_| !credential.is_accepted);
        replaced_at.is_some_and(|replaced_at| replaced_at.elapsed() < FRESH)
    }

    /// Takes note that the server has taken the credential of `endpoint`.
    fn accepted(&self, endpoint: &Endpoint) {
        if !self.0.is_on_trial.load(Ordering::Acquire) {
            return;
        }
        let mut credential = self.credential();
        if std::ptr::eq(&raw const *credential.endpoint, endpoint) {
            credential.is_accepted = true;
            self.0.is_on_trial.store(false, Ordering::Release);
        }
    }

    /// Returns the endpoint with a credential that outlives the next request, as far as is known.
    async fn valid_endpoint(&self) -> Result<Arc<Endpoint>, Failure> {
        if let Some(endpoint) = self.endpoint_unless_due() {
            return Ok(endpoint);
        }
        Box::pin(self.renew_due()).await?;
        Ok(self.endpoint())
    }

    fn endpoint_unless_due(&self) -> Option<Arc<Endpoint>> {
        let credential = self.credential();
        (!credential.is_renewal_due()).then(|| Arc::clone(&credential.endpoint))
    }

    async fn renew_due(&self) -> Result<(), Failure> {
        let mut last = self.0.renewal.lock().await;
        if self.is_renewal_due()
            && let Err(failure) = self.renew(Refresh::WhenDue, &mut last).await
        {
            self.keep_key(failure)?;
        }
        Ok(())
    }

    /// Goes on with the key that a command has printed where it fails when it is to be run again: the time that the key is
    /// good is a guess of the user's, and the server says when it was wrong.
    fn keep_key(&self, failure: Failure) -> Result<(), Failure> {
        let Some(ttl) = self.endpoint().key_ttl() else {
            return Err(failure);
        };
        self.0
            .reporter
            .notice(&format!("{failure}; the earlier key is used on"));
        self.credential().renew_at = SystemTime::now().checked_add(ttl);
        Ok(())
    }

    /// Renews the credential of `endpoint`, which the server has refused; true when there is another one now.
    ///
    /// # Errors
    /// Those of the renewal.
    pub async fn renew_refused(&self, endpoint: &Endpoint) -> Result<bool, Failure> {
        let Some(refused) = endpoint.secret().filter(|_| endpoint.can_renew()) else {
            return Ok(false);
        };
        let mut last = self.0.renewal.lock().await;
        if self.endpoint().secret() == Some(refused) && !self.is_fresh() {
            self.0
                .reporter
                .detail("the credential was refused; renewing it once");
            Box::pin(self.renew(Refresh::Rejected(refused.clone()), &mut last)).await?;
            self.credential().replaced_at = Some(Instant::now());
            self.0.is_on_trial.store(true, Ordering::Release);
        }
        Ok(self.endpoint().secret() != Some(refused))
    }

    async fn renew(&self, refresh: Refresh, last: &mut Option<FailedRenewal>) -> Result<(), Failure> {
        if let Some(failed) = last
            .as_ref()
            .filter(|failed| failed.at.elapsed() < self.0.options.renewal_pause)
        {
            return Err(failed.failure());
        }
        let renewed = self.renew_once(refresh).await;
        *last = renewed.as_ref().err().map(FailedRenewal::new);
        renewed
    }

    async fn renew_once(&self, refresh: Refresh) -> Result<(), Failure> {
        let (endpoint, reporter) = (self.endpoint(), self.0.reporter.clone());
        // It blocks, and makes a runtime of its own.
        let renewed = tokio::task::spawn_blocking(move || endpoint.renewed(refresh, &reporter))
            .await
            .map_err(|error| {
                Failure::new(Exit::Bug, "the renewal of the credential broke").caused_by(error)
            })??;
        *self.credential() = Credential::new(renewed);
        Ok(())
    }
}

/// Tells the call of another attempt after an error, and waits before it.
///
/// # Errors
/// [`Error::Stopped`] where the call ends the wait.
async fn pause_before_retry<C: Call>(
    call: &mut C,
    endpoint: &Endpoint,
    error: &Error,
    pause: Duration,
    backoff: &Backoff,
) -> Result<(), Error> {
    call.notify(&Event::Retry {
        server: endpoint.server(),
        reason: endpoint.redacted(error.describe()),
        pause,
        attempt: backoff.tries(),
        limit: backoff.limit(),
    });
    match call.pause(pause).await {
        true => Ok(()),
        false => Err(Error::Stopped),
    }
}

/// Reads a refusal and passes the pause on that it asks for.
async fn refusal<C: Call>(
    response: &mut Response,
    provider: &'static str,
    permit: Option<&Permit>,
    call: &mut C,
) -> (Refusal, Vec<u8>, bool) {
    let head = RefusalHead::read(response.status(), response.headers(), SystemTime::now());
    let request_id = response.header("x-request-id").map(str::to_owned);
    let (read, is_cut) = refusal_body(response).await;
    // One that cannot be decoded says nothing.
    let body = response.decoded(&read, REFUSAL_LIMIT);
    let refusal = Refusal::read(&head, &body, provider);
    let is_for_all = call.refused(&RefusedResponse {
        refusal: &refusal,
        request_id: request_id.as_deref(),
        body: &body,
    });
    if let (Some(permit), Some(pause), true) =
        (permit, refusal.verdict.wait, is_for_all && refusal.verdict.retry)
    {
        permit.retry_after(pause);
    }
    (refusal, read, is_cut)
}

/// Reads as much of a refusal's body as there is in time, as it came, and tells whether the connection broke within it. That
/// changes nothing for who reads the refusal: the status is known.
async fn refusal_body(response: &mut Response) -> (Vec<u8>, bool) {
    let (mut body, mut is_cut) = (Vec::new(), false);
    let reading = async {
        while body.len() <= REFUSAL_LIMIT {
            match response.chunk().await {
                Ok(Some(bytes)) => body.extend_from_slice(&bytes),
                Ok(None) => return,
                Err(_) => {
                    is_cut = true;
                    return;
                }
            }
        }
    };
    let _ = timeout(REFUSAL_TIME, reading).await;
    (body, is_cut)
}
