//! A client for one endpoint, its requests and its answers.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use url::Url;

use super::error::{before_head, within_body};
use super::roots::tls_settings;
use super::upload::{Progress, Upload};
use super::{HttpError, Phase, Timeouts, is_loopback};

/// A request that is ready to go.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// Where to.
    pub url: Url,
    headers: HeaderMap,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// A form with a file, in the place of a body.
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

    /// Sends a form with a file in the place of a body. The limit for the answer's head runs from the form's end, and
    /// for each piece of it anew.
    ///
    /// # Errors
    /// As [`Request::header`].
    pub fn upload(&mut self, upload: Upload) -> Result<(), HttpError> {
        self.header("content-type", &upload.content_type())?;
        self.upload = Some(upload);
        Ok(())
    }
}

/// A client for one endpoint: connections are kept and used again.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    timeouts: Timeouts,
}

impl Client {
    /// Makes the client for the endpoint that `base` is on. Reads CA certificates only if `base` is `https`, or if a
    /// proxy is in use.
    ///
    /// # Errors
    /// Bad certificates or a bad proxy setting.
    pub fn new(base: &Url, timeouts: Timeouts) -> Result<Self, HttpError> {
        let tls = tls_settings(base.scheme() == "https" || (!is_loopback(base) && proxy_is_https()))?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(timeouts.connect)
            .http1_only()
            .tcp_nodelay(true)
            .user_agent(concat!("qwen-toolkit/", env!("CARGO_PKG_VERSION")));
        if is_loopback(base) {
            builder = builder.no_proxy();
        }
        let inner = builder
            .build()
            .map_err(|error| before_head(&error, timeouts.connect))?;
        Ok(Self { inner, timeouts })
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    ///
    /// # Errors
    /// Everything that is not an HTTP answer.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let deadline = self.timeouts.total.map(|total| (Instant::now() + total, total));
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|error| HttpError::Invalid(error.to_string()))?;
        let mut building = self.inner.request(method, request.url).headers(request.headers);
        let mut progress = Progress::default();
        if let Some(upload) = request.upload {
            let (sending, noted) = upload.sending();
            progress = noted;
            building = building.body(reqwest::Body::wrap(sending));
        } else if !request.body.is_empty() {
            building = building.body(request.body);
        }
        let inner = self.head(deadline, building.send(), &progress).await?;
        Ok(Response {
            inner,
            idle: self.timeouts.idle,
            deadline,
        })
    }

    /// Waits for the head of an answer, as long as that takes while a body is still on its way.
    async fn head(
        &self,
        deadline: Option<(Instant, Duration)>,
        sending: impl Future<Output = Result<reqwest::Response, reqwest::Error>>,
        progress: &Progress,
    ) -> Result<reqwest::Response, HttpError> {
        let limit = self.timeouts.connect + self.timeouts.first_byte;
        let total = async {
            match deadline {
                Some((at, total)) => {
                    sleep_until(at).await;
                    total
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            head = sending => head.map_err(|error| before_head(&error, self.timeouts.connect)),
            total = total => Err(HttpError::Timeout(Phase::Total, total)),
            () = progress.stalled(limit) => Err(HttpError::Timeout(Phase::FirstByte, self.timeouts.first_byte)),
        }
    }
}

/// An answer whose head has come.
#[derive(Debug)]
pub struct Response {
    inner: reqwest::Response,
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

    /// Waits for more of the body; `None` at its end. Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// A connection that breaks, stalls, or takes longer than allowed.
    pub async fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, HttpError> {
        within(self.deadline, self.idle, Phase::Idle, self.inner.chunk())
            .await?
            .map_err(|error| within_body(&error))
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

/// Waits under the nearer of the phase's own limit and the deadline of the whole request.
async fn within<F: Future>(
    deadline: Option<(Instant, Duration)>,
    limit: Duration,
    phase: Phase,
    future: F,
) -> Result<F::Output, HttpError> {
    match deadline {
        Some((at, total)) if at < Instant::now() + limit => timeout_at(at, future)
            .await
            .map_err(|_| HttpError::Timeout(Phase::Total, total)),
        _ => timeout(limit, future)
            .await
            .map_err(|_| HttpError::Timeout(phase, limit)),
    }
}

/// True when a proxy that is itself reached by TLS is configured: then certificates are needed for plain http too.
fn proxy_is_https() -> bool {
    ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| std::env::var(name).is_ok_and(|value| value.trim_start().starts_with("https:")))
}
