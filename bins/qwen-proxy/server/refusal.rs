//! The proxy's own errors, in the form of OpenAI's API.

use std::time::Duration;

use hyper::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::answer::AnswerBody;

/// The header that marks an answer of the proxy itself.
pub(super) const MARK: HeaderName = HeaderName::from_static("x-qwen-proxy");

/// An answer that the proxy gives by itself. The codes are listed in qwen-proxy(1).
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    kind: &'static str,
    pub(super) message: String,
    retry_after: Option<Duration>,
    should_retry: bool,
    /// Whether the connection ends with it: what follows on it cannot be told from the request.
    pub(super) closes: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            kind,
            message: message.into(),
            retry_after: None,
            should_retry: false,
            closes: false,
            headers: Vec::new(),
        }
    }

    /// The request is at fault.
    pub(super) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "invalid_request_error", message)
    }

    /// The request is at fault, with another status than 400.
    pub(super) fn request(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, code, "invalid_request_error", message)
    }

    /// The client may not do this.
    pub(super) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, "permission_error", message)
    }

    /// The path has other methods: these.
    pub(super) fn method_not_allowed(allowed: &'static str, message: &str) -> Self {
        Self::request(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
            .with_header(ALLOW, HeaderValue::from_static(allowed))
    }

    /// No token, another one, or a login that is dead. Which token is wanted is told (RFC 6750, section 3).
    pub(super) fn unauthorized(code: &'static str, message: impl Into<String>) -> Self {
        let challenge = match code {
            "invalid_token" => r#"Bearer realm="qwen-proxy", error="invalid_token""#,
            _ => r#"Bearer realm="qwen-proxy""#,
        };
        Self::new(StatusCode::UNAUTHORIZED, code, "authentication_error", message)
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// A budget or a rate is used up.
    pub(super) fn too_many(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, code, message)
    }

    /// The proxy cannot serve now.
    pub(super) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, "server_error", message)
    }

    /// The server behind the proxy is at fault.
    pub(super) fn upstream(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, code, "upstream_error", message)
    }

    /// Says after what time the same request may succeed, and that it is worth trying.
    pub(super) const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self.should_retry = true;
        self
    }

    /// Says when things change, though trying again is not worth the wait.
    pub(super) const fn renews_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Says that the same request may succeed at once.
    pub(super) const fn worth_a_retry(mut self) -> Self {
        self.should_retry = true;
        self
    }

    /// Ends the connection.
    pub(super) const fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Returns the body.
    fn json(&self) -> Vec<u8> {
        let error = json!({
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": null,
                "code": self.code,
            }
        });
        error.to_string().into_bytes()
    }

    /// Makes the answer.
    pub(super) fn response(self) -> Response<AnswerBody> {
        let body = self.json();
        let mut response = Response::new(AnswerBody::whole(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(MARK, HeaderValue::from_static("1"));
        let should_retry = if self.should_retry { "true" } else { "false" };
        headers.insert("x-should-retry", HeaderValue::from_static(should_retry));
        if let Some(wait) = self.retry_after {
            let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            headers.insert(RETRY_AFTER, HeaderValue::from(milliseconds.div_ceil(1000).max(1)));
            headers.insert("retry-after-ms", HeaderValue::from(milliseconds.max(1)));
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        headers.extend(self.headers);
        response
    }

    /// Returns the answer as bytes, for a connection that is not served.
    pub(super) fn raw(&self) -> Vec<u8> {
        let body = self.json();
        let wait = self
            .retry_after
            .unwrap_or(Duration::from_secs(1))
            .as_secs()
            .max(1);
        let head = format!(
            "HTTP/1.1 {}\r\n{CONTENT_TYPE}: application/json\r\n{CONTENT_LENGTH}: {}\r\n{MARK}: 1\r\n\
             x-should-retry: true\r\n{RETRY_AFTER}: {wait}\r\n{CONNECTION}: close\r\n\r\n",
            self.status,
            body.len()
        );
        [head.into_bytes(), body].concat()
    }
}
