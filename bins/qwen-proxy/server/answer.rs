//! The body of an answer: the proxy's own, or the server's on its way through.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::time::Instant as StdInstant;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use qwen_shared::net::http::{BodyError, HttpError, Phase, Response};
use qwen_shared::secret::Secret;
use tokio::time::{Instant, Sleep, sleep};

use super::progress::Progress;
use super::record::Record;
use super::stream::Watch;
use super::usage::Tap;

/// How often it is looked whether the client is there still.
pub(super) const LOOK: Duration = Duration::from_millis(400);

/// Shorter credentials are words, such as the `ollama` of a server that wants any.
const SHORTEST_SECRET: usize = 8;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum AnswerBody {
    Whole(Option<Bytes>, Option<Box<Record>>),
    Passing(Box<Passing>),
}

impl AnswerBody {
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()).filter(|bytes| !bytes.is_empty()), None)
    }

    /// Keeps the record until the body has gone.
    pub(super) fn recorded(self, mut record: Record) -> Self {
        match self {
            Self::Whole(bytes, _) => {
                record.sent(bytes.as_ref().map_or(0, Bytes::len));
                Self::Whole(bytes, Some(Box::new(record)))
            }
            passing @ Self::Passing(_) => passing,
        }
    }

    /// Leaves the content out, as the answer to HEAD does (RFC 9110, section 9.3.2): nothing of it is missing then. Returns
    /// its length besides, where it is known.
    pub(super) fn without_content(self) -> (Self, Option<u64>) {
        let length = self.size_hint().exact();
        match self {
            Self::Whole(_, record) => {
                let record = record.map(|mut record| {
                    record.is_whole();
                    record
                });
                (Self::Whole(None, record), length)
            }
            Self::Passing(mut passing) => {
                passing.record.is_whole();
                (Self::Whole(None, None), length)
            }
        }
    }
}

/// A server's answer on its way through. Dropped before its end the request to the server ends with it.
#[derive(Debug)]
pub(super) struct Passing {
    /// What of the body was read before.
    before: Option<Bytes>,
    response: Response,
    /// Whether the connection broke behind what was read before.
    is_cut: bool,
    idle: Option<Pin<Box<Sleep>>>,
    look: Option<Pin<Box<Sleep>>>,
    watch: Watch,
    pub(super) tap: Tap,
    mask: Mask,
    /// What is left of the body, where its length is known.
    left: Option<u64>,
    is_over: bool,
    /// What broke it off, until the client is told.
    fault: Option<BodyError>,
    is_flushed: bool,
    progress: Progress,
    record: Record,
}

impl Passing {
    /// `limit`: for how long it may go on without saying anything.
    pub(super) fn new(response: Response, watch: Watch, mask: Mask, record: Record, limit: Duration) -> Self {
        Self {
            progress: Progress::new(response.header_map(), limit, StdInstant::now()),
            before: None,
            response,
            is_cut: false,
            idle: None,
            look: None,
            watch,
            tap: Tap::Shut,
            mask,
            left: None,
            is_over: false,
            fault: None,
            is_flushed: false,
            record,
        }
    }

    /// Puts before it what was read of the body already; `is_cut` where nothing can follow.
    pub(super) fn after(mut self, read: Bytes, is_cut: bool) -> Self {
        self.before = Some(read).filter(|read| !read.is_empty());
        self.is_cut = is_cut;
        self
    }

