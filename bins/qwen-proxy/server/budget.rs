//! What all clients together may use.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::refusal::Refusal;
use super::usage::{Streamed, Usage};

/// What a request reserves for its answer that does not say how long it may be, in tokens.
const ANSWER: u64 = 16_384;

/// What an answer is taken for of which nothing was seen, since the client hung up, in tokens; unless the request says how
/// long it may be. The server may have written it all.
const UNSEEN: u64 = 1024;

/// About so many bytes of a request or an answer are a token.
const BYTES_PER_TOKEN: u64 = 4;

/// After what time a request is worth trying that waits for what running ones have reserved.
const RETRY: Duration = Duration::from_secs(1);

/// A budget for the life of the proxy.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max_requests: Option<u64>,
    max_tokens: Option<u64>,
    used: Mutex<Used>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    requests: u64,
    tokens: u64,
    /// Reserved by requests that run.
    reserved: u64,
    /// Requests that were refused since the budget is used up.
    turned_away: u64,
    is_told: bool,
}

impl Budget {
    pub(super) fn new(max_requests: Option<u64>, max_tokens: Option<u64>) -> Self {
        Self(Arc::new(Shared {
            max_requests,
            max_tokens,
            used: Mutex::default(),
        }))
    }

    /// True where nothing is limited.
    pub(super) fn is_unlimited(&self) -> bool {
        self.0.max_requests.is_none() && self.0.max_tokens.is_none()
    }

    /// True where tokens are limited.
    pub(super) fn counts_tokens(&self) -> bool {
        self.0.max_tokens.is_some()
    }

    /// Returns the tokens used so far.
    pub(super) fn tokens(&self) -> u64 {
        self.used().tokens
    }

    /// Says that the budget is used up, if a request was refused for it.
    pub(super) fn exhaustion(&self) -> Option<String> {
        let used = *self.used();
        let limit = self.limit_of(&used)?;
        let refused = counted(used.turned_away, "more request");
        let verb = if used.turned_away == 1 { "was" } else { "were" };
        (used.turned_away > 0).then(|| format!("the budget of {limit} is used up; {refused} {verb} refused"))
    }

    /// Says so once, and in words that hold from then on.
    pub(super) fn first_exhaustion(&self) -> Option<String> {
        let mut used = self.used();
        let is_first = used.turned_away > 0 && !std::mem::replace(&mut used.is_told, true);
        let limit = self.limit_of(&used).filter(|_| is_first)?;
        Some(format!(
            "the budget of {limit} is used up; further requests are refused"
        ))
    }

    /// Returns the limit that was reached first, in words.
    fn limit_of(&self, used: &Used) -> Option<String> {
        Some(match self.0.max_requests {
            Some(most) if used.requests >= most => counted(most, "request"),
            _ => counted(self.0.max_tokens?, "token"),
        })
    }

    fn used(&self) -> std::sync::MutexGuard<'_, Used> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves for a request of so many bytes whose answer has so many texts of at most `max_output` tokens. It counts from now
    /// on, in whatever way it ends. Of a request that may use more than is left what is left is reserved, and
    /// [`Reservation::limit`] says how long its texts may be.
    ///
    /// # Errors
    /// 429 where the budget is used up, or reserved by requests that run.
    pub(super) fn reserve(
        &self,
        bytes: usize,
        max_output: Option<u64>,
        texts: u64,
    ) -> Result<Reservation, Refusal> {
        let texts = texts.max(1);
        let of_all = |tokens: u64| tokens.saturating_mul(texts);
        let mut used = self.used();
        if let Some(most) = self.0.max_requests.filter(|most| used.requests >= *most) {
            used.turned_away += 1;
            return Err(used_up(&counted(most, "request")));
        }
        let input = u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(BYTES_PER_TOKEN);
        let (mut reserved, mut limit) = (0, None);
        if let Some(most) = self.0.max_tokens {
            let left = used.left_of(most, texts)?;
            reserved = input
                .saturating_add(of_all(max_output.unwrap_or(ANSWER)))
                .min(left);
            // The estimate of a question with a picture in it is far too high.
            let room = ((left - input.min(left / 2)) / texts).max(1);
            limit = max_output.filter(|output| *output > room).map(|_| room);
        }
        used.requests += 1;
        used.reserved += reserved;
        Ok(Reservation {
            budget: self.clone(),
            reserved,
            limit,
            input,
            unseen: of_all(limit.or(max_output).unwrap_or(UNSEEN)),
            is_sent: false,
            used: None,
        })
    }
}

