//! One request: judged, passed on, answered.

use std::sync::Arc;

use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HeaderMap, ORIGIN};
use hyper::{Method, Request, Response, StatusCode};
use qwen_shared::net::api::{Endpoint, Error};
use qwen_shared::net::http::Response as ServerResponse;
use tokio::time::sleep;

use super::State;
use super::answer::{AnswerBody, LOOK, Passing};
use super::answer_head::{answer_headers, length_of, needs_decoding, tap};
use super::connections::Connection;
use super::fault;
use super::gate::{Pass, Transport};
use super::models::{allowed_models, percent_decoded};
use super::question::{Content, Question, Refused, passed_headers};
use super::reading::Reading;
use super::record::Record;
use super::refusal::Refusal;
use super::route::{Route, Service};
use super::stream::Watch;
use super::upload::{self, Upload, Whole, drain, take_whole};
use super::usage::Tap;

/// The largest body that is taken whole though nothing has to be read of it: it can be sent again, and its model is known.
const SMALL: u64 = 64 << 10;

/// A longer body is read on another thread than those that serve: it takes longer than a turn of others should wait.
const LONG: usize = 256 << 10;

/// The most bytes of a list of models.
const MODELS_LIMIT: usize = 32 << 20;

/// The client has hung up.
#[derive(Debug)]
pub(super) struct HungUp;

impl std::fmt::Display for HungUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the client hung up")
    }
}

impl std::error::Error for HungUp {}

