//! A response, whose body comes under limits and is uncompressed on the way.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::Timeouts;
use super::decode::Decoder;
use super::error::{HttpError, Phase};
use super::waiting::{SILENCE, Waiting, nearer};
use crate::net::json::is_whole_object;

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
    pub(super) fn new(
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
    pub fn decode(&mut self) {
        let values = |name: &str| {
            let values = self.inner.headers().get_all(name).iter();
            values.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>()
        };
        // hyper has undone the chunks.
        let transfer = values("transfer-encoding");
        let transfer = transfer.iter().flat_map(|value| value.split(','));
        let transfer = transfer.filter(|coding| !coding.trim().eq_ignore_ascii_case("chunked"));
        let codings: Vec<&str> = values("content-encoding").into_iter().chain(transfer).collect();
        self.decoder = Decoder::new(&codings.join(","));
        self.may_be_packed = self.decoder.is_none();
    }

    /// Undoes the compression of the beginning of the body, as far as `limit` bytes; nothing where that cannot be.
    #[must_use]
    pub fn decoded(&self, beginning: &[u8], limit: usize) -> Vec<u8> {
        let encoding = self.header("content-encoding").unwrap_or_default();
        let decoder = Decoder::new(encoding).or_else(|| Decoder::by_first_byte(beginning));
        let mut decoded = match decoder {
            None => beginning.to_vec(),
            Some(mut decoder) => {
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
