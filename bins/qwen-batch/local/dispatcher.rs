//! Sends one request until there is a result, and decides what a fault means for the run.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{Call, Client, Endpoint, Error, RefusedResponse};
use qwen_shared::net::chat::{AnswerError, Asked, Change as FormChange, Dialect, ErrorKind, Form};
use qwen_shared::net::http::{self, HttpError};
use qwen_shared::net::ratelimit::{Notice, Permit, RateLimit};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::{sleep, sleep_until};

use super::LONGEST_WAIT;
use super::aside::{Aside, Place};
use super::failure_policy::{FailurePolicy, SAME_FAILURES_IN_A_ROW};
use super::scheduler::{Cause, Change, Fault, Next, QuestionId, Scheduler, Turn};
use crate::duration::spell;
use crate::record::{Record, RecordError, RecordedResponse};
use crate::request::{BatchRequest, LENGTH_LIMIT};
use crate::response::WholeResponse;

/// How many lines are read ahead of what is sent, at most.
const READ_AHEAD: usize = 16;

/// The largest answer that is kept, in bytes.
const ANSWER_LIMIT: usize = 64 << 20;

/// What is to be said while the run goes on.
#[derive(Debug)]
pub(crate) enum RunNotice {
    RateLimit(Notice),
    Text(String),
}

/// How a run sends its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DispatchOptions {
    /// The most requests under way.
    pub(crate) jobs: usize,
    /// How often a request is sent once more after a fault of its own.
    pub(crate) retries: u32,
    /// How long the run waits for a server that fails.
    pub(crate) patience: Duration,
}

/// What all requests of a run share.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    client: Client,
    scheduler: Mutex<Scheduler>,
    /// Tells those that wait for their turn that it may have come.
    changed: Notify,
    /// A queue for each model: who is first in it asks the scheduler.
    queues: Mutex<BTreeMap<String, Arc<Queue>>>,
    /// One permit for each request that has been read and not been sent.
    pub(crate) room: Arc<Semaphore>,
    /// Those that wait for a time instead of a free place.
    pub(super) aside: Arc<Aside>,
    /// True once the run is ending: nothing more is sent.
    is_ending: watch::Receiver<bool>,
    notices: mpsc::UnboundedSender<RunNotice>,
    /// Held while waiting for the rate limit: one place in the queue of processes is enough.
    queue: tokio::sync::Mutex<()>,
    policy: FailurePolicy,
    patience: Duration,
    /// The failure of the first model that was not waited for any longer.
    lost: Mutex<Option<Failure>>,
}

/// The requests to one model that wait for their turn.
#[derive(Debug, Default)]
struct Queue {
    first: tokio::sync::Mutex<()>,
    /// True while the first one waits for a time, not for a free place.
    is_paused: watch::Sender<bool>,
}

impl Queue {
    /// Waits until a request is the first one. In a pause it gives up the place of a line that was read ahead: other models
    /// may have lines to send.
    async fn first(&self, place: &mut Place) -> tokio::sync::MutexGuard<'_, ()> {
        let mut is_paused = self.is_paused.subscribe();
        let paused = async {
            let _ = is_paused.wait_for(|&is_paused| is_paused).await;
        };
        let mut first = pin!(self.first.lock());
        tokio::select! {
            biased;
            first = &mut first => return first,
            () = paused => place.step_aside(),
        }
        first.await
    }
}

/// What becomes of a request after an error.
enum Verdict {
    Again(Duration),
    Record(Box<Record>),
    /// The next run sends it again.
    Leave,
}

impl Dispatcher {
    pub(crate) fn new(
        client: Client,
        options: DispatchOptions,
        is_ending: watch::Receiver<bool>,
        notices: mpsc::UnboundedSender<RunNotice>,
    ) -> Self {
        let DispatchOptions {
            jobs,
            retries,
            patience,
        } = options;
        Self {
            client,
            scheduler: Mutex::new(Scheduler::new(jobs, retries, patience)),
            changed: Notify::new(),
            queues: Mutex::default(),
            room: Arc::new(Semaphore::new(jobs.min(READ_AHEAD))),
            aside: Arc::default(),
            is_ending,
            notices,
            queue: tokio::sync::Mutex::default(),
            policy: FailurePolicy::new(jobs),
            patience,
            lost: Mutex::default(),
        }
    }

