//! Whether a refusal concerns one request or all of them, as far as the responses so far tell.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use qwen_shared::net::chat::{ErrorKind, Refusal, Verdict};

/// So many 429 in a row, without an answer between them, concern all requests.
const RATE_LIMITS_IN_A_ROW: usize = 8;

/// So many permanent refusals before the first answer mean a wrong model, path or parameter, not wrong requests.
const REFUSALS_BEFORE_ANSWER: usize = 64;

#[derive(Debug)]
pub(crate) struct FailurePolicy {
    has_answered: AtomicBool,
    rate_limits_in_a_row: AtomicUsize,
    refusals_before_answer: AtomicUsize,
    /// [`RATE_LIMITS_IN_A_ROW`], or the number of parallel requests where that is lower.
    rate_limit_threshold: usize,
}

impl FailurePolicy {
    pub(crate) fn new(jobs: usize) -> Self {
        Self {
            has_answered: AtomicBool::new(false),
            rate_limits_in_a_row: AtomicUsize::new(0),
            refusals_before_answer: AtomicUsize::new(0),
            rate_limit_threshold: jobs.min(RATE_LIMITS_IN_A_ROW),
        }
    }

    pub(crate) fn count_answer(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
        self.rate_limits_in_a_row.store(0, Ordering::Relaxed);
    }

    /// Counts a refusal; true when it is one of many 429 that concern all requests.
    pub(crate) fn count_rate_limit(&self, refusal: &Refusal) -> bool {
        if refusal.verdict.kind != ErrorKind::RateLimit {
            self.rate_limits_in_a_row.store(0, Ordering::Relaxed);
            return false;
        }
        self.rate_limits_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= self.rate_limit_threshold
    }

    /// Counts a permanent refusal; true when there were so many that all further requests will be refused too.
    pub(crate) fn count_permanent_refusal(&self) -> bool {
        !self.has_answered.load(Ordering::Relaxed)
            && self.refusals_before_answer.fetch_add(1, Ordering::Relaxed) + 1 >= REFUSALS_BEFORE_ANSWER
    }

    /// True for a refusal that every further request would get too. It has no status where it comes within an answer. A
    /// 403 after an answer is about its request: some providers send it for what their filter refused.
    pub(crate) fn concerns_all(&self, verdict: &Verdict, status: Option<u16>) -> bool {
        let has_answered = || self.has_answered.load(Ordering::Relaxed);
        match verdict.kind {
            ErrorKind::Quota => true,
            ErrorKind::Auth => matches!(status, Some(401) | None) || !has_answered(),
            ErrorKind::Redirect => !has_answered(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FailurePolicy;
    use qwen_shared::net::chat::{Refusal, RefusalHead};

    fn refusal(status: u16) -> Refusal {
        let head = RefusalHead {
            status,
            ..RefusalHead::default()
        };
        Refusal::read(&head, b"{}", "custom")
    }

    #[test]
    fn a_refusal_concerns_all_requests_until_one_is_answered() {
        let policy = FailurePolicy::new(4);
        let concerns_all = |status| policy.concerns_all(&refusal(status).verdict, Some(status));
        assert!(concerns_all(401) && concerns_all(403));
        policy.count_answer();
        assert!(concerns_all(401) && !concerns_all(403));
        assert!(policy.concerns_all(&refusal(403).verdict, None));
    }

    #[test]
    fn as_many_429_in_a_row_as_requests_are_parallel_concern_all() {
        let policy = FailurePolicy::new(3);
        let count = |status| policy.count_rate_limit(&refusal(status));
        assert_eq!(
            [429, 429, 500, 429, 429, 429].map(count),
            [false, false, false, false, false, true]
        );
        policy.count_answer();
        assert!(!policy.count_rate_limit(&refusal(429)));
    }

    #[test]
    fn many_permanent_refusals_before_an_answer_concern_all() {
        let policy = FailurePolicy::new(8);
        assert_eq!((0..64).filter(|_| policy.count_permanent_refusal()).count(), 1);
        policy.count_answer();
        assert!(!policy.count_permanent_refusal());
    }
}
