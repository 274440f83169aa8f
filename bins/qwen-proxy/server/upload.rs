//! The body of a request, on its way through or taken whole.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use qwen_shared::net::http::BodyError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::refusal::Refusal;

/// The largest body that is taken whole.
pub(super) const LARGEST: usize = 32 << 20;

/// The unit in which memory for bodies is counted.
const UNIT: usize = 64 << 10;

/// What all bodies that are taken whole may hold together.
pub(super) const ALL_TOGETHER: usize = 128 << 20;

/// After what time a request is worth trying for which there was no memory.
const RETRY: Duration = Duration::from_secs(1);

/// How much of a body that nobody wants is read, and for how long: the client writes it before it reads the answer.
const DRAINED: u64 = 64 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The code of the refusal of a body that broke off.
pub(super) const CUT: &str = "body_cut";

/// The memory for bodies.
#[derive(Clone, Debug)]
pub(super) struct Memory(Arc<Semaphore>);

impl Memory {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ALL_TOGETHER / UNIT)))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.0).try_acquire_many_owned(units);
        permit.map_err(|_| too_many())
    }
}

/// The refusal of a body for which there is no room.
pub(super) fn too_many() -> Refusal {
    Refusal::unavailable(
        "too_many_bodies",
        "the bodies that qwen-proxy judges at the same time are too large together",
    )
    .retry_after(RETRY)
}

/// A body that is on its way through. Clones share it: a request that did not reach the server is sent again as long as
/// nothing of its body was taken.
#[derive(Clone, Debug)]
pub(super) struct Upload(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    body: Incoming,
    received: u64,
    has_begun: bool,
    /// True once the client has broken it off, or sent what is no body.
    is_broken: bool,
}

impl Upload {
    pub(super) fn new(body: Incoming) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            body,
            received: 0,
            has_begun: false,
            is_broken: false,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True once something of it was asked for.
    pub(super) fn has_begun(&self) -> bool {
        self.inner().has_begun
    }

    /// True where the client is at fault for an end of the request.
    pub(super) fn is_broken(&self) -> bool {
        self.inner().is_broken
    }

    /// Returns how many bytes of it have passed.
    pub(super) fn received(&self) -> u64 {
        self.inner().received
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut inner = self.inner();
        inner.has_begun = true;
        let frame = std::task::ready!(Pin::new(&mut inner.body).poll_frame(context));
        let Some(frame) = frame else {
            return Poll::Ready(None);
        };
        Poll::Ready(match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                inner.received += data.len() as u64;
                Some(Ok(Frame::data(data)))
            }
            // Trailers are the client's, as other headers that are not passed on.
            Ok(Err(_)) => None,
            Err(error) => {
                inner.is_broken = true;
                Some(Err(error.into()))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner().body.size_hint()
    }
}

/// A body that was taken whole, and its share of the memory.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    _shares: Vec<OwnedSemaphorePermit>,
}

/// Takes a body whole. A pause of the client is limited.
///
/// # Errors
/// 413 above the largest size, 503 where there is no memory, 408 for a client that pauses for too long, 400 for one that breaks
/// off.
pub(super) async fn take_whole(
    body: &mut Incoming,
    memory: &Memory,
    idle: Duration,
) -> Result<Whole, Refusal> {
    let announced = body
        .size_hint()
        .exact()
        .map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    if announced.is_some_and(|size| size > LARGEST) {
        return Err(too_large());
    }
    let mut shares = Vec::new();
    let mut room = announced.unwrap_or(UNIT);
    shares.push(memory.take(room)?);
    // Not all at once: who announces much need not send it.
    let mut bytes = Vec::with_capacity(room.min(UNIT));
    loop {
        let frame = timeout(idle, body.frame()).await.map_err(|_| stalled())?;
        let Some(frame) = frame else {
            return Ok(Whole {
                bytes: bytes.into(),
                _shares: shares,
            });
        };
        let frame = frame.map_err(|_| cut())?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > LARGEST {
            return Err(too_large());
        }
        while bytes.len() + data.len() > room {
            shares.push(memory.take(UNIT)?);
            room += UNIT;
        }
        bytes.extend_from_slice(&data);
    }
}

/// The refusal of a body that the client has broken off.
pub(super) fn cut() -> Refusal {
    Refusal::bad_request(CUT, "the request's body broke off").closing()
}

fn too_large() -> Refusal {
    Refusal::request(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!(
            "a body that qwen-proxy has to see whole may have {} MiB",
            LARGEST >> 20
        ),
    )
}

fn stalled() -> Refusal {
    Refusal::request(
        StatusCode::REQUEST_TIMEOUT,
        "body_stalled",
        "nothing of the request's body came for too long",
    )
    .closing()
}

/// Reads what is left of a body that nobody wants, up to a bound, so that the client can read the answer: a connection that is
/// closed with bytes unread is reset.
pub(super) fn drain<B>(mut body: B)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(timeout(DRAIN_TIME, async move {
        let mut drained = 0;
        while let Some(Ok(frame)) = body.frame().await {
            drained += frame.data_ref().map_or(0, |data| data.len() as u64);
            if drained > DRAINED {
                return;
            }
        }
    }));
}
