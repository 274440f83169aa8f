//! What the answers so far tell about the server: whether a refusal is about one question or about all.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use qwen_shared::net::chat::{ErrorKind, Refusal};

/// So many refusals in a row, with no answer between them, are never chance.
const NO_CHANCE: usize = 8;

/// So many questions refused for good, and not one answered: a wrong model, path or parameter, not wrong questions.
const NOT_ONE: usize = 64;

/// The mood of a server.
#[derive(Debug)]
pub(crate) struct Mood {
    has_answered: AtomicBool,
    in_a_row: AtomicUsize,
    /// How many questions were refused for good before the first answer.
    refused: AtomicUsize,
    /// How many 429 in a row are about all questions: with few under way, fewer.
    enough: usize,
}

impl Mood {
    /// The mood of a server that has so many requests at a time.
    pub(crate) fn new(jobs: usize) -> Self {
        Self {
            has_answered: AtomicBool::new(false),
            in_a_row: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            enough: jobs.min(NO_CHANCE),
        }
    }

    /// Notes an answer.
    pub(crate) fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
        self.in_a_row.store(0, Ordering::Relaxed);
    }

    /// Notes a refusal; true when it is one of many 429 that are about every question.
    pub(crate) fn is_throttling(&self, refusal: &Refusal) -> bool {
        if refusal.kind != ErrorKind::RateLimit {
            self.in_a_row.store(0, Ordering::Relaxed);
            return false;
        }
        self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= self.enough
    }

    /// Notes a question that is refused for good; true when so many were that the next ones will be too.
    pub(crate) fn is_hopeless(&self) -> bool {
        !self.has_answered.load(Ordering::Relaxed)
            && self.refused.fetch_add(1, Ordering::Relaxed) + 1 >= NOT_ONE
    }

    /// True for a refusal of the credential, not of the question: some providers say 403 of what a filter refused.
    pub(crate) fn doubts_credential(&self, refusal: &Refusal) -> bool {
        refusal.kind == ErrorKind::Auth
            && (refusal.status == 401 || !self.has_answered.load(Ordering::Relaxed))
    }

    /// True for a refusal that every further question would meet too.
    pub(crate) fn is_for_all(&self, refusal: &Refusal) -> bool {
        match refusal.kind {
            ErrorKind::Quota => true,
            ErrorKind::Auth => self.doubts_credential(refusal),
            ErrorKind::Redirect => !self.has_answered.load(Ordering::Relaxed),
            _ => false,
        }
    }
}