/// Answers a request.
///
/// # Errors
/// The client has hung up: the connection ends.
pub(super) async fn serve(
    state: Arc<State>,
    connection: Arc<Connection>,
    watch: Watch,
    transport: Transport,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, HungUp> {
    let is_head = request.method() == Method::HEAD;
    let response = respond(state, connection, watch, transport, request).await?;
    Ok(if is_head { head_of(response) } else { response })
}

/// Returns an answer as the one to HEAD: with all that it says about its content, and without it.
fn head_of(response: Response<AnswerBody>) -> Response<AnswerBody> {
    let (mut head, body) = response.into_parts();
    let (body, length) = body.without_content();
    if let Some(length) = length.filter(|_| head.status != StatusCode::NO_CONTENT) {
        head.headers.insert(CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, body)
}

async fn respond(
    state: Arc<State>,
    connection: Arc<Connection>,
    watch: Watch,
    transport: Transport,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, HungUp> {
    let is_ambiguous = connection.is_ambiguous();
    let (method, path) = (request.method().as_str(), request.uri().path());
    let record = Record::new(&state, connection.begin(), method, path);
    let checked = match is_ambiguous {
        true => Err(Refusal::bad_request("invalid_framing", "the end of the body is told twice").closing()),
        false => state.gate.check(&request, transport),
    };
    let (head, body) = request.into_parts();
    let head = Request::from_parts(head, ());
    let route = match checked {
        Ok(Pass::Request(route)) => route,
        Ok(Pass::Preflight(response)) => return Ok(finished(response, record)),
        Err(refusal) => return Ok(refused(refusal, record, &head, body)),
    };
    connection.is_trusted();
    let exchange = Exchange {
        state: &state,
        watch: &watch,
        head: &head,
        route: &route,
    };
    let mut response = tokio::select! {
        biased;
        response = exchange.answer(body, record) => response,
        () = hang_up(&watch) => return Err(HungUp),
    };
    let origin = head.headers().get(ORIGIN);
    state.gate.let_origin_read(origin, response.headers_mut());
    Ok(response)
}

/// Waits until the client has gone.
async fn hang_up(watch: &Watch) {
    loop {
        sleep(LOOK).await;
        if watch.is_gone() {
            return;
        }
    }
}

/// Answers with the proxy's own error, and reads what the client still sends. Who waits for 100 (RFC 9110, section 10.1.1) sends
/// nothing more.
fn refused<B>(mut refusal: Refusal, record: Record, head: &Request<()>, body: B) -> Response<AnswerBody>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    if head.headers().contains_key(EXPECT) && !body.is_end_stream() {
        refusal = refusal.closing();
    } else if !refusal.closes {
        drain(body);
    }
    own_answer(refusal, record)
}

fn own_answer(refusal: Refusal, mut record: Record) -> Response<AnswerBody> {
    record.entry.code = Some(refusal.code);
    if refusal.code == upload::CUT {
        record.is_given_up();
    }
    if let Some(reservation) = record.reservation() {
        reservation.refused();
    }
    finished(refusal.response(), record)
}

fn finished(response: Response<AnswerBody>, mut record: Record) -> Response<AnswerBody> {
    record.answers_with(response.status());
    response.map(|body| body.recorded(record))
}

/// A request that the gate has let pass.
struct Exchange<'a> {
    state: &'a Arc<State>,
    watch: &'a Watch,
    head: &'a Request<()>,
    route: &'a Route,
}

impl Exchange<'_> {
    async fn answer(&self, mut body: Incoming, mut record: Record) -> Response<AnswerBody> {
        if let Err(refusal) = self.check_model_path() {
            return refused(refusal, record, self.head, body);
        }
        let (content, mut reading, size) = match self.take(&mut body, &mut record).await {
            Ok(Some((content, reading, size))) => (content, reading, size),
            Ok(None) => {
                let size = body.size_hint().lower();
                let upload = Upload::new(body);
                record.uploads(&upload);
                (
                    Content::Passing(upload),
                    Reading::default(),
                    usize::try_from(size).unwrap_or_default(),
                )
            }
            Err(refusal) => return refused(refusal, record, self.head, body),
        };
        if self.state.log.is_some() {
            record.entry.model.clone_from(&reading.model);
        }
        if self.route.is_question()
            && !self.state.budget.is_unlimited()
            && let Err(refusal) = self.reserve(&mut record, &mut reading, &content, size)
        {
            return own_answer(refusal, record);
        }
        let mut headers = passed_headers(self.head.headers());
        if self.state.budget.counts_tokens() {
            headers.remove(hyper::header::ACCEPT_ENCODING);
        }
        let question = Question::new(self.route, self.head.uri().query(), headers, content, reading);
        self.ask(question, record).await
    }

    /// Reserves what the request may use. Of one that may use more than is left the answer is limited to that.
    fn reserve(
        &self,
        record: &mut Record,
        reading: &mut Reading,
        content: &Content,
        size: usize,
    ) -> Result<(), Refusal> {
        let budget = &self.state.budget;
        let reserved = budget.reserve(size, reading.max_output, reading.texts);
        let reservation = reserved.inspect_err(|_| self.state.say_used_up())?;
        if let (Some(limit), Content::Whole(whole)) = (reservation.limit(), content) {
            reading.lower(&whole.bytes, limit);
        }
        record.reserved(reservation);
        Ok(())
    }

    /// Refuses to describe a model that may not be asked.
    fn check_model_path(&self) -> Result<(), Refusal> {
        let rules = &self.state.rules;
        let name = self.route.path.strip_prefix("/models/").unwrap_or_default();
        if self.route.service != Service::Model || rules.allows(&percent_decoded(name)) {
            return Ok(());
        }
        Err(rules.refusal("this model is not shown"))
    }

    /// Takes the body whole where that is needed, or costs nothing; `None` for one that passes.
    async fn take(
        &self,
        body: &mut Incoming,
        record: &mut Record,
    ) -> Result<Option<(Content, Reading, usize)>, Refusal> {
        let state = self.state;
        let task = state.task();
        if self.route.method == "GET" {
            // Nothing in it could mean anything (RFC 9110, section 9.3.1).
            return Ok(Some((Content::None, Reading::default(), 0)));
        }
        if body.is_end_stream() {
            let reading = match task.needs_body(self.route) {
                true => task.read(self.route, self.head.headers(), b"")?,
                false => Reading::default(),
            };
            return Ok(Some((Content::None, reading, 0)));
        }
        let is_needed = task.needs_body(self.route) || self.route.is_question() && state.needs_model;
        let is_small = body.size_hint().exact().is_some_and(|size| size <= SMALL);
        if !is_needed && !is_small {
            return Ok(None);
        }
        let whole = take_whole(body, &state.memory, state.timeouts.idle).await?;
        record.entry.received = whole.bytes.len() as u64;
        let size = whole.bytes.len();
        let (whole, reading) = match self.route.is_question() {
            true if size > LONG => self.read_aside(whole).await?,
            true => {
                let reading = task.read(self.route, self.head.headers(), &whole.bytes)?;
                (whole, reading)
            }
            false => (whole, Reading::default()),
        };
        Ok(Some((Content::Whole(whole), reading, size)))
    }

    /// Reads a long body on another thread. Its share of the memory goes with it.
    async fn read_aside(&self, whole: Whole) -> Result<(Whole, Reading), Refusal> {
        let (state, route) = (Arc::clone(self.state), self.route.clone());
        let headers = self.head.headers().clone();
        let read = self.state.body_reader.run(move || {
            let reading = state.task().read(&route, &headers, &whole.bytes);
            reading.map(|reading| (whole, reading))
        });
        read.await.unwrap_or_else(|| Err(upload::too_many()))
    }

    /// Asks the server, a second time where the first did not reach it.
    async fn ask(&self, mut question: Question<'_>, mut record: Record) -> Response<AnswerBody> {
        if let Some(reservation) = record.reservation() {
            reservation.sent();
        }
        let mut result = self.state.client.call(&mut question).await;
        if let Err(Error::Http(error)) = &result
            && error.is_unsent()
            && question.is_kept()
        {
            result = self.state.client.call(&mut question).await;
        }
        let error = match result {
            Ok(response) if self.lists_models() => return Box::pin(self.models(response, record)).await,
            Ok(response) => return self.pass(response, question.asked_for_count, record),
            Err(error) => error,
        };
        if question.is_broken_off() {
            return own_answer(upload::cut(), record);
        }
        let refused_as_it_came = question.refused.take();
        if let (Error::Refused(refusal), Some(refused)) = (&error, refused_as_it_came)
            && !fault::is_replaced(refusal)
        {
            self.drain(question);
            return self.pass_refusal(refused, record);
        }
        let refusal = Box::pin(fault::refusal_of(self.state, error, &question)).await;
        self.drain(question);
        own_answer(refusal, record)
    }

    /// Reads what is left of a body that the server did not want.
    fn drain(&self, question: Question<'_>) {
        if let Content::Passing(upload) = question.into_content()
            && !self.head.headers().contains_key(EXPECT)
        {
            drain(upload);
        }
    }

    /// Passes a good answer on.
    fn pass(&self, mut response: ServerResponse, cuts: bool, mut record: Record) -> Response<AnswerBody> {
        let state = self.state;
        let mask = state.mask();
        let mut headers = answer_headers(response.header_map(), &mask);
        let counts = state.budget.counts_tokens() && self.route.is_question();
        if needs_decoding(&response, counts) {
            response.decode();
            headers.remove(CONTENT_ENCODING);
            headers.remove(CONTENT_LENGTH);
        }
        let tap = match self.route.is_question() && (counts || state.log.is_some()) {
            true => tap(&headers, cuts),
            false => Tap::Shut,
        };
        if tap.cuts() {
            headers.remove(CONTENT_LENGTH);
        }
        let status = StatusCode::from_u16(response.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        let length = length_of(&response, &mut headers);
        record.answers_with(status);
        let mut passing = Passing::new(
            response,
            self.watch.clone(),
            mask,
            record,
            state.timeouts.progress,
        )
        .with_length(length);
        passing.tap = tap;
        answered(status, headers, AnswerBody::Passing(Box::new(passing)))
    }

    /// Passes a refusal on: as it came, unless it shows the credential.
    fn pass_refusal(&self, refused: Refused, mut record: Record) -> Response<AnswerBody> {
        if refused.response.status() < 200 {
            return own_answer(switches(), record);
        }
        let endpoint = self.state.client.endpoint();
        let mask = self.state.mask();
        let Refused {
            response,
            read,
            is_cut,
        } = refused;
        let mut headers = answer_headers(response.header_map(), &mask);
        let status = StatusCode::from_u16(response.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        if let Some(reservation) = record.reservation() {
            reservation.refused();
        }
        record.answers_with(status);
        let shown = response.decoded(&read, MODELS_LIMIT);
        if let Some(clean) = without_credential(&endpoint, &shown) {
            headers.remove(CONTENT_ENCODING);
            headers.remove(CONTENT_LENGTH);
            return finished(
                answered(status, headers, AnswerBody::whole(clean.into_bytes())),
                record,
            );
        }
        let length = length_of(&response, &mut headers);
        let passing = Passing::new(
            response,
            self.watch.clone(),
            mask,
            record,
            self.state.timeouts.progress,
        )
        .after(read.into(), is_cut)
        .with_length(length);
        answered(status, headers, AnswerBody::Passing(Box::new(passing)))
    }

    /// True where the answer is a list of models, of which some may not be asked.
    fn lists_models(&self) -> bool {
        self.route.service == Service::Models && !self.state.rules.allowed.is_empty()
    }

    /// Lists the models that may be asked.
    async fn models(&self, mut response: ServerResponse, record: Record) -> Response<AnswerBody> {
        let mask = self.state.mask();
        let mut headers = answer_headers(response.header_map(), &mask);
        response.decode();
        let body = match response.body(MODELS_LIMIT).await {
            Ok(body) => body,
            Err(error) => return own_answer(fault::of_http(self.state, error), record),
        };
        let Some(list) = allowed_models(&body, |name| self.state.rules.allows(name)) else {
            let refusal = Refusal::upstream(
                StatusCode::BAD_GATEWAY,
                "upstream_invalid",
                "the server's list of models cannot be read",
            );
            return own_answer(refusal, record);
        };
        for name in [CONTENT_ENCODING, CONTENT_LENGTH] {
            headers.remove(name);
        }
        finished(
            answered(StatusCode::OK, headers, AnswerBody::whole(mask.whole(list))),
            record,
        )
    }
}

/// Returns the text of a refusal that shows the credential without it; `None` where it shows none.
fn without_credential(endpoint: &Endpoint, refusal: &[u8]) -> Option<String> {
    // A word that is sent as a key is no secret, and may stand in any error.
    if endpoint.secret().is_some_and(|secret| secret.expose().len() < 8) {
        return None;
    }
    let text = String::from_utf8_lossy(refusal);
    let clean = endpoint.redacted_json(text.clone().into_owned());
    (clean != text).then_some(clean)
}

/// The refusal of an answer that changes the protocol, which nobody has asked for.
fn switches() -> Refusal {
    Refusal::upstream(
        StatusCode::BAD_GATEWAY,
        "upstream_invalid",
        "the server has changed the protocol",
    )
}

fn answered(status: StatusCode, headers: HeaderMap, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