    /// Returns why questions were left to another run, though this one went on.
    pub(super) fn take_lost(&self) -> Option<Failure> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps the failure of a model that is not waited for any longer.
    fn lose(&self, model: &str, error: Error) {
        let mut failure = self.client.failure(error, Asked::Chat);
        let patience = spell(self.patience);
        failure.message.push_str(&format!(
            "; no request to model '{model}' was answered for {patience} (--patience)"
        ));
        let text = format!("{}; its requests are left to the next run", failure.message);
        let _ = self.notices.send(RunNotice::Text(text));
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.get_or_insert(failure);
    }

    /// Returns how many requests are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.scheduler().under_way()
    }

    /// Sends a request until there is a result; `None` when the run ends first. An answered one counts as under way until
    /// [`Dispatcher::written`] is called.
    ///
    /// # Errors
    /// A failure that every other request would have too. The next run sends the request again.
    pub(crate) async fn dispatch(
        &self,
        question: QuestionId,
        request: &BatchRequest,
        mut place: Place,
    ) -> Result<Option<Record>, Failure> {
        if request.is_chat() && !self.client.endpoint().provider().can_address(request.model()) {
            let message = format!(
                "the model '{}' cannot stand in the endpoint's path",
                request.model()
            );
            return Ok(Some(RecordError::new(Exit::Data, message).into()));
        }
        loop {
            if !self.turn(question, request, &mut place).await? {
                return Ok(None);
            }
            place.leave();
            let mut call = BatchCall::new(self, request);
            let result = self.client.call(&mut call).await;
            let verdict = match result {
                Ok(record) => return Ok(Some(record)),
                Err(Error::Stopped) => {
                    self.update(|scheduler| scheduler.abandoned(question), None);
                    return Ok(None);
                }
                Err(error) => call.failed(question, error)?,
            };
            match verdict {
                Verdict::Again(pause) if pause.is_zero() => {}
                Verdict::Again(pause) => {
                    if self.unless_ending(sleep(pause)).await.is_none() {
                        return Ok(None);
                    }
                }
                Verdict::Record(record) => return Ok(Some(*record)),
                Verdict::Leave => return Ok(None),
            }
        }
    }

    /// Takes note that the result of a question has been written. Not before, so that no more answers than there are
    /// parallel requests can be lost at once.
    pub(crate) fn written(&self, question: QuestionId) {
        self.update(|scheduler| scheduler.written(question), None);
    }

    /// Waits until a question may be sent; false when the run ends first. The place of a line that was read ahead is free
    /// as soon as it is known that it has to wait.
    ///
    /// # Errors
    /// What a health check met, where that ends the run.
    async fn turn(
        &self,
        question: QuestionId,
        request: &BatchRequest,
        place: &mut Place,
    ) -> Result<bool, Failure> {
        let model = request.model();
        let queue = self.queue_of(model);
        let Some(mut first) = self.unless_ending(queue.first(place)).await else {
            return Ok(false);
        };
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let turn = self.scheduler().turn(question, model, Instant::now());
            queue.is_paused.send_replace(matches!(turn, Turn::Wait(Some(_))));
            let until = match turn {
                Turn::Send => return Ok(!*self.is_ending.borrow() || self.give_back(question)),
                Turn::Check => {
                    self.check_health(question, request).await?;
                    None
                }
                Turn::Wait(until) => until,
                Turn::Leave => return Ok(false),
                Turn::Yield => {
                    drop(first);
                    tokio::task::yield_now().await;
                    let Some(again) = self.unless_ending(queue.first(place)).await else {
                        return Ok(false);
                    };
                    first = again;
                    continue;
                }
            };
            if until.is_some() {
                place.step_aside();
            }
            if !self.is_woken(changed, until).await {
                return Ok(false);
            }
        }
    }

    /// Waits until something has changed, or until that time; false when the run ends first.
    async fn is_woken(&self, changed: impl Future<Output = ()>, until: Option<Instant>) -> bool {
        let woken = async {
            tokio::select! {
                () = changed => {}
                () = until_then(until) => {}
            }
        };
        self.unless_ending(woken).await.is_some()
    }

    /// Sends a short request of our own to the model, to find out whether the server is there.
    async fn check_health(&self, question: QuestionId, request: &BatchRequest) -> Result<(), Failure> {
        for is_limited in [true, false] {
            let Some(check) = request.health_check(is_limited) else {
                break;
            };
            let mut call = BatchCall::new(self, &check);
            let error = match self.unless_ending(self.client.call(&mut call)).await {
                Some(Ok(_)) => {
                    self.update(|scheduler| scheduler.check_answered(question), None);
                    return Ok(());
                }
                None | Some(Err(Error::Stopped)) => {
                    self.update(|scheduler| scheduler.abandoned(question), None);
                    return Ok(());
                }
                Some(Err(error)) => error,
            };
            let verdict = error.verdict();
            let refuses_limit = verdict.is_some_and(|verdict| verdict.refuses(LENGTH_LIMIT));
            if !is_limited || !refuses_limit {
                return call.check_failed(question, error);
            }
        }
        self.update(|scheduler| scheduler.check_is_unclear(question), None);
        Ok(())
    }

    /// Gives a turn back that comes too late; always false.
    fn give_back(&self, question: QuestionId) -> bool {
        self.scheduler().abandoned(question);
        false
    }

    fn queue_of(&self, model: &str) -> Arc<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(model) {
            return Arc::clone(queue);
        }
        Arc::clone(queues.entry(model.to_owned()).or_default())
    }

    fn scheduler(&self) -> MutexGuard<'_, Scheduler> {
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the scheduler something, and the user what has changed by it.
    fn update<T>(&self, tell: impl FnOnce(&mut Scheduler) -> T, reason: Option<&str>) -> T {
        let mut scheduler = self.scheduler();
        let told = tell(&mut scheduler);
        let changes = scheduler.take_changes();
        drop(scheduler);
        self.changed.notify_waiters();
        for change in changes {
            let _ = self.notices.send(self.notice(change, reason.unwrap_or_default()));
        }
        told
    }

    fn notice(&self, change: Change, reason: &str) -> RunNotice {
        let server = self.client.server();
        RunNotice::Text(match change {
            Change::OutageBegan => format!(
                "'{server}': {reason}; trying one request at a time until it answers, for up to {} (--patience)",
                spell(self.patience)
            ),
            Change::OutageEnded(waited) => {
                format!(
                    "'{server}': it answers again after {}; the run goes on",
                    spell(waited)
                )
            }
            Change::ModelOutageBegan { model } => format!(
                "'{server}': model '{model}': {reason}; trying one request at a time until it answers, for up to {} (--patience); other models go on",
                spell(self.patience)
            ),
            Change::ModelOutageEnded { model, waited } => format!(
                "'{server}': model '{model}' answers again after {}",
                spell(waited)
            ),
            Change::Pause {
                is_first: true,
                is_named: false,
                ..
            } => {
                format!("'{server}': {reason}; sending fewer requests")
            }
            Change::Pause { time, is_named, .. } => {
                let reason = match is_named {
                    true => "the server asked for a pause",
                    false => "the server refuses more requests",
                };
                return RunNotice::RateLimit(Notice::Wait(time, reason.to_owned()));
            }
        })
    }

    /// Returns the failure of a server that was waited for, or that asks for a wait that is too long.
    fn out_of_patience(&self, error: Error) -> Failure {
        let longest = self.patience.min(LONGEST_WAIT);
        let why = match error.wait().filter(|wait| *wait > longest) {
            Some(wait) => format!("; it asks for a pause of {}", spell(wait)),
            None => format!(
                "; no request was answered for {} (--patience)",
                spell(self.patience)
            ),
        };
        // Where nothing but pages came, it may be the address that is wrong.
        let is_elsewhere = is_foreign(&error) && !self.policy.has_answered();
        let mut failure = self.client.failure(error, Asked::Chat);
        failure.message.push_str(&why);
        if !is_elsewhere {
            failure.exit = Exit::TryAgain;
        }
        failure
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

/// Waits until a time; for ever where there is none.
async fn until_then(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

struct BatchCall<'a> {
    dispatcher: &'a Dispatcher,
    request: &'a BatchRequest,
    dialect: Dialect,
    /// The last refusal as it came.
    response: Option<RecordedResponse>,
    /// The record of a response that reports an error.
    record: Option<Record>,
    /// True once an answer has failed after some of its text: its tokens are paid, and it is not asked for again.
    has_text: bool,
}

impl Call for BatchCall<'_> {
    type Output = Record;

    fn model(&self) -> Option<&str> {
        Some(self.request.model())
    }

    fn request(&mut self, endpoint: &Endpoint, form: Form) -> Result<http::Request, Error> {
        self.dialect = Dialect {
            choices: self.request.choices(),
            ..endpoint.dialect()
        };
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
        let response = WholeResponse::read(response, ANSWER_LIMIT).await;
        let response = response.map_err(|(error, has_text)| {
            self.has_text = has_text;
            error
        })?;
        let (record, error) = response.into_record(self.request.is_chat(), self.dialect);
        match error {
            None => {
                self.dispatcher.policy.count_answer();
                Ok(record)
            }
            Some(error) => {
                self.has_text = record.has_text;
                self.record = Some(record);
                Err(error.into())
            }
        }
    }

    fn restart(&mut self) {
        (self.response, self.record) = (None, None);
    }

    fn allows(&self, _: FormChange) -> bool {
        self.request.is_chat()
    }

    /// A single 429 is about its request; many in a row are about all processes.
    fn refused(&mut self, response: &RefusedResponse<'_>) -> bool {
        let recorded = RecordedResponse::new(response.refusal.status, response.request_id, response.body);
        self.response = Some(recorded);
        self.dispatcher.policy.count_rate_limit(response.refusal)
    }

    async fn permit(&mut self, limit: &RateLimit) -> Result<Option<Permit>, Error> {
        let (dispatcher, model) = (self.dispatcher, self.request.model());
        let permit = async {
            let _queue = dispatcher.queue.lock().await;
            let mut notify = |notice| {
                let _ = dispatcher.notices.send(RunNotice::RateLimit(notice));
            };
            limit.acquire(model, &mut notify).await
        };
        match dispatcher.unless_ending(permit).await {
            Some(permit) => Ok(Some(permit?)),
            None => Err(Error::Stopped),
        }
    }
}

