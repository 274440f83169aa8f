//! A clock that is wrong: tokens would seem to end early, or too late.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use qwen_shared::http::HttpError;
use qwen_shared::oauth::{Answer, Blocking, Transport};
use qwen_shared::out::Talk;
use url::Url;

/// A difference that is worth a word. The answer was on its way for some of it.
const WORTH_A_WORD: Duration = Duration::from_secs(120);

/// A transport that notes by how much the server's clock differs from this machine's.
pub(crate) struct Watching {
    inner: Blocking,
    skew: Cell<Option<(SystemTime, SystemTime)>>,
}

impl Watching {
    pub(crate) const fn new(inner: Blocking) -> Self {
        Self {
            inner,
            skew: Cell::new(None),
        }
    }

    fn noted(&self, answer: Answer) -> Answer {
        if let Some(theirs) = answer.server_time() {
            self.skew.set(Some((SystemTime::now(), theirs)));
        }
        answer
    }

    /// Tells the user when the clocks differ: expiry times are reckoned by this machine's.
    pub(crate) fn report(&self, talk: &Talk) {
        let Some((ours, theirs)) = self.skew.get() else {
            return;
        };
        let (ahead, difference) = match ours.duration_since(theirs) {
            Ok(difference) => ("ahead of", difference),
            Err(error) => ("behind", error.duration()),
        };
        if difference >= WORTH_A_WORD {
            let minutes = difference.as_secs() / 60;
            talk.notice(&format!(
                "this machine's clock is {minutes} min {ahead} the server's; tokens may seem to end at the wrong time"
            ));
        }
    }
}

impl Transport for Watching {
    fn post_form(&self, url: &Url, headers: &[(&str, &str)], form: &str) -> Result<Answer, HttpError> {
        self.inner
            .post_form(url, headers, form)
            .map(|answer| self.noted(answer))
    }

    fn fetch(&self, url: &Url) -> Result<Answer, HttpError> {
        self.inner.fetch(url).map(|answer| self.noted(answer))
    }
}