    /// Sets the length.
    pub(super) const fn with_length(mut self, length: Option<u64>) -> Self {
        self.left = length;
        self
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        if let Some(before) = self.before.take() {
            return Poll::Ready(Ok(Some(before)));
        }
        if self.is_cut {
            return Poll::Ready(Err(
                HttpError::Cut("the server broke the answer off".to_owned()).into()
            ));
        }
        let now = StdInstant::now();
        self.progress.asks(now);
        if let Poll::Ready(piece) = self.response.poll_chunk(&mut self.idle, context) {
            if let Ok(Some(piece)) = &piece {
                self.progress.take(piece, now);
            }
            let is_over = matches!(piece, Ok(Some(_))) && self.progress.is_over(now);
            return Poll::Ready(if is_over {
                Err(self.no_progress())
            } else {
                piece.map_err(Into::into)
            });
        }
        let look = self.look.get_or_insert_with(|| Box::pin(sleep(LOOK)));
        while look.as_mut().poll(context).is_ready() {
            if self.watch.is_gone() {
                return Poll::Ready(Err("the client hung up".into()));
            }
            if self.progress.is_over(now) {
                return Poll::Ready(Err(self.no_progress()));
            }
            look.as_mut().reset(Instant::now() + LOOK);
        }
        Poll::Pending
    }

    fn no_progress(&self) -> BodyError {
        HttpError::Timeout(Phase::Progress, self.progress.limit()).into()
    }

    /// Returns what was held back before a fault: it is no credential, since its rest does not come any more.
    fn poll_rest(
        &mut self,
        fault: BodyError,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.record.is_cut();
        self.fault = Some(fault);
        let last = self.mask.finish();
        let last = self.tap.push(last);
        match self.passed(last) {
            Some(frame) => Poll::Ready(Some(frame)),
            None => self.poll_fault(context),
        }
    }

    /// Tells the fault at the second call: hyper sends what it has when there is nothing to take, and not at a fault.
    fn poll_fault(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !std::mem::replace(&mut self.is_flushed, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.fault.take().map(Err))
    }

    fn end(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.is_over = true;
        let last = self.mask.finish();
        let mut passed = self.tap.push(last).to_vec();
        passed.extend_from_slice(&self.tap.finish());
        self.record.answered(&self.tap);
        self.record.is_whole();
        self.passed(passed.into())
    }

    fn passed(&mut self, bytes: Bytes) -> Option<Result<Frame<Bytes>, BodyError>> {
        if bytes.is_empty() {
            return None;
        }
        self.record.sent(bytes.len());
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes.len() as u64);
        }
        Some(Ok(Frame::data(bytes)))
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if !self.is_over {
            self.record.answered(&self.tap);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let passing = match &mut *self {
            Self::Whole(bytes, record) => {
                if let Some(record) = record {
                    record.is_whole();
                }
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Self::Passing(passing) => passing,
        };
        if passing.is_over {
            return Poll::Ready(None);
        }
        if passing.fault.is_some() {
            return passing.poll_fault(context);
        }
        loop {
            match ready!(passing.poll_piece(context)) {
                Ok(Some(piece)) => {
                    let piece = passing.mask.push(piece);
                    let piece = passing.tap.push(piece);
                    // All of it may have been taken out, or held back.
                    if let Some(frame) = passing.passed(piece) {
                        // The end of a body whose length is known is the end of the answer: nothing polls it again.
                        if passing.left == Some(0) {
                            passing.is_over = true;
                            passing.record.answered(&passing.tap);
                            passing.record.is_whole();
                        }
                        return Poll::Ready(Some(frame));
                    }
                }
                Ok(None) => return Poll::Ready(passing.end()),
                Err(error) => return passing.poll_rest(error, context),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes, _) => bytes.is_none(),
            Self::Passing(passing) => passing.is_over,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes, _) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Passing(passing) => passing.left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// Keeps what requests carry that is secret out of an answer: a server may write it there. It is overwritten, so that lengths
/// stay.
#[derive(Debug)]
pub(super) struct Mask {
    /// Longest first. All answers share them.
    secrets: Arc<[Secret<String>]>,
    /// The end of the last piece, where it may be the beginning of a secret.
    held: Vec<u8>,
}

impl Mask {
    pub(super) fn new<'s>(secrets: impl IntoIterator<Item = &'s Secret<String>>) -> Self {
        let mut secrets: Vec<Secret<String>> = secrets
            .into_iter()
            .filter(|secret| secret.expose().len() >= SHORTEST_SECRET)
            .cloned()
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self {
            secrets: secrets.into(),
            held: Vec::new(),
        }
    }

    /// Returns one for another answer.
    pub(super) fn for_another(&self) -> Self {
        Self {
            secrets: Arc::clone(&self.secrets),
            held: Vec::new(),
        }
    }

    /// True for a text that holds a secret.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.secrets
            .iter()
            .any(|secret| find(text, secret.expose().as_bytes()).is_some())
    }

    /// Overwrites the secrets in a whole text.
    pub(super) fn whole(&self, text: impl Into<Bytes>) -> Bytes {
        self.secrets.iter().fold(text.into(), |text, secret| {
            overwritten(text, secret.expose().as_bytes())
        })
    }

    /// Takes a piece; returns what can pass.
    fn push(&mut self, piece: Bytes) -> Bytes {
        let piece = match self.held.is_empty() {
            true => piece,
            false => {
                self.held.extend_from_slice(&piece);
                std::mem::take(&mut self.held).into()
            }
        };
        let piece = self.whole(piece);
        let beginnings = self.secrets.iter().filter_map(|secret| {
            let secret = secret.expose().as_bytes();
            (1..secret.len().min(piece.len() + 1))
                .rev()
                .find(|length| piece.ends_with(&secret[..*length]))
        });
        let Some(held) = beginnings.max() else {
            return piece;
        };
        self.held = piece[piece.len() - held..].to_vec();
        piece.slice(..piece.len() - held)
    }

    fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }
}

