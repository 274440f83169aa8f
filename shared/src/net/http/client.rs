//! A client for one endpoint, its requests and responses.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use url::Url;

use super::body::{BodyError, Progress, Sent, StreamedBody, Upload, bytes_noting};
use super::decode::Decoder;
use super::error::{HttpError, Phase};
use super::probe::{self, Spoken, spoken};
use super::proxy::Proxy;
use super::tls::tls_settings;
use super::{Timeouts, USER_AGENT};
use crate::net::json::is_whole_object;
use crate::provider::{is_loopback, is_private_network};

/// After so long a silence it is told what is waited for.
pub const SILENCE: Duration = Duration::from_secs(30);

/// A request.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// The URL.
    pub url: Url,
    headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// A form with a file, instead of `body`.
    upload: Option<Upload>,
    /// A body that comes while it is sent, instead of `body`.
    stream: Option<StreamedBody>,
}

impl Request {
    /// Makes a request without a body that asks for an answer without compression.
    #[must_use]
    pub fn new(method: &'static str, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]),
            body: Bytes::new(),
            upload: None,
            stream: None,
        }
    }

    /// Sets a header. It is marked sensitive, so that no Debug print shows it.
    ///
    /// # Errors
    /// [`HttpError::Invalid`] for a name or value that HTTP cannot hold, such as a key with a line end in it. The
    /// value is not repeated in the message.
    pub fn header(&mut self, name: &str, value: &str) -> Result<(), HttpError> {
        let bad = |what: &str| {
            HttpError::Invalid(format!(
                "the {what} of header '{name}' holds a forbidden character"
            ))
        };
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("name"))?;
        let mut text = HeaderValue::from_str(value).map_err(|_| bad("value"))?;
        text.set_sensitive(true);
        self.headers.insert(header, text);
        Ok(())
    }

    /// Sets the body and its content type.
    ///
    /// # Errors
    /// As [`Request::header`].
    pub fn body(&mut self, content_type: &str, body: impl Into<Bytes>) -> Result<(), HttpError> {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Returns the headers, to add some that need no check.
    pub const fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Sets a body that is sent as it comes, no faster than the server takes it: with its exact size where that is known, else
    /// in chunks.
    pub fn stream<B>(&mut self, body: B)
    where
        B: Body<Data = Bytes, Error = BodyError> + Send + Sync + Unpin + 'static,
    {
        self.stream = Some(StreamedBody::new(body));
    }

    /// Sets a form with a file as the body.
    pub fn upload(&mut self, upload: Upload) {
        self.upload = Some(upload);
    }
}

/// A client for one endpoint: connections are kept and used again.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where all requests go: scheme, host and port.
    server: Url,
    /// One, or one for each thread that serves.
    pools: Arc<[reqwest::Client]>,
    timeouts: Timeouts,
    /// The proxy in use.
    proxy: Option<Proxy>,
}

/// How long a connection is kept that nothing uses: many servers close theirs after five seconds (uvicorn, Node), and a
/// request that meets the end of its connection is lost.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// The most headers of a response: more than any server has a reason for.
const MAX_HEADERS: usize = 1024;

/// Returns the number of this thread among those that have asked for it.
fn place_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    PLACE.with(|place| *place)
}

/// Makes a client with connections of its own. `proxy` is the variable that names the proxy in use.
fn pool(
    tls: rustls::ClientConfig,
    connect: Duration,
    proxy: Option<&'static str>,
) -> Result<reqwest::Client, HttpError> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(connect)
        .http1_only()
        .http1_max_headers(MAX_HEADERS)
        .tcp_nodelay(true)
        .pool_idle_timeout(POOL_IDLE)
        .user_agent(USER_AGENT);
    if proxy.is_none() {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| HttpError::before_head(&error, connect, proxy))
}

impl Client {
    /// Makes the client for the endpoint that `base` is on. Reads CA certificates only if `base` is `https`, or if a
    /// proxy is in use.
    ///
    /// # Errors
    /// Bad certificates or a bad proxy setting.
    pub fn new(base: &Url, timeouts: Timeouts) -> Result<Self, HttpError> {
        Self::for_threads(base, timeouts, 1)
    }

