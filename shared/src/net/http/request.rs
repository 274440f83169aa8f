//! A request on its way to being sent.

use bytes::Bytes;
use http_body::Body;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::body::{BodyError, StreamedBody, Upload};
use super::error::HttpError;

/// A request.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// The URL.
    pub url: Url,
    pub(super) headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// A form with a file, instead of `body`.
    pub(super) upload: Option<Upload>,
    /// A body that comes while it is sent, instead of `body`.
    pub(super) stream: Option<StreamedBody>,
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