fn overwritten(piece: Bytes, secret: &[u8]) -> Bytes {
    let Some(first) = find(&piece, secret) else {
        return piece;
    };
    let mut bytes = piece.to_vec();
    let mut at = Some(first);
    while let Some(start) = at {
        bytes[start..start + secret.len()].fill(b'*');
        at = find(&bytes[start..], secret).map(|next| start + next);
    }
    bytes.into()
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut at = 0;
    while let Some(next) = text.get(at..)?.iter().position(|byte| *byte == first) {
        at += next;
        if text[at..].starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;
    use qwen_shared::secret::Secret;

    use super::Mask;

    #[test]
    fn a_credential_does_not_pass_however_it_is_cut() {
        let secret = Secret::new("sk-sk-canary-0123456789".to_owned());
        let text = "a sk-sk-sk-canary-0123456789 b sk-sk-canary-0123456789sk-sk-canary-0123456789 sk-sk-canary-012345678 s";
        let expected = text.replace(secret.expose().as_str(), &"*".repeat(secret.expose().len()));
        for size in 1..=text.len() {
            let mut mask = Mask::new(Some(&secret));
            let mut passed = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                passed.extend_from_slice(&mask.push(Bytes::copy_from_slice(piece)));
            }
            passed.extend_from_slice(&mask.finish());
            assert_eq!(String::from_utf8(passed).unwrap(), expected, "{size}");
        }
    }

    #[test]
    fn each_of_several_secrets_is_kept_back() {
        let secrets = ["canary-1", "team-canary-22"].map(|secret| Secret::new(secret.to_owned()));
        let text = "team-canary-1 canary-1team-canary-22 team-canary-2 canary-";
        let expected = "team-******** ********************** team-canary-2 canary-";
        for size in 1..=text.len() {
            let mut mask = Mask::new(&secrets);
            let mut passed = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                passed.extend_from_slice(&mask.push(Bytes::copy_from_slice(piece)));
            }
            passed.extend_from_slice(&mask.finish());
            assert_eq!(String::from_utf8(passed).unwrap(), expected, "{size}");
        }
        let mask = Mask::new(&secrets);
        assert_eq!(mask.whole(text), expected);
        assert!(mask.is_in(b"a canary-1") && !mask.is_in(b"a canary-"));
    }

    #[test]
    fn a_word_that_is_sent_as_a_key_is_no_secret() {
        let mut mask = Mask::new(Some(&Secret::new("ollama".to_owned())));
        assert_eq!(mask.push(Bytes::from_static(b"an ollama")), "an ollama");
    }
}
