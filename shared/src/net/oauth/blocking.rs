//! The transport that asks over the network, without a runtime at the caller's.

use std::time::SystemTime;

use url::Url;

use super::{Answer, Transport};
use crate::net::http::retry_after;
use crate::net::http::{Client, HttpError, Request, Timeouts};

/// The largest answer that a token, device, discovery or revocation endpoint may give, in bytes.
const ANSWER_LIMIT: usize = 1 << 20;

/// Sends one request at a time and waits for its whole answer. Must not be used from within a runtime.
#[derive(Clone, Copy, Debug)]
pub struct Blocking {
    timeouts: Timeouts,
}

impl Blocking {
    /// Makes a transport with the given limits.
    #[must_use]
    pub const fn new(timeouts: Timeouts) -> Self {
        Self { timeouts }
    }

    fn exchange(&self, request: Request) -> Result<Answer, HttpError> {
        let client = Client::new(&request.url, self.timeouts)?;
        let runtime = crate::net::http::runtime().map_err(|failure| HttpError::Connect(failure.message))?;
        runtime.block_on(async {
            let response = client.send(request).await?;
            let status = response.status();
            let text = |name: &str| response.header(name).map(str::to_owned);
            let (content_type, date) = (text("content-type"), text("date"));
            let retry_after = retry_after(response.header("retry-after"), None, SystemTime::now());
            let body = response.body(ANSWER_LIMIT).await?;
            Ok(Answer {
                status,
                content_type,
                retry_after,
                date,
                body,
            })
        })
    }
}

impl Transport for Blocking {
    fn post_form(&self, url: &Url, headers: &[(&str, &str)], form: &str) -> Result<Answer, HttpError> {
        let mut request = Request::new("POST", url.clone());
        request.body("application/x-www-form-urlencoded", form.as_bytes().to_vec())?;
        request.header("accept", "application/json")?;
        for (name, value) in headers {
            request.header(name, value)?;
        }
        self.exchange(request)
    }

    fn fetch(&self, url: &Url) -> Result<Answer, HttpError> {
        let mut request = Request::new("GET", url.clone());
        request.header("accept", "application/json")?;
        self.exchange(request)
    }
}
