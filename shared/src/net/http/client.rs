//! A client for one endpoint, its requests and responses.

use std::pin::pin;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::body::{Progress, Upload, bytes_noting};
use super::error::{HttpError, Phase};
use super::proxy::Proxy;
use super::tls::tls_settings;
use super::{Timeouts, USER_AGENT};

/// A request.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// The URL.
    pub url: Url,
    headers: HeaderMap,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// A form with a file, instead of `body`.
    upload: Option<Upload>,
}

impl Request {
    /// Makes a request without headers and body.
    #[must_use]
    pub fn new(method: &'static str, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Vec::new(),
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
    pub fn body(&mut self, content_type: &str, body: Vec<u8>) -> Result<(), HttpError> {
        self.body = body;
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

    /// Sends a request and waits for the head of the response, whatever its status.
    ///
    /// # Errors
    /// Everything that is not an HTTP response.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let deadline = self.timeouts.total.map(|total| (Instant::now() + total, total));
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
        let (head, began) = self.head(deadline, builder.send(), progress).await?;
        let inner = head.map_err(before_head)?;
        if inner.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(HttpError::ProxyAuth);
        }
        Ok(Response {
            inner,
            first_byte: Some((began + self.timeouts.first_byte, self.timeouts.first_byte)),
            idle: self.timeouts.idle,
            deadline,
        })
    }

    /// Waits for the head of an answer. Returns with it from when the limit for the first byte runs, since a head is not
    /// yet a byte of the answer.
    ///
    /// It runs from the last piece of the body that the connection took: making the connection has a limit of its own.
    /// A request without a body says nothing on its way, so that the limit then includes the connection.
    async fn head<F: Future>(
        &self,
        deadline: Option<(Instant, Duration)>,
        sending: F,
        progress: Option<&Progress>,
    ) -> Result<(F::Output, Instant), HttpError> {
        let limit = self.timeouts.first_byte;
        let started = Instant::now();
        let last = || progress.map_or(Some(started), Progress::last);
        let mut sending = pin!(sending);
        loop {
            let before = last();
            let end = before.unwrap_or_else(Instant::now) + limit;
            let (end, error) = nearer(deadline, end, HttpError::Timeout(Phase::FirstByte, limit));
            match timeout_at(end, &mut sending).await {
                Ok(head) => return Ok((head, last().unwrap_or(started))),
                Err(_) if matches!(error, HttpError::Timeout(Phase::Total, _)) => return Err(error),
                Err(_) if before.is_some() && last() == before => return Err(error),
                Err(_) => {}
            }
        }
    }
}

/// A response whose head has arrived.
#[derive(Debug)]
pub struct Response {
    inner: reqwest::Response,
    /// Until when the first piece of the body has to come, and the limit that says so; `None` once it has.
    first_byte: Option<(Instant, Duration)>,
    idle: Duration,
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

    /// Waits for more of the body; `None` at its end. Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// A connection that breaks, stalls, or takes longer than allowed. The first piece is due within the limit for the
    /// first byte and within the one for a pause, whichever ends first.
    pub async fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, HttpError> {
        let end = Instant::now() + self.idle;
        let (end, error) = match self.first_byte {
            Some((by, limit)) if by < end => (by, HttpError::Timeout(Phase::FirstByte, limit)),
            _ => (end, HttpError::Timeout(Phase::Idle, self.idle)),
        };
        let (end, error) = nearer(self.deadline, end, error);
        let chunk = timeout_at(end, self.inner.chunk()).await.map_err(|_| error)?;
        self.first_byte = None;
        chunk.map_err(|error| HttpError::within_body(&error))
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// As [`Response::chunk`]; [`HttpError::TooLarge`] past `limit` bytes.
    pub async fn body(mut self, limit: usize) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            let chunk = chunk.as_ref();
            if body.len() + chunk.len() > limit {
                return Err(HttpError::TooLarge(limit));
            }
            body.extend_from_slice(chunk);
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
