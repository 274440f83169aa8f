//! One request: judged, passed on, answered.

use std::sync::Arc;

use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{
    ALT_SVC, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap, HeaderName,
    LOCATION, ORIGIN, SET_COOKIE, STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};
use qwen_shared::net::api::{Endpoint, Error};
use qwen_shared::net::http::Response as ServerResponse;
use serde_json::Value;
use tokio::time::sleep;

use super::State;
use super::answer::{AnswerBody, LOOK, Mask, Passing};
use super::connections::Connection;
use super::fault;
use super::gate::{Pass, Transport};
use super::question::{Content, Question, Refused, passed_headers};
use super::record::Record;
use super::refusal::{MARK, Refusal};
use super::route::{Route, Service};
use super::rules::{Reading, Task};
use super::stream::Watch;
use super::upload::{self, Upload, drain, take_whole};
use super::usage::Tap;

/// The largest body that is taken whole though nothing has to be read of it: it can be sent again, and its model is known.
const SMALL: u64 = 64 << 10;

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
        let (content, reading, size) = match self.take(&mut body, &mut record).await {
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
        if self.route.is_question() {
            match self.state.budget.reserve(size, reading.max_output, reading.texts) {
                Ok(reservation) => record.reserved(reservation),
                Err(refusal) => return own_answer(refusal, record),
            }
        }
        let mut headers = passed_headers(self.head.headers());
        if self.state.budget.counts_tokens() {
            headers.remove(hyper::header::ACCEPT_ENCODING);
        }
        let question = Question::new(self.route, self.head.uri().query(), headers, content, reading);
        self.ask(question, record).await
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
        let task = Task {
            rules: &state.rules,
            counts: state.budget.counts_tokens(),
            added: &state.added,
        };
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
        let reading = match self.route.is_question() {
            true => task.read(self.route, self.head.headers(), &whole.bytes)?,
            false => Reading::default(),
        };
        let size = whole.bytes.len();
        Ok(Some((Content::Whole(whole), reading, size)))
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
            if let Err(error) = response.decode() {
                return own_answer(fault::of_http(state, error), record);
            }
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
        let body = match response.decode() {
            Ok(()) => response.body(MODELS_LIMIT).await,
            Err(error) => Err(error),
        };
        let body = match body {
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

/// Returns the headers of a server's answer that are passed on: without those of the connection, and without what is between
/// the account and the server.
fn answer_headers(headers: &HeaderMap, mask: &Mask) -> HeaderMap {
    const DROPPED: [HeaderName; 11] = [
        ALT_SVC,
        CONNECTION,
        LOCATION,
        MARK,
        SET_COOKIE,
        STRICT_TRANSPORT_SECURITY,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        WWW_AUTHENTICATE,
    ];
    let hop = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let hop: Vec<String> = hop
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let is_dropped = |name: &HeaderName| {
        let text = name.as_str();
        DROPPED.contains(name)
            || matches!(
                text,
                "keep-alive" | "proxy-connection" | "clear-site-data" | "content-location"
            )
            || text.starts_with("proxy-")
            || text.starts_with("access-control-")
            || hop.iter().any(|hop| hop == text)
    };
    let mut passed = HeaderMap::with_capacity(headers.len() + 1);
    for (name, value) in headers {
        if !is_dropped(name) && !mask.is_in(value.as_bytes()) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

/// Returns the length of a body, which the header tells; one that cannot be read is removed.
fn length_of(response: &ServerResponse, headers: &mut HeaderMap) -> Option<u64> {
    // Chunks tell the end, whatever is said besides (RFC 9112, section 6.3).
    if response.header_map().contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let value = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = value.and_then(|value| value.trim().parse().ok());
    if length.is_none() {
        headers.remove(CONTENT_LENGTH);
    }
    length
}

/// True where the compression has to be undone: to count, and where it is one of the connection (RFC 9112, section 7).
fn needs_decoding(response: &ServerResponse, counts: bool) -> bool {
    let is_chunked = |coding: &str| coding.trim().eq_ignore_ascii_case("chunked");
    let is_coded = response
        .header("transfer-encoding")
        .is_some_and(|coding| !is_chunked(coding));
    is_coded || counts && response.header("content-encoding").is_some()
}

/// Chooses how tokens are counted.
fn tap(headers: &HeaderMap, cuts: bool) -> Tap {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    if headers.contains_key(CONTENT_ENCODING) {
        Tap::Shut
    } else if content_type.starts_with("text/event-stream") {
        Tap::events(cuts)
    } else if content_type.contains("json") {
        Tap::document()
    } else {
        Tap::Shut
    }
}

/// Removes from a list of models those that may not be asked; `None` for what is no list.
fn allowed_models(body: &[u8], allows: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    let list = match &mut value {
        Value::Array(list) => list,
        Value::Object(members) => ["data", "models"]
            .iter()
            .find(|name| members.get(**name).is_some_and(Value::is_array))
            .and_then(|name| members.get_mut(*name))?
            .as_array_mut()?,
        _ => return None,
    };
    list.retain(|model| {
        let name = ["id", "name", "model"]
            .iter()
            .find_map(|name| model.get(name)?.as_str());
        name.or_else(|| model.as_str()).is_some_and(&allows)
    });
    // Another list beside it would name the same models.
    if let Value::Object(members) = &mut value
        && members.contains_key("data")
    {
        members.shift_remove("models");
    }
    Some(value.to_string().into_bytes())
}

fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digit = |digit: Option<u8>| char::from(digit?).to_digit(16);
        decoded.push(match byte {
            b'%' => {
                let code = digit(bytes.next()).zip(digit(bytes.next()));
                code.and_then(|(high, low)| u8::try_from(high << 4 | low).ok())
                    .unwrap_or(b'%')
            }
            plain => plain,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{allowed_models, percent_decoded};

    #[test]
    fn a_list_of_models_shows_what_may_be_asked() {
        let only = |body: &str| {
            let list = allowed_models(body.as_bytes(), |name| name == "a/b");
            list.map(|list| String::from_utf8(list).unwrap())
        };
        for (body, list) in [
            (
                r#"{"object":"list","data":[{"id":"x"},{"id":"a/b","n":1.5},{"no":"id"}],"models":[{"name":"x"}]}"#,
                Some(r#"{"object":"list","data":[{"id":"a/b","n":1.5}]}"#),
            ),
            (
                r#"{"models":[{"name":"a/b"},{"name":"y"}]}"#,
                Some(r#"{"models":[{"name":"a/b"}]}"#),
            ),
            (r#"["a/b","y"]"#, Some(r#"["a/b"]"#)),
            (r#"{"data":{}}"#, None),
            ("<html>", None),
        ] {
            assert_eq!(only(body).as_deref(), list, "{body}");
        }
        assert_eq!(percent_decoded("a%2Fb%c3%a4"), "a/bä");
    }
}