impl Used {
    /// Returns the tokens that are left for a request for so many texts: one for each at least.
    fn left_of(&mut self, most: u64, texts: u64) -> Result<u64, Refusal> {
        if self.tokens >= most {
            self.turned_away += 1;
            return Err(used_up(&counted(most, "token")));
        }
        let unused = most - self.tokens;
        let left = unused.saturating_sub(self.reserved);
        if left >= texts {
            return Ok(left);
        }
        if unused < texts {
            self.turned_away += 1;
            return Err(used_up(&format!(
                "{unused} of {most} tokens are left, for {texts} texts"
            )));
        }
        Err(Refusal::too_many(
            "budget_reserved",
            "what is left of this qwen-proxy's budget is reserved by requests that run",
        )
        .retry_after(RETRY))
    }
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn used_up(what: &str) -> Refusal {
    Refusal::too_many(
        "insufficient_quota",
        format!("the budget of this qwen-proxy is used up: {what}"),
    )
}

/// What a request that runs has reserved. Dropped it is settled, by what is known then.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Budget,
    reserved: u64,
    limit: Option<u64>,
    /// An estimate of the tokens of the question.
    input: u64,
    /// An estimate of the tokens of an answer of which nothing was seen.
    unseen: u64,
    is_sent: bool,
    used: Option<u64>,
}

impl Reservation {
    /// Returns how long each text of the answer may be, in tokens, where the request asks for more than is left.
    pub(super) const fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Takes note that the request may have reached the server: from now on it costs, even if nothing comes of it.
    pub(super) const fn sent(&mut self) {
        self.is_sent = true;
    }

    /// Takes note that the server has refused the request: no tokens.
    pub(super) const fn refused(&mut self) {
        self.used = Some(0);
    }

    /// Takes note of what is known of the answer: its count of tokens, else the size of what came of it.
    pub(super) fn answered(&mut self, usage: Option<Usage>, bytes: u64, streamed: Streamed) {
        // An event may hold any number of tokens.
        let estimate = match streamed.events {
            0 => bytes.div_ceil(BYTES_PER_TOKEN),
            events => events.max(streamed.text.div_ceil(BYTES_PER_TOKEN)),
        };
        self.used = Some(usage.map_or(self.input.saturating_add(estimate), |usage| usage.all()));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let unknown = match self.is_sent {
            true => self.input.saturating_add(self.unseen),
            false => 0,
        };
        let mut used = self.budget.used();
        used.reserved = used.reserved.saturating_sub(self.reserved);
        used.tokens = used.tokens.saturating_add(self.used.unwrap_or(unknown));
    }
}

#[cfg(test)]
mod tests {
    use super::{ANSWER, Budget, UNSEEN};
    use crate::server::usage::{Streamed, Usage};

    fn streamed(events: u64, text: u64) -> Streamed {
        Streamed { events, text }
    }

    fn total(total: u64) -> Option<Usage> {
        Some(Usage {
            total: Some(total),
            ..Usage::default()
        })
    }

    #[test]
    fn a_request_counts_in_whatever_way_it_ends() {
        let budget = Budget::new(Some(3), None);
        drop(budget.reserve(1, None, 1).unwrap());
        let _running = budget.reserve(1, None, 1).unwrap();
        let mut refused = budget.reserve(1, None, 1).unwrap();
        refused.refused();
        drop(refused);
        assert_eq!((budget.exhaustion(), budget.first_exhaustion()), (None, None));
        assert_eq!(budget.reserve(1, None, 1).unwrap_err().code, "insufficient_quota");
        let told = budget.first_exhaustion().unwrap();
        assert_eq!(
            told,
            "the budget of 3 requests is used up; further requests are refused"
        );
        assert!(budget.reserve(1, None, 1).is_err() && budget.first_exhaustion().is_none());
    }