    /// As [`Client::new`], for a program with so many runtimes on a thread each. Every thread keeps connections of its own: to
    /// read an answer by another thread's connection would wake both of them for each piece.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn for_threads(base: &Url, timeouts: Timeouts, threads: usize) -> Result<Self, HttpError> {
        let proxy = Proxy::of(base)?;
        let tls =
            tls_settings(base.scheme() == "https" || proxy.as_ref().is_some_and(|proxy| proxy.is_https))?;
        let variable = proxy.as_ref().map(|proxy| proxy.variable);
        let pools = (0..threads.max(1)).map(|_| pool(tls.clone(), timeouts.connect, variable));
        Ok(Self {
            server: base.clone(),
            pools: pools.collect::<Result<_, _>>()?,
            timeouts,
            proxy,
        })
    }

    /// Sends a request and waits for the head of the response, whatever its status. It ends by `deadline`, if that comes
    /// before the client's own; with the limit that it is the end of. `on_silence` is told when a wait has become long.
    ///
    /// # Errors
    /// Everything that is not an HTTP response.
    pub async fn send(
        &self,
        request: Request,
        deadline: Option<(Instant, Duration)>,
        on_silence: &mut (dyn FnMut(&Waiting) + Send),
    ) -> Result<Response, HttpError> {
        let own = self.timeouts.total.map(|total| (Instant::now() + total, total));
        let deadline = own.into_iter().chain(deadline).min_by_key(|(at, _)| *at);
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|error| HttpError::Invalid(error.to_string()))?;
        let variable = self.proxy.as_ref().map(|proxy| proxy.variable);
        let before_head = |error| HttpError::before_head(&error, self.timeouts.connect, variable);
        let progress = Progress::default();
        let has_body = request.upload.is_some() || request.stream.is_some() || !request.body.is_empty();
        let mut built = reqwest::Request::new(method, request.url);
        *built.headers_mut() = request.headers;
        if let Some(stream) = request.stream {
            *built.body_mut() = Some(stream.noting(&progress));
        } else if let Some(upload) = request.upload {
            let form = upload.form_noting(&progress).map_err(before_head)?;
            let builder = reqwest::RequestBuilder::from_parts(self.pool().clone(), built).multipart(form);
            built = builder.build().map_err(before_head)?;
        } else if has_body {
            *built.body_mut() = Some(bytes_noting(request.body, &progress));
        }
        let progress = has_body.then_some(&progress);
        let (head, began) = self
            .head(deadline, self.pool().execute(built), progress, on_silence)
            .await?;
        let inner = match head.map_err(before_head) {
            Ok(inner) => inner,
            // What is rare is boxed: what a request is made of is moved several times, and kept for each connection that is served.
            Err(error) => return Err(Box::pin(self.explained(error)).await),
        };
        let response = Response::new(inner, began, self.timeouts, deadline);
        match variable {
            Some(variable) if response.inner.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(Box::pin(refused_by_proxy(response, variable)).await)
            }
            _ => Ok(response),
        }
    }

    /// Returns the connections of the thread that asks.
    fn pool(&self) -> &reqwest::Client {
        match &*self.pools {
            [only] => only,
            pools => &pools[place_of_thread() % pools.len()],
        }
    }

    /// Finds out more about a fault that says too little: what is spoken on the server's port, what the proxy said.
    async fn explained(&self, error: HttpError) -> HttpError {
        let url = &self.server;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return error;
        };
        match (error, &self.proxy) {
            (HttpError::ProxyRefused { status, variable, .. }, Some(proxy)) => {
                let answer = proxy.refusal(url).await;
                let (status, words) =
                    answer.map_or((status, String::new()), |answer| (answer.status, answer.words));
                HttpError::ProxyRefused {
                    status,
                    words,
                    variable,
                }
            }
            (HttpError::Malformed(_), None)
                if url.scheme() == "http" && spoken(host, port).await == Spoken::Tls =>
            {
                HttpError::WrongScheme {
                    speaks: "https",
                    is_allowed: true,
                }
            }
            (HttpError::Tls { is_garbled: true, .. }, None) if spoken(host, port).await == Spoken::Http => {
                HttpError::WrongScheme {
                    speaks: "http",
                    is_allowed: is_loopback(url) || is_private_network(url),
                }
            }
            (error, _) => error,
        }
    }

    /// Returns what is waited for before the head, and its limit.
    const fn stage(&self, sent: Option<Sent>) -> (Phase, Duration) {
        match sent {
            None => (Phase::Connect, self.timeouts.connect),
            Some(Sent { is_all: true, .. }) => (Phase::FirstByte, self.timeouts.first_byte),
            Some(_) => (Phase::Upload, self.timeouts.idle),
        }
    }

    /// Returns when the wait for the head ends if nothing changes, and by which fault. Before the connection it is looked
    /// at again then.
    fn end_of_head(&self, sent: Option<Sent>) -> (Instant, HttpError) {
        let Timeouts { first_byte, idle, .. } = self.timeouts;
        match sent {
            Some(Sent { at, is_all: true }) => {
                (at + first_byte, HttpError::Timeout(Phase::FirstByte, first_byte))
            }
            // Not connected yet, or on its way: what counts may have changed by the end of the shorter limit.
            _ => (
                sent.map_or_else(Instant::now, |sent| sent.at) + idle,
                HttpError::Timeout(Phase::Upload, idle),
            ),
        }
    }

    /// Waits for the head of an answer. Returns with it from when the limit for the first byte runs, since a head says
    /// nothing yet.
    ///
    /// It runs from the end of the request's body; until then the limit is that for a pause, from the last piece that was
    /// taken. Making the connection has a limit of its own. A request without a body says nothing on its way, so that
    /// the limit for the first byte then includes the connection.
    async fn head<F: Future>(
        &self,
        deadline: Option<(Instant, Duration)>,
        sending: F,
        progress: Option<&Progress>,
        on_silence: &mut (dyn FnMut(&Waiting) + Send),
    ) -> Result<(F::Output, Instant), HttpError> {
        let first_byte = self.timeouts.first_byte;
        let started = Instant::now();
        let all_at = |at| Some(Sent { at, is_all: true });
        let sent = || progress.map_or(all_at(started), Progress::sent);
        let mut sending = pin!(sending);
        let mut is_silence_told = false;
        loop {
            let before = sent();
            let silent_at = before.map_or(started, |sent| sent.at) + SILENCE;
            let (end, error) = self.end_of_head(before);
            let is_all = before.is_some_and(|sent| sent.is_all);
            let wake = if is_all {
                end
            } else {
                end.min(Instant::now() + first_byte)
            };
            let (wake, at_wake) = nearer(deadline, wake, error);
            if !is_silence_told && silent_at < wake {
                match timeout_at(silent_at, &mut sending).await {
                    Ok(head) => return Ok((head, sent().map_or(started, |sent| sent.at))),
                    Err(_) if sent() == before => {
                        is_silence_told = true;
                        let (stage, limit) = self.stage(before);
                        on_silence(&Waiting::new(stage, silent_at - SILENCE, limit, deadline));
                    }
                    Err(_) => {}
                }
                continue;
            }
            match timeout_at(wake, &mut sending).await {
                Ok(head) => return Ok((head, sent().map_or(started, |sent| sent.at))),
                Err(_) if matches!(at_wake, HttpError::Timeout(Phase::Total, _)) => return Err(at_wake),
                Err(_) if wake == end && before.is_some() && sent() == before => return Err(at_wake),
                Err(_) => {}
            }
        }
    }
}

