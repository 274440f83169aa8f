//! A file on its way to a server, as a part of a form (RFC 7578), without being held in memory.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// How much is read at a time.
const PIECE: usize = 64 << 10;

/// A form with one file. Clones share the file, so that a try that failed can be repeated.
///
/// Its length is known and said (`Content-Length`): there are servers that take no form without.
#[derive(Clone, Debug)]
pub struct Upload {
    boundary: String,
    head: Bytes,
    file: Arc<File>,
    length: u64,
    tail: Bytes,
}

impl Upload {
    /// Makes a form of plain fields and a file named `name` in the field `file`. Of the file `length` bytes are sent,
    /// from its beginning. Names and values must be free of line ends and quotes.
    #[must_use]
    pub fn form(fields: &[(&str, &str)], name: &str, file: File, length: u64) -> Self {
        let random = || RandomState::new().build_hasher().finish();
        let boundary = format!("{:016x}{:016x}", random(), random());
        let mut head = String::new();
        for (field, value) in fields {
            head.push_str(&format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n"
            ));
        }
        head.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        ));
        Self {
            tail: format!("\r\n--{boundary}--\r\n").into(),
            boundary,
            head: head.into(),
            file: Arc::new(file),
            length,
        }
    }

    /// Returns the content type, which names the boundary.
    pub(super) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// Begins to send it.
    pub(super) fn sending(&self) -> (Sending, Progress) {
        let progress = Progress::default();
        let sending = Sending {
            upload: self.clone(),
            offset: 0,
            progress: progress.clone(),
        };
        (sending, progress)
    }

    const fn total(&self) -> u64 {
        self.head.len() as u64 + self.length + self.tail.len() as u64
    }

    /// Returns the piece at an offset of the form; an empty one at its end.
    fn piece(&self, offset: u64) -> io::Result<Bytes> {
        let head = self.head.len() as u64;
        if offset < head {
            return Ok(self.head.slice(usize::try_from(offset).unwrap_or(usize::MAX)..));
        }
        let place = offset - head;
        if place >= self.length {
            let sent = usize::try_from(place - self.length).unwrap_or(usize::MAX);
            return Ok(self.tail.slice(sent.min(self.tail.len())..));
        }
        let most = usize::try_from(self.length - place).unwrap_or(PIECE).min(PIECE);
        let mut piece = vec![0; most];
        let read = self.file.read_at(&mut piece, place)?;
        if read == 0 {
            return Err(io::Error::other("the file became shorter while it was sent"));
        }
        piece.truncate(read);
        Ok(piece.into())
    }
}

/// A form that is being sent.
#[derive(Debug)]
pub(super) struct Sending {
    upload: Upload,
    offset: u64,
    progress: Progress,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.progress.note();
        Poll::Ready(match self.upload.piece(self.offset) {
            Ok(piece) if piece.is_empty() => None,
            Ok(piece) => {
                self.offset += piece.len() as u64;
                Some(Ok(Frame::data(piece)))
            }
            Err(error) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.offset >= self.upload.total()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.upload.total() - self.offset)
    }
}

/// When the connection last asked for more.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Mutex<Option<Instant>>>);

impl Progress {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Returns when that was; `None` before the first piece.
    pub(super) fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::Upload;

    #[test]
    fn the_form_is_whole_wherever_it_is_taken_up() {
        let mut file: File = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        file.write_all(&content).unwrap();
        let form = Upload::form(&[("purpose", "batch")], "in.jsonl", file, content.len() as u64);
        let mut whole = Vec::new();
        while let Ok(piece) = form.piece(whole.len() as u64) {
            if piece.is_empty() {
                break;
            }
            whole.extend_from_slice(&piece);
        }
        assert_eq!(whole.len() as u64, form.total());
        let mut expected = format!(
            "--{0}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--{0}\r\nContent-Disposition: \
             form-data; name=\"file\"; filename=\"in.jsonl\"\r\nContent-Type: application/octet-stream\r\n\r\n",
            form.boundary
        )
        .into_bytes();
        expected.extend_from_slice(&content);
        expected.extend_from_slice(format!("\r\n--{}--\r\n", form.boundary).as_bytes());
        assert!(whole == expected);
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error_and_not_a_cut_form() {
        let form = Upload::form(&[], "x", tempfile::tempfile().unwrap(), 10);
        assert!(form.piece(form.head.len() as u64).is_err());
    }
}