    #[test]
    fn a_budget_that_refused_says_so_in_numbers() {
        let said = |most: u64, refused: u64| {
            let budget = Budget::new(Some(most), None);
            (0..most).for_each(|_| drop(budget.reserve(1, None, 1).unwrap()));
            let codes: Vec<_> = (0..refused)
                .map(|_| budget.reserve(1, None, 1).unwrap_err())
                .collect();
            let refusal = codes.last().unwrap();
            (budget.exhaustion().unwrap(), refusal.message.clone())
        };
        let (notice, refusal) = said(1, 1);
        assert_eq!(
            notice,
            "the budget of 1 request is used up; 1 more request was refused"
        );
        assert!(refusal.ends_with("used up: 1 request"), "{refusal}");
        let (notice, _) = said(2, 3);
        assert_eq!(
            notice,
            "the budget of 2 requests is used up; 3 more requests were refused"
        );
    }

    #[test]
    fn running_requests_reserve_and_what_they_leave_is_free_again() {
        let budget = Budget::new(None, Some(100));
        let mut first = budget.reserve(40, Some(50), 1).unwrap();
        let second = budget.reserve(40, Some(50), 1).unwrap();
        assert_eq!(
            budget.reserve(40, Some(50), 1).unwrap_err().code,
            "budget_reserved"
        );
        drop(second);
        let mut third = budget.reserve(40, None, 1).unwrap();
        assert_eq!(
            budget.reserve(40, Some(1), 1).unwrap_err().code,
            "budget_reserved"
        );
        first.answered(total(30), 1000, streamed(7, 0));
        drop(first);
        assert_eq!(budget.tokens(), 30);
        third.sent();
        third.answered(None, 400, streamed(0, 0));
        drop(third);
        assert_eq!(budget.tokens(), 30 + 10 + 100);
        assert_eq!(
            budget.reserve(1, Some(1), 1).unwrap_err().code,
            "insufficient_quota"
        );
    }

    #[test]
    fn a_request_that_may_use_more_than_is_left_gets_what_is_left() {
        let limit = |left: u64, bytes, output, texts| {
            let reserved = Budget::new(None, Some(left)).reserve(bytes, output, texts);
            reserved
                .map(|reservation| reservation.limit())
                .map_err(|refusal| refusal.code)
        };
        for (left, bytes, output, texts, expected) in [
            (100, 40, Some(90), 1, None),
            (100, 40, Some(91), 1, Some(90)),
            (100, 40, Some(1_000_000), 3, Some(30)),
            // The question may be a picture.
            (100, 4000, Some(1_000_000), 1, Some(50)),
            (100, 4000, Some(50), 1, None),
            (1, 4000, Some(50), 1, Some(1)),
            (100, 400, Some(50), 100, Some(1)),
            (100, 40, None, 1, None),
        ] {
            assert_eq!(
                limit(left, bytes, output, texts),
                Ok(expected),
                "{left} {bytes} {output:?} {texts}"
            );
        }
        assert_eq!(limit(100, 40, Some(50), 101), Err("insufficient_quota"));
        let budget = Budget::new(None, Some(100));
        let running = budget.reserve(40, Some(50), 1).unwrap();
        assert_eq!(budget.reserve(40, Some(90), 1).unwrap().limit(), Some(30));
        assert_eq!(
            budget.reserve(40, Some(1), 41).unwrap_err().code,
            "budget_reserved"
        );
        drop(running);
        assert_eq!(budget.reserve(40, Some(1), 41).unwrap().limit(), None);
    }

    #[test]
    fn a_hang_up_costs_the_question_and_what_came() {
        let budget = Budget::new(None, Some(10 * ANSWER));
        let mut unanswered = budget.reserve(400, None, 1).unwrap();
        unanswered.sent();
        drop(unanswered);
        assert_eq!(budget.tokens(), 100 + UNSEEN);
        drop(budget.reserve(400, None, 1).unwrap());
        assert_eq!(budget.tokens(), 100 + UNSEEN);
        let mut cut = budget.reserve(400, None, 1).unwrap();
        cut.answered(None, 90_000, streamed(7, 0));
        drop(cut);
        assert_eq!(budget.tokens(), 207 + UNSEEN);
    }
    #[test]
    fn a_hang_up_after_few_long_events_costs_their_text() {
        let budget = Budget::new(None, Some(1_000_000));
        let mut cut = budget.reserve(400, None, 1).unwrap();
        cut.answered(None, 90_000, streamed(7, 80_000));
        drop(cut);
        assert_eq!(budget.tokens(), 100 + 20_000);
        let mut unseen = budget.reserve(400, Some(50), 20).unwrap();
        unseen.sent();
        drop(unseen);
        assert_eq!(budget.tokens(), 100 + 20_000 + 100 + 1000);
    }
}