/// Reads what a proxy says that wants to know who asks.
async fn refused_by_proxy(response: Response, variable: &'static str) -> HttpError {
    const LIMIT: usize = 64 << 10;
    let status = response.status();
    // Without its words it is what it is.
    let body = response.body(LIMIT).await.unwrap_or_default();
    let words = match body.trim_ascii().is_empty() {
        true => String::new(),
        false => probe::words(&body),
    };
    HttpError::ProxyRefused {
        status,
        words,
        variable,
    }
}

/// A wait that has become long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What is waited for.
    stage: Phase,
    /// For how long.
    silence: Duration,
    /// The limit that ends it, if nothing comes.
    pub limit: (Phase, Duration),
}

impl Waiting {
    /// Makes it of what is waited for, since when and until when, and the end of the request as a whole.
    fn new(stage: Phase, since: Instant, limit: Duration, deadline: Option<(Instant, Duration)>) -> Self {
        Self {
            stage,
            silence: since.elapsed(),
            limit: match deadline {
                Some((at, total)) if at < since + limit => (Phase::Total, total),
                _ => (stage, limit),
            },
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.silence.as_secs();
        match self.stage {
            Phase::Connect => write!(f, "no connection for {seconds} s"),
            Phase::Upload => write!(f, "nothing of the request was taken for {seconds} s"),
            Phase::FirstByte | Phase::Total => write!(f, "waiting for the first word for {seconds} s"),
            Phase::Idle => write!(f, "nothing of the answer for {seconds} s"),
            Phase::Progress => write!(f, "nothing new of the answer for {seconds} s"),
        }?;
        write!(f, "; giving up after {} s", self.limit.1.as_secs_f64())
    }
}

/// What the reader of an answer made of the bytes that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Comments, blank lines, white space: nothing of an answer yet.
    Nothing,
    /// An event that says nothing new, such as one with an empty text.
    Event,
    /// Text, reasoning, a part of a tool call, a finish reason, usage, an error.
    Something,
}

