//! Whether a refusal concerns one request or all of them, as far as the responses so far tell.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use qwen_shared::net::api::Error;
use qwen_shared::net::chat::{ErrorKind, Refusal, Verdict};

/// So many 429 in a row, without an answer between them, concern all requests.
const RATE_LIMITS_IN_A_ROW: usize = 8;

/// So many failures of the same kind in a row mean a wrong model, path or parameter, not wrong requests.
pub(super) const SAME_FAILURES_IN_A_ROW: usize = 64;

#[derive(Debug)]
pub(crate) struct FailurePolicy {
    has_answered: AtomicBool,
    rate_limits_in_a_row: AtomicUsize,
    /// What the last failures say, and how many of them there were without another one or an answer between them.
    same_failures: Mutex<(String, usize)>,
    /// [`RATE_LIMITS_IN_A_ROW`], or the number of parallel requests where that is lower.
    rate_limit_threshold: usize,
}

impl FailurePolicy {
    pub(crate) fn new(jobs: usize) -> Self {
        Self {
            has_answered: AtomicBool::new(false),
            rate_limits_in_a_row: AtomicUsize::new(0),
            same_failures: Mutex::default(),
            rate_limit_threshold: jobs.min(RATE_LIMITS_IN_A_ROW),
        }
    }

    pub(crate) fn count_answer(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
        self.rate_limits_in_a_row.store(0, Ordering::Relaxed);
        *self.same_failures() = Default::default();
    }

    /// True once the server has given an answer to this run.
    pub(crate) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    fn same_failures(&self) -> MutexGuard<'_, (String, usize)> {
        self.same_failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refusal; true when it is one of many 429 that concern all requests.
    pub(crate) fn count_rate_limit(&self, refusal: &Refusal) -> bool {
        if refusal.verdict.kind != ErrorKind::RateLimit {
            self.rate_limits_in_a_row.store(0, Ordering::Relaxed);
            return false;
        }
        self.rate_limits_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= self.rate_limit_threshold
    }

    /// Counts a permanent failure; true when there were so many of the same kind that all further requests will fail too.
    /// What a filter refuses says something about its line alone, however many such lines stand in a row.
    pub(crate) fn count_permanent_failure(&self, error: &Error) -> bool {
        if error.kind() == Some(ErrorKind::Moderation) {
            *self.same_failures() = Default::default();
            return false;
        }
        let same = match error {
            Error::Refused(refusal) => {
                let kind = refusal.verdict.kind;
                // What is about the request says of each one what is wrong with it.
                let words = match kind {
                    ErrorKind::BadRequest | ErrorKind::TooLarge | ErrorKind::Unexpected => {
                        refusal.verdict.words.as_str()
                    }
                    _ => "",
                };
                format!("{} {kind:?} {words}", refusal.status)
            }
            Error::Answer(answer) => answer.to_string(),
            _ => return false,
        };
        let mut last = self.same_failures();
        if last.0 != same {
            *last = (same, 0);
        }
        last.1 += 1;
        last.1 >= SAME_FAILURES_IN_A_ROW
    }

    /// True for a refusal that every further request would get too. It has no status where it comes within an answer. A
    /// 403 after an answer is about its request: some providers send it for what their filter refused.
    pub(crate) fn concerns_all(&self, verdict: &Verdict, status: Option<u16>) -> bool {
        match verdict.kind {
            ErrorKind::Quota => true,
            ErrorKind::Auth => matches!(status, Some(401) | None) || !self.has_answered(),
            ErrorKind::Redirect => !self.has_answered(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, FailurePolicy};
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
    fn many_refusals_of_one_kind_in_a_row_concern_all_before_and_after_an_answer() {
        let policy = FailurePolicy::new(8);
        let gone = Error::Refused(refusal(404));
        let other = Error::Refused(refusal(400));
        for _ in 0..2 {
            policy.count_answer();
            assert!((0..63).all(|_| !policy.count_permanent_failure(&gone)));
        }
        assert!(policy.count_permanent_failure(&gone));
        assert!(!policy.count_permanent_failure(&other));
        assert!(!policy.count_permanent_failure(&gone));
    }

    #[test]
    fn what_a_filter_refuses_concerns_its_line_alone() {
        let policy = FailurePolicy::new(8);
        let head = RefusalHead {
            status: 400,
            ..RefusalHead::default()
        };
        let body = br#"{"error":{"message":"filtered","code":"content_filter"}}"#;
        let filtered = Error::Refused(Refusal::read(&head, body, "custom"));
        assert!((0..1_000).all(|_| !policy.count_permanent_failure(&filtered)));
    }
}
