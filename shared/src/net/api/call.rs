//! One call of the API.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::sleep;
use url::Url;

use super::endpoint::Endpoint;
use super::error::Error;
use crate::net::chat::{Change, Form, Refusal};
use crate::net::http::{Request, Response, Waiting};
use crate::net::ratelimit::{self, Permit, RateLimit};

/// What a call sends, and what it makes of the response. [`super::Client::call`] does the rest: credential, quota,
/// retries, limits.
pub trait Call: Send {
    /// What comes of it.
    type Output;

    /// Returns the model whose quota it uses; `None` for what no quota counts.
    fn model(&self) -> Option<&str> {
        None
    }

    /// Makes the request of one attempt.
    ///
    /// # Errors
    /// What no further attempt would change.
    fn request(&mut self, endpoint: &Endpoint, form: Form) -> Result<Request, Error>;

    /// Reads a response with a 2xx status.
    fn read(&mut self, response: Response) -> impl Future<Output = Result<Self::Output, Error>> + Send;

    /// True for a response that goes on as it came: a 2xx is not decoded, and what is read of a refusal is given back
    /// ([`Call::keep_refusal`]).
    fn is_passed_on(&self) -> bool {
        false
    }

    /// Takes a refusal that is passed on: the response, what was read of its body, as it came, and whether the connection broke
    /// within it.
    fn keep_refusal(&mut self, _response: Response, _read: Vec<u8>, _is_cut: bool) {}

    /// True as long as the request may be sent once more after this error: nothing of an answer has been shown, and
    /// nothing is done twice.
    fn may_repeat(&self, _error: &Error) -> bool {
        true
    }

    /// Forgets what an attempt brought, before the next one.
    fn restart(&mut self) {}

    /// True for a change of the form that takes back nothing but what the toolkit decided by itself.
    fn allows(&self, _change: Change) -> bool {
        false
    }

    /// Takes note of something that happens before the answer. No event holds the secret.
    fn notify(&mut self, _event: &Event) {}

    /// Takes note that the head of the response is waited for long; once an attempt.
    fn waits(&mut self, _waiting: &Waiting) {}

    /// Takes note of a refusal as it came. Returns whether a pause that it asks for is for all requests to that model, in
    /// this process and in others.
    fn refused(&mut self, _response: &RefusedResponse<'_>) -> bool {
        true
    }

    /// Waits until the quota allows the request; `None` where none is kept.
    fn permit(&mut self, limit: &RateLimit) -> impl Future<Output = Result<Option<Permit>, Error>> + Send {
        async {
            let Some(model) = self.model().map(str::to_owned) else {
                return Ok(None);
            };
            let mut notify = |notice| self.notify(&Event::RateLimit(notice));
            Ok(Some(limit.acquire(&model, &mut notify).await?))
        }
    }

    /// Waits before another attempt; false when there shall be none.
    fn pause(&mut self, pause: Duration) -> impl Future<Output = bool> + Send {
        async move {
            sleep(pause).await;
            true
        }
    }
}

/// A GET of a small document.
#[derive(Debug)]
pub struct Get<F> {
    url: F,
    limit: usize,
    may_repeat: bool,
}

impl<F: Fn(&Endpoint) -> Url + Send> Get<F> {
    /// Gets the URL that the function makes of the endpoint. `limit` is the size of the largest document, in bytes.
    pub const fn new(url: F, limit: usize) -> Self {
        Self {
            url,
            limit,
            may_repeat: true,
        }
    }

    /// As [`Get::new`], without a retry and without a renewal of the credential.
    pub const fn once(url: F, limit: usize) -> Self {
        Self {
            url,
            limit,
            may_repeat: false,
        }
    }
}

impl<F: Fn(&Endpoint) -> Url + Send> Call for Get<F> {
    type Output = Vec<u8>;

    fn request(&mut self, endpoint: &Endpoint, _: Form) -> Result<Request, Error> {
        Ok(endpoint.request("GET", (self.url)(endpoint))?)
    }

    async fn read(&mut self, response: Response) -> Result<Vec<u8>, Error> {
        Ok(response.body(self.limit).await?)
    }

    fn may_repeat(&self, _: &Error) -> bool {
        self.may_repeat
    }
}

/// A response with a status other than 2xx.
#[derive(Debug)]
pub struct RefusedResponse<'a> {
    /// What it means.
    pub refusal: &'a Refusal,
    /// The server's name for the request.
    pub request_id: Option<&'a str>,
    /// The body, or the beginning of it.
    pub body: &'a [u8],
}

/// What happens before an answer begins.
#[derive(Clone, Debug)]
pub enum Event {
    /// Another attempt follows after a pause.
    Retry {
        /// The server's name.
        server: String,
        /// What went wrong.
        reason: String,
        /// How long the pause is.
        pause: Duration,
        /// The number of the attempt that follows.
        attempt: u32,
        /// The most attempts.
        limit: u32,
    },
    /// The rate limit delays the request, or cannot be kept.
    RateLimit(ratelimit::Notice),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry {
                server,
                reason,
                pause,
                attempt,
                limit,
            } => {
                let seconds = pause.as_secs_f64();
                write!(
                    f,
                    "'{server}': {reason}; try {attempt} of {limit} in {seconds:.1} s"
                )
            }
            Self::RateLimit(notice) => notice.fmt(f),
        }
    }
}
