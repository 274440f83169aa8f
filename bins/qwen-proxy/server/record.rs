//! What is kept of one request until its answer has gone: for the log, the budget and the end of the program.

use std::sync::Arc;
use std::time::Instant;

use hyper::StatusCode;

use super::State;
use super::budget::Reservation;
use super::connections::Busy;
use super::log::Entry;
use super::upload::Upload;
use super::usage::Tap;

/// The record of one request. It is written when it is dropped: by then the answer has gone, or the client has.
#[derive(Debug)]
pub(super) struct Record {
    state: Arc<State>,
    pub(super) entry: Entry,
    began: Instant,
    reservation: Option<Reservation>,
    upload: Option<Upload>,
    is_whole: bool,
    is_given_up: bool,
    /// Dropped last: the connection is free for its next request.
    _busy: Busy,
}

impl Record {
    pub(super) fn new(state: &Arc<State>, busy: Busy, method: &str, path: &str) -> Self {
        let is_logged = state.log.is_some();
        let keep = |text: &str| if is_logged { text.to_owned() } else { String::new() };
        Self {
            state: Arc::clone(state),
            entry: Entry {
                method: keep(method),
                path: keep(path),
                ..Entry::default()
            },
            began: Instant::now(),
            reservation: None,
            upload: None,
            is_whole: false,
            is_given_up: false,
            _busy: busy,
        }
    }

    pub(super) fn reserved(&mut self, reservation: Reservation) {
        self.reservation = Some(reservation);
    }

    /// Takes note of a body that passes through.
    pub(super) fn uploads(&mut self, upload: &Upload) {
        self.upload = Some(upload.clone());
    }

    pub(super) const fn reservation(&mut self) -> Option<&mut Reservation> {
        self.reservation.as_mut()
    }

    pub(super) fn answers_with(&mut self, status: StatusCode) {
        self.entry.status = Some(status.as_u16());
    }

    pub(super) const fn sent(&mut self, bytes: usize) {
        self.entry.sent += bytes as u64;
    }

    /// Takes note of what the answer has said so far.
    pub(super) fn answered(&mut self, tap: &Tap) {
        self.entry.usage = tap.usage();
        let is_good = self
            .entry
            .status
            .is_some_and(|status| (200..300).contains(&status));
        if let Some(reservation) = self.reservation.as_mut().filter(|_| is_good) {
            reservation.answered(tap.usage(), self.entry.sent, tap.streamed());
        }
    }

    /// Takes note that the whole answer has been handed on.
    pub(super) const fn is_whole(&mut self) {
        self.is_whole = true;
    }

    /// Takes note that the client has broken its request off, whatever it may still be told.
    pub(super) const fn is_given_up(&mut self) {
        self.is_given_up = true;
    }

    /// Takes note that the server has broken the answer off.
    pub(super) const fn is_cut(&mut self) {
        self.entry.is_cut = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.entry.is_cancelled = self.is_given_up || !self.is_whole && !self.entry.is_cut;
        self.entry.milliseconds = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(upload) = &self.upload {
            self.entry.received = upload.received();
        }
        self.state.count(&self.entry);
        if let Some(log) = &self.state.log {
            log.write(&self.entry);
        }
    }
}