/// A response whose head has arrived.
#[derive(Debug)]
pub struct Response {
    inner: reqwest::Response,
    decoder: Option<Decoder>,
    /// True where the body's first byte may still tell that it is compressed.
    may_be_packed: bool,
    /// From when the limit for the first byte runs.
    began: Instant,
    /// When the answer last said something, or began to.
    last_said: Option<Instant>,
    /// True once a piece has come whose reader does not tell what came: then only pauses are limited.
    is_unjudged: bool,
    /// True once a piece of the body has come.
    has_begun: bool,
    /// Since when more of the body is waited for.
    waits_since: Option<Instant>,
    /// True when pieces have come since the answer last said something: the pause between them is not what will end it.
    has_idled: bool,
    timeouts: Timeouts,
    deadline: Option<(Instant, Duration)>,
}

impl Response {
    fn new(
        inner: reqwest::Response,
        began: Instant,
        timeouts: Timeouts,
        deadline: Option<(Instant, Duration)>,
    ) -> Self {
        Self {
            inner,
            decoder: None,
            may_be_packed: false,
            began,
            last_said: None,
            is_unjudged: false,
            has_begun: false,
            waits_since: None,
            has_idled: false,
            timeouts,
            deadline,
        }
    }

    /// Returns the status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.inner.status().as_u16()
    }

    /// Returns a header's value; `None` when it is absent or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// Returns the headers whose values are text.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.inner.headers().iter();
        headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    }

    /// Undoes the body's compression from here on, if there is any: as an encoding of the content, as one of the transfer
    /// (RFC 9112, section 6.1), or gzip of which the head says nothing.
    ///
    /// # Errors
    /// [`HttpError::Encoded`] for an encoding that is not known.
    pub fn decode(&mut self) -> Result<(), HttpError> {
        let values = |name: &str| {
            let values = self.inner.headers().get_all(name).iter();
            values.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>()
        };
        // hyper has undone the chunks.
        let transfer = values("transfer-encoding");
        let transfer = transfer.iter().flat_map(|value| value.split(','));
        let transfer = transfer.filter(|coding| !coding.trim().eq_ignore_ascii_case("chunked"));
        let codings: Vec<&str> = values("content-encoding").into_iter().chain(transfer).collect();
        self.decoder = Decoder::new(&codings.join(","))?;
        self.may_be_packed = self.decoder.is_none();
        Ok(())
    }

    /// Undoes the compression of the beginning of the body, as far as `limit` bytes; nothing where that cannot be.
    #[must_use]
    pub fn decoded(&self, beginning: &[u8], limit: usize) -> Vec<u8> {
        let encoding = self.header("content-encoding").unwrap_or_default();
        let decoder =
            Decoder::new(encoding).map(|decoder| decoder.or_else(|| Decoder::by_first_byte(beginning)));
        let mut decoded = match decoder {
            Err(_) => Vec::new(),
            Ok(None) => beginning.to_vec(),
            Ok(Some(mut decoder)) => {
                let mut decoded = Vec::new();
                decoder.push(beginning);
                while let Ok(Some(piece)) = decoder.pull()
                    && decoded.len() < limit
                {
                    decoded.extend_from_slice(&piece);
                }
                decoded
            }
        };
        decoded.truncate(limit);
        decoded
    }

    /// Tells, after each piece, what the reader made of it: the limits for the first byte and for progress go by that. A reader
    /// that never does so is under the limit for the first byte until a piece has come, and after that under the one for a
    /// pause alone.
    pub fn received(&mut self, what: Received) {
        self.is_unjudged = false;
        self.has_idled = what != Received::Something;
        match what {
            Received::Nothing => {}
            Received::Event => drop(self.last_said.get_or_insert_with(Instant::now)),
            Received::Something => self.last_said = Some(Instant::now()),
        }
    }

    /// Returns all headers.
    #[must_use]
    pub fn header_map(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// Polls for more of the body; `None` at its end. Only pauses are limited, by the client's limit for them, and by that for
    /// the first byte until one has come. `timer` belongs to this response.
    ///
    /// # Errors
    /// As [`Response::chunk`].
    pub fn poll_chunk(
        &mut self,
        timer: &mut Option<Pin<Box<Sleep>>>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, HttpError>> {
        loop {
            if let Some(decoder) = &mut self.decoder
                && let Some(piece) = decoder.pull()?
            {
                return Poll::Ready(Ok(Some(piece.into())));
            }
            let chunk = ready!(self.poll_raw(timer, context))?;
            self.unpack(chunk.as_deref());
            let Some(decoder) = &mut self.decoder else {
                return Poll::Ready(Ok(chunk));
            };
            match chunk {
                Some(chunk) => decoder.push(&chunk),
                None => return Poll::Ready(decoder.finish().map(|()| None)),
            }
        }
    }

    /// As [`Response::poll_chunk`], as it came.
    fn poll_raw(
        &mut self,
        timer: &mut Option<Pin<Box<Sleep>>>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, HttpError>> {
        let polled = pin!(self.inner.chunk()).poll(context);
        if let Poll::Ready(chunk) = polled {
            self.waits_since = None;
            let is_first = !std::mem::replace(&mut self.has_begun, true);
            return Poll::Ready(chunk.map_err(|error| match HttpError::within_body(&error) {
                HttpError::Cut(reason) if is_first => HttpError::Reset(reason),
                error => error,
            }));
        }
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        let (end, phase, limit) = match self.has_begun {
            true => (since + self.timeouts.idle, Phase::Idle, self.timeouts.idle),
            false => (
                self.began + self.timeouts.first_byte,
                Phase::FirstByte,
                self.timeouts.first_byte,
            ),
        };
        let (end, error) = nearer(self.deadline, end, HttpError::Timeout(phase, limit));
        // Put off when it fires: a stream of many pieces would reset it for each. Brought forward at once, as when the answer
        // begins, whose pauses may be shorter than the wait for it.
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if timer.deadline() > end {
            timer.as_mut().reset(end);
        }
        loop {
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= end {
                return Poll::Ready(Err(error));
            }
            timer.as_mut().reset(end);
        }
    }

    /// Returns what is waited for once the answer has said nothing for [`SILENCE`].
    #[must_use]
    pub fn waiting(&self) -> Option<Waiting> {
        let (stage, limit) = match self.last_said {
            None => (Phase::FirstByte, self.timeouts.first_byte),
            Some(_) => (Phase::Progress, self.timeouts.progress),
        };
        let since = self.last_said.unwrap_or(self.began);
        if since.elapsed() < SILENCE {
            return None;
        }
        let idle = self.timeouts.idle;
        match self.waits_since.filter(|_| !self.has_idled) {
            Some(pause) if pause + idle < since + limit => {
                let idle = Waiting::new(Phase::Idle, pause, idle, self.deadline);
                Some(Waiting {
                    stage,
                    silence: since.elapsed(),
                    ..idle
                })
            }
            _ => Some(Waiting::new(stage, since, limit, self.deadline)),
        }
    }

    /// Waits for more of the body; `None` at its end. Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// A connection that breaks, stalls, or takes longer than allowed, whichever limit ends first.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            if let Some(decoder) = &mut self.decoder
                && let Some(piece) = decoder.pull()?
            {
                return Ok(Some(piece.into()));
            }
            let chunk = self.raw_chunk().await?;
            self.unpack(chunk.as_deref());
            let Some(decoder) = &mut self.decoder else {
                return Ok(chunk);
            };
            match chunk {
                Some(chunk) => decoder.push(&chunk),
                None => return decoder.finish().map(|()| None),
            }
        }
    }

    /// Looks at the first piece of a body that the head says nothing about.
    fn unpack(&mut self, piece: Option<&[u8]>) {
        if self.may_be_packed
            && let Some(piece) = piece.filter(|piece| !piece.is_empty())
        {
            self.may_be_packed = false;
            self.decoder = Decoder::by_first_byte(piece);
        }
    }

    /// As [`Response::chunk`], as it came.
    async fn raw_chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let Timeouts {
            first_byte,
            idle,
            progress,
            ..
        } = self.timeouts;
        let pause = *self.waits_since.get_or_insert_with(Instant::now) + idle;
        let (end, error) = match self.last_said {
            None => (
                self.began + first_byte,
                HttpError::Timeout(Phase::FirstByte, first_byte),
            ),
            Some(since) => (since + progress, HttpError::Timeout(Phase::Progress, progress)),
        };
        let (end, error) = match self.is_unjudged || pause < end {
            true => (pause, HttpError::Timeout(Phase::Idle, idle)),
            false => (end, error),
        };
        let (end, error) = nearer(self.deadline, end, error);
        let chunk = timeout_at(end, self.inner.chunk()).await.map_err(|_| error)?;
        self.waits_since = None;
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        self.is_unjudged = true;
        chunk.map_err(|error| match HttpError::within_body(&error) {
            // Nothing of the answer has come yet: the head is not part of it.
            HttpError::Cut(reason) if is_first => HttpError::Reset(reason),
            error => error,
        })
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// As [`Response::chunk`]; [`HttpError::TooLarge`] past `limit` bytes. A JSON object that is there to its last brace is
    /// whole, whatever becomes of the connection behind it.
    pub async fn body(mut self, limit: usize) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        loop {
            let chunk = match self.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) if error.is_of_connection() && is_whole_object(&body) => break,
                Err(error) => return Err(error),
            };
            let is_blank = chunk.iter().all(u8::is_ascii_whitespace);
            self.received(if is_blank {
                Received::Nothing
            } else {
                Received::Something
            });
            if body.len() + chunk.len() > limit {
                return Err(HttpError::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Returns the earlier of a phase's end and the deadline of the whole request, and the error for it.
fn nearer(deadline: Option<(Instant, Duration)>, end: Instant, error: HttpError) -> (Instant, HttpError) {
    match deadline {
        Some((at, total)) if at < end => (at, HttpError::Timeout(Phase::Total, total)),
        _ => (end, error),
    }
}