impl<'a> BatchCall<'a> {
    fn new(dispatcher: &'a Dispatcher, request: &'a BatchRequest) -> Self {
        Self {
            dispatcher,
            request,
            dialect: Dialect::default(),
            response: None,
            record: None,
            has_text: false,
        }
    }
}

impl BatchCall<'_> {
    /// True for an error that every other request would meet too, for good.
    fn concerns_all(&self, error: &Error) -> bool {
        let status = match error {
            Error::Refused(refusal) => Some(refusal.status),
            _ => None,
        };
        match error.verdict() {
            Some(verdict) => self.dispatcher.policy.concerns_all(&verdict, status),
            None => is_about_connection(error),
        }
    }

    /// Decides what an error means: another try, a result of this request, or the end of the run.
    fn failed(self, question: QuestionId, error: Error) -> Result<Verdict, Failure> {
        let client = &self.dispatcher.client;
        if self.concerns_all(&error) {
            self.dispatcher.scheduler().abandoned(question);
            return Err(client.failure(error, Asked::Chat));
        }
        let next = self.next(question, &error);
        match next {
            Next::Again(pause) => Ok(Verdict::Again(pause)),
            Next::End => Err(self.dispatcher.out_of_patience(error)),
            Next::Lose => {
                self.dispatcher.lose(self.request.model(), error);
                Ok(Verdict::Leave)
            }
            Next::Leave => Ok(Verdict::Leave),
            Next::GiveUp => Ok(Verdict::Record(Box::new(self.record(error)?))),
        }
    }

    /// Takes note of what a health check met.
    fn check_failed(self, question: QuestionId, error: Error) -> Result<(), Failure> {
        let dispatcher = self.dispatcher;
        if self.concerns_all(&error) {
            dispatcher.scheduler().abandoned(question);
            return Err(dispatcher.client.failure(error, Asked::Chat));
        }
        let next = match self.fault_of(&error) {
            _ if is_rate_limit(&error) => self.next(question, &error),
            Some(_) if !self.has_text && asks_too_long(&error) => self.next(question, &error),
            Some(fault) if !self.has_text => {
                let reason = dispatcher.client.redacted(error.describe());
                let tell =
                    |scheduler: &mut Scheduler| scheduler.check_failed(question, fault, Instant::now());
                dispatcher.update(tell, Some(&reason))
            }
            _ => {
                dispatcher.update(|scheduler| scheduler.check_is_unclear(question), None);
                return Ok(());
            }
        };
        match next {
            Next::End => Err(dispatcher.out_of_patience(error)),
            _ => Ok(()),
        }
    }

    /// Returns what an error says of the server; `None` where it is not one that may pass. What has answered in the API's
    /// place may go away.
    fn fault_of(&self, error: &Error) -> Option<Fault> {
        let is_late = matches!(error, Error::Http(HttpError::Timeout(..)));
        let is_foreign = is_foreign(error);
        (error.may_pass() || is_late || is_foreign).then(|| Fault {
            cause: match error {
                _ if is_foreign && !self.dispatcher.policy.has_answered() => Cause::Elsewhere,
                Error::Http(error) if error.is_unsent() => Cause::Unsent,
                Error::Http(HttpError::Cut(_)) => Cause::Cut,
                Error::Http(_) if !is_late => Cause::Broken,
                Error::Refused(refusal) if matches!(refusal.status, 502..=504) => Cause::Unavailable,
                _ => Cause::Failed,
            },
            is_final: is_late,
            wait: error.wait(),
        })
    }

    /// Asks the scheduler what follows.
    fn next(&self, question: QuestionId, error: &Error) -> Next {
        let dispatcher = self.dispatcher;
        let wait = error.wait();
        let reason = dispatcher.client.redacted(error.describe());
        let now = Instant::now();
        let is_rate_limit = is_rate_limit(error);
        if asks_too_long(error) && (is_rate_limit || !self.has_text) {
            // Time alone cures it: that is no result of the question.
            dispatcher.update(|scheduler| scheduler.abandoned(question), None);
            return Next::End;
        }
        if is_rate_limit {
            return dispatcher.update(
                |scheduler| scheduler.throttled(question, wait, now),
                Some(&reason),
            );
        }
        let Some(fault) = self.fault_of(error).filter(|_| !self.has_text) else {
            // The server is there, and has said something: [`Dispatcher::written`] counts it as an answer.
            return Next::GiveUp;
        };
        dispatcher.update(|scheduler| scheduler.failed(question, fault, now), Some(&reason))
    }

    /// Makes the result of a request that has no good answer.
    fn record(self, error: Error) -> Result<Record, Failure> {
        let Dispatcher { client, policy, .. } = self.dispatcher;
        if !self.has_text && !error.may_pass() && policy.count_permanent_failure(&error) {
            let mut failure = client.failure(error, Asked::Chat);
            let why = format!("; {SAME_FAILURES_IN_A_ROW} requests in a row failed so");
            failure.message.push_str(&why);
            return Err(failure);
        }
        if let (Error::Answer(_), Some(record)) = (&error, self.record) {
            return Ok(record.redacted(client));
        }
        let (exit, mut message) = match &error {
            Error::Refused(refusal) => (refusal.verdict.exit(), refusal.describe()),
            Error::Http(http) => (http.exit(), http.to_string()),
            Error::Answer(answer) => (answer.exit(), answer.to_string()),
            _ => return Err(client.failure(error, Asked::Chat)),
        };
        let verdict = error.verdict();
        if verdict.is_some_and(|verdict| verdict.kind == ErrorKind::TooLarge) {
            message.push_str("; split the line, or choose a model that takes more");
        }
        let record = Record {
            response: self.response,
            error: Some(RecordError::new(exit, message)),
            ..Record::default()
        };
        Ok(record.redacted(client))
    }
}

