//! Request bodies: bytes in memory or a form with a file, sent piece by piece.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::multipart::{Form, Part};
use tokio::time::Instant;

/// The most bytes sent in one piece.
const PIECE: usize = 64 << 10;

/// How many pieces hyper holds back before it has written them: it takes no more while so many wait for the kernel.
const HELD_BACK: u64 = 16;

/// The size from which the end of a body is sent byte by byte, `HELD_BACK` of them: when hyper takes the last one, the kernel
/// has taken all the others. A smaller body fits what the kernel takes at once.
const PRECISE_FROM: u64 = 32 << 10;

/// A form (RFC 7578) with one file, which is read while it is sent. Clones share the file.
#[derive(Clone, Debug)]
pub struct Upload {
    fields: Vec<(String, String)>,
    name: String,
    file: Arc<File>,
    length: u64,
}

impl Upload {
    /// Makes a form of plain fields and the first `length` bytes of a file, as `name` in the field `file`.
    #[must_use]
    pub fn form(fields: &[(&str, &str)], name: &str, file: File, length: u64) -> Self {
        Self {
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            name: name.to_owned(),
            file: Arc::new(file),
            length,
        }
    }

    /// Makes the form of one attempt. Its length is known and sent: some servers take no form without.
    pub(super) fn form_noting(&self, progress: &Progress) -> Result<Form, reqwest::Error> {
        let content = Pieces {
            source: Source::File(Arc::clone(&self.file)),
            offset: 0,
            length: self.length,
            progress: progress.clone(),
        };
        let file = Part::stream_with_length(reqwest::Body::wrap(content), self.length)
            .file_name(self.name.clone())
            .mime_str("application/octet-stream")?;
        let form = self.fields.iter().fold(Form::new(), |form, (name, value)| {
            form.text(name.clone(), value.clone())
        });
        Ok(form.part("file", file))
    }
}

/// Makes a body of bytes.
pub(super) fn bytes_noting(bytes: Bytes, progress: &Progress) -> reqwest::Body {
    reqwest::Body::wrap(Pieces {
        length: bytes.len() as u64,
        source: Source::Bytes(bytes),
        offset: 0,
        progress: progress.clone(),
    })
}

/// What may go wrong with a body that comes while it is sent.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

type DynBody = dyn Body<Data = Bytes, Error = BodyError> + Send + Sync + Unpin;

/// A body that comes while it is sent.
pub(super) struct StreamedBody(Box<DynBody>);

impl StreamedBody {
    pub(super) fn new(
        body: impl Body<Data = Bytes, Error = BodyError> + Send + Sync + Unpin + 'static,
    ) -> Self {
        Self(Box::new(body))
    }

    pub(super) fn noting(self, progress: &Progress) -> reqwest::Body {
        reqwest::Body::wrap(Noting {
            body: self.0,
            progress: progress.clone(),
        })
    }
}

impl fmt::Debug for StreamedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedBody").finish_non_exhaustive()
    }
}

/// Takes note of what is taken of a body.
struct Noting {
    body: Box<DynBody>,
    progress: Progress,
}

impl Body for Noting {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut *self.body).poll_frame(context);
        if let Poll::Ready(frame) = &polled {
            self.progress.note(frame.is_none() || self.body.is_end_stream());
        } else if self.progress.sent().is_none() {
            // Connected, and it is the body that is waited for.
            self.progress.note(false);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How far a body is on its way: never begun before the connection is established, and not going on while that is blocked.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Mutex<Option<Sent>>>);

/// What of a body the connection has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// When the last piece was taken.
    pub(super) at: Instant,
    /// True when that was the end of the body.
    pub(super) is_all: bool,
}

impl Progress {
    fn note(&self, is_all: bool) {
        let sent = Sent {
            at: Instant::now(),
            is_all,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent);
    }

    /// Returns what was sent; `None` before the first piece.
    pub(super) fn sent(&self) -> Option<Sent> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
enum Source {
    Bytes(Bytes),
    File(Arc<File>),
}

/// A body on its way.
#[derive(Debug)]
struct Pieces {
    source: Source,
    offset: u64,
    length: u64,
    progress: Progress,
}

impl Pieces {
    fn next(&self) -> io::Result<Bytes> {
        let left = self.length - self.offset;
        let size = match self.length < PRECISE_FROM {
            true => left,
            false if left > HELD_BACK => left - HELD_BACK,
            false => 1,
        };
        let size = usize::try_from(size).unwrap_or(PIECE).min(PIECE);
        match &self.source {
            Source::Bytes(bytes) => {
                let start = bytes.len() - usize::try_from(left).unwrap_or_default();
                Ok(bytes.slice(start..start + size))
            }
            Source::File(file) => {
                let mut piece = vec![0; size];
                let read = file.read_at(&mut piece, self.offset)?;
                if read == 0 {
                    return Err(io::Error::other("the file became shorter while it was sent"));
                }
                piece.truncate(read);
                Ok(piece.into())
            }
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let piece = self.next();
        if let Ok(piece) = &piece {
            self.offset += piece.len() as u64;
        }
        self.progress.note(self.is_end_stream());
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.offset >= self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length - self.offset)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::{Body, Pieces, Progress, Source};

    fn file_of(content: &[u8], length: u64) -> Pieces {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Pieces {
            source: Source::File(Arc::new(file)),
            offset: 0,
            length,
            progress: Progress::default(),
        }
    }

    fn next(pieces: &mut Pieces) -> Option<std::io::Result<Vec<u8>>> {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(pieces).poll_frame(&mut context) {
            Poll::Ready(frame) => frame.map(|frame| frame.map(|frame| frame.into_data().unwrap().to_vec())),
            Poll::Pending => panic!("a body never waits"),
        }
    }

    #[test]
    fn a_body_is_whole_whether_of_bytes_or_of_a_file() {
        let content: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        let length = content.len() as u64;
        let mut longer = content.clone();
        longer.extend_from_slice(b"written after the length was taken");
        let bytes = Pieces {
            source: Source::Bytes(content.clone().into()),
            offset: 0,
            length,
            progress: Progress::default(),
        };
        for mut pieces in [bytes, file_of(&longer, length)] {
            assert_eq!(pieces.progress.sent(), None);
            let (mut whole, mut sizes) = (Vec::new(), Vec::new());
            while let Some(piece) = next(&mut pieces) {
                whole.extend_from_slice(&piece.unwrap());
                let is_all = pieces.progress.sent().unwrap().is_all;
                assert_eq!(is_all, whole.len() == content.len());
                sizes.push(whole.len());
            }
            assert!(whole == content && pieces.is_end_stream());
            let tail: Vec<usize> = (content.len() - 16..=content.len()).collect();
            assert!(
                sizes.ends_with(&tail),
                "the last sixteen come one by one: {sizes:?}"
            );
        }
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error_and_not_a_cut_form() {
        let mut pieces = file_of(b"", 10);
        assert!(next(&mut pieces).unwrap().is_err());
    }
}
