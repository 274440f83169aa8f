//! A client for one endpoint, its requests and responses.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::body::{Progress, Sent, Upload, bytes_noting};
use super::decode::Decoder;
use super::error::{HttpError, Phase};
use super::proxy::Proxy;
use super::tls::tls_settings;
use super::{Timeouts, USER_AGENT};

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

    /// Sets a form with a file as the body.
    pub fn upload(&mut self, upload: Upload) {
        self.upload = Some(upload);
    }
}

/// A client for one endpoint: connections are kept and used again.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    timeouts: Timeouts,
    /// The variable that names the proxy in use.
    proxy: Option<&'static str>,
}

impl Client {
    /// Makes the client for the endpoint that `base` is on. Reads CA certificates only if `base` is `https`, or if a
    /// proxy is in use.
    ///
    /// # Errors
    /// Bad certificates or a bad proxy setting.
    pub fn new(base: &Url, timeouts: Timeouts) -> Result<Self, HttpError> {
        let proxy = Proxy::of(base)?;
        let tls = tls_settings(base.scheme() == "https" || proxy.is_some_and(|proxy| proxy.is_https))?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(timeouts.connect)
            .http1_only()
            .tcp_nodelay(true)
            .user_agent(USER_AGENT);
        if proxy.is_none() {
            builder = builder.no_proxy();
        }
        let proxy = proxy.map(|proxy| proxy.variable);
        let inner = builder
            .build()
            .map_err(|error| HttpError::before_head(&error, timeouts.connect, proxy))?;
        Ok(Self {
            inner,
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
        let before_head = |error| HttpError::before_head(&error, self.timeouts.connect, self.proxy);
        let mut builder = self.inner.request(method, request.url).headers(request.headers);
        let progress = Progress::default();
        let has_body = request.upload.is_some() || !request.body.is_empty();
        if let Some(upload) = request.upload {
            builder = builder.multipart(upload.form_noting(&progress).map_err(before_head)?);
        } else if has_body {
            builder = builder.body(bytes_noting(request.body, &progress));
        }
        let progress = has_body.then_some(&progress);
        let (head, began) = self.head(deadline, builder.send(), progress, on_silence).await?;
        let inner = head.map_err(before_head)?;
        if inner.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(HttpError::ProxyAuth);
        }
        Ok(Response {
            inner,
            decoder: None,
            began,
            last_said: None,
            is_unjudged: false,
            has_begun: false,
            waits_since: None,
            has_idled: false,
            timeouts: self.timeouts,
            deadline,
        })
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

    /// Undoes the body's compression from here on, if there is any.
    ///
    /// # Errors
    /// [`HttpError::Encoded`] for an encoding that is not known.
    pub fn decode(&mut self) -> Result<(), HttpError> {
        self.decoder = match self.header("content-encoding") {
            Some(encoding) => Decoder::new(encoding)?,
            None => None,
        };
        Ok(())
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
            let Some(decoder) = &mut self.decoder else {
                return Ok(chunk);
            };
            match chunk {
                Some(chunk) => decoder.push(&chunk),
                None => return decoder.finish().map(|()| None),
            }
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
    /// As [`Response::chunk`]; [`HttpError::TooLarge`] past `limit` bytes.
    pub async fn body(mut self, limit: usize) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
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