/// True for a 429 that passes.
fn is_rate_limit(error: &Error) -> bool {
    error.may_pass() && error.kind() == Some(ErrorKind::RateLimit)
}

/// True for what passes, but after a longer pause than a run keeps.
fn asks_too_long(error: &Error) -> bool {
    error.may_pass() && error.wait().is_some_and(|wait| wait > LONGEST_WAIT)
}

/// True for a web page or a redirect: something has answered in the API's place, for this request or for all of them. A
/// gateway that says that the server is busy is not one of these.
fn is_foreign(error: &Error) -> bool {
    match error {
        _ if error.may_pass() => false,
        Error::Refused(refusal) => {
            refusal.is_page || matches!(refusal.verdict.kind, ErrorKind::Page | ErrorKind::Redirect)
        }
        Error::Answer(error) => matches!(error, AnswerError::NotAnAnswer(_) | AnswerError::OtherText(_)),
        _ => false,
    }
}

/// True for a fault of the settings or of this machine, which every other request would meet too.
fn is_about_connection(error: &Error) -> bool {
    matches!(
        error,
        Error::Failed(_)
            | Error::Http(
                HttpError::TooManyFiles(_)
                    | HttpError::Tls { .. }
                    | HttpError::WrongScheme { .. }
                    | HttpError::Invalid(_)
            )
    )
}
