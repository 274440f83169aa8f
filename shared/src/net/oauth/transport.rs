//! How requests reach an authorization server.

use std::fmt;
use std::time::{Duration, SystemTime};

use url::Url;

use crate::net::http::{Client, HttpError, Request, Timeouts};
use crate::net::wait::HeaderWaits;

/// The largest body of a response, in bytes.
const BODY_LIMIT: usize = 1 << 20;

/// A response of an authorization server.
#[derive(Clone)]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, where it gives seconds.
    pub retry_after: Option<Duration>,
    /// The `Date` header: the server's clock.
    pub date: Option<SystemTime>,
    /// The body. It may hold tokens: never show it.
    pub body: Vec<u8>,
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

/// Sends requests to an authorization server. Redirects are not followed (RFC 9700, section 4.12).
pub trait Transport {
    /// Posts an encoded form. Any status is a response, not an error.
    ///
    /// # Errors
    /// There was no complete response.
    fn post_form(&self, url: &Url, headers: &[(&str, &str)], form: &str) -> Result<HttpResponse, HttpError>;

    /// Gets a document. Any status is a response, not an error.
    ///
    /// # Errors
    /// There was no complete response.
    fn get(&self, url: &Url) -> Result<HttpResponse, HttpError>;
}

/// Sends each request on a runtime of its own and waits for the response. Not for use within a runtime.
#[derive(Clone, Copy, Debug)]
pub struct BlockingTransport {
    timeouts: Timeouts,
}

impl BlockingTransport {
    /// Makes a transport with the given timeouts.
    #[must_use]
    pub const fn new(timeouts: Timeouts) -> Self {
        Self { timeouts }
    }
}

/// As [`BlockingTransport`], for a request whose answer comes once (a refresh at a server that rotates refresh tokens, RFC
/// 9700, section 2.2.2): the body of a success is handed to `keep` before anything is made of it or closed.
pub struct KeepingTransport<'a> {
    timeouts: Timeouts,
    keep: &'a dyn Fn(&[u8]),
}

impl<'a> KeepingTransport<'a> {
    /// Makes a transport with the given timeouts.
    #[must_use]
    pub const fn new(timeouts: Timeouts, keep: &'a dyn Fn(&[u8])) -> Self {
        Self { timeouts, keep }
    }
}

fn send(timeouts: Timeouts, mut request: Request, keep: &dyn Fn(&[u8])) -> Result<HttpResponse, HttpError> {
    request.header("accept", "application/json")?;
    let client = Client::new(&request.url, timeouts)?;
    let runtime = crate::net::http::runtime().map_err(|failure| HttpError::Connect(failure.message))?;
    runtime.block_on(async {
        let response = client.send(request, None, &mut |_| {}).await?;
        let response = HttpResponse {
            status: response.status(),
            retry_after: HeaderWaits::read(response.headers(), SystemTime::now()).retry_after,
            date: response
                .header("date")
                .and_then(|date| httpdate::parse_http_date(date.trim()).ok()),
            body: response.body(BODY_LIMIT).await?,
        };
        if (200..300).contains(&response.status) {
            keep(&response.body);
        }
        Ok(response)
    })
}

fn post_form(url: &Url, headers: &[(&str, &str)], form: &str) -> Result<Request, HttpError> {
    let mut request = Request::new("POST", url.clone());
    request.body("application/x-www-form-urlencoded", form.as_bytes().to_vec())?;
    for (name, value) in headers {
        request.header(name, value)?;
    }
    Ok(request)
}

impl Transport for BlockingTransport {
    fn post_form(&self, url: &Url, headers: &[(&str, &str)], form: &str) -> Result<HttpResponse, HttpError> {
        send(self.timeouts, post_form(url, headers, form)?, &|_| {})
    }

    fn get(&self, url: &Url) -> Result<HttpResponse, HttpError> {
        send(self.timeouts, Request::new("GET", url.clone()), &|_| {})
    }
}

impl Transport for KeepingTransport<'_> {
    fn post_form(&self, url: &Url, headers: &[(&str, &str)], form: &str) -> Result<HttpResponse, HttpError> {
        send(self.timeouts, post_form(url, headers, form)?, self.keep)
    }

    fn get(&self, url: &Url) -> Result<HttpResponse, HttpError> {
        send(self.timeouts, Request::new("GET", url.clone()), self.keep)
    }
}
