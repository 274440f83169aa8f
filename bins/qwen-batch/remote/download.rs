//! Downloads the content of a file, again where it breaks.

use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{Error, Event};
use qwen_shared::output::Reporter;
use qwen_shared::text::{clip, one_line};
use serde_json::Value;
use tokio::time::sleep;

use super::api::{ApiRequest, BatchApi, Odd, RequestError, is_id};

/// The pause before the first further attempt; each one after that is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// A download, as far as it has been tried.
#[derive(Debug)]
pub(crate) struct Download<'a> {
    api: &'a BatchApi,
    file: &'a str,
    tries: u32,
    pause: Duration,
    /// True where nothing in it would be odd.
    expects_content: bool,
}

/// What ended a download before its end.
#[derive(Debug)]
pub(crate) enum Interrupted {
    /// The results cannot be written.
    Local(Failure),
    Remote(RequestError),
}

impl<'a> Download<'a> {
    pub(crate) const fn new(api: &'a BatchApi, file: &'a str) -> Self {
        Self {
            api,
            file,
            tries: 1,
            pause: FIRST_PAUSE,
            expects_content: false,
        }
    }

    /// Says whether there is something in it, for all that is known: then an empty answer is none.
    pub(crate) const fn expects_content(&mut self, expects_content: bool) {
        self.expects_content = expects_content;
    }

    /// Downloads the content from its beginning, and gives it to `take` as it comes.
    ///
    /// # Errors
    /// That of `take`; what the client met; a web page in the place of the content.
    pub(crate) async fn attempt(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Interrupted> {
        if !is_id(self.file) {
            let message = format!(
                "the results are no file of the API, but '{}'",
                clip(&one_line(self.file), 400)
            );
            let failure = Failure::new(Exit::Protocol, message);
            return Err(Interrupted::Remote(Error::Failed(failure).into()));
        }
        let request = ApiRequest::get(format!("/files/{}/content", self.file));
        let response = self.api.send(&request).await;
        let mut response = response.map_err(Interrupted::Remote)?;
        let mut has_begun = false;
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|error| Interrupted::Remote(Error::Http(error).into()))?;
            let Some(chunk) = chunk else {
                return match has_begun || !self.expects_content {
                    true => Ok(()),
                    false => Err(Interrupted::Remote(Odd::Empty.into())),
                };
            };
            if !has_begun {
                self.judge_beginning(&chunk).map_err(Interrupted::Remote)?;
            }
            has_begun |= !chunk.trim_ascii().is_empty();
            take(&chunk).map_err(Interrupted::Local)?;
        }
    }

    /// Tells from the first bytes whether they are the content.
    fn judge_beginning(&self, chunk: &[u8]) -> Result<(), RequestError> {
        if chunk.trim_ascii_start().starts_with(b"<") {
            return Err(Odd::Page.into());
        }
        let Some(link) = link(chunk).filter(|_| self.expects_content) else {
            return Ok(());
        };
        let link = clip(&one_line(&link), 2_000);
        let message = format!("file '{}' is elsewhere: '{link}'", self.file);
        let failure = Failure::new(Exit::Protocol, message)
            .hint("download it from there; the lines in it are results as they are");
        Err(Error::Failed(failure).into())
    }

    /// Waits before another attempt; true when there shall be one.
    ///
    /// # Errors
    /// The failure of the last attempt.
    pub(crate) async fn retry(&mut self, error: RequestError, reporter: &Reporter) -> Result<bool, Failure> {
        // The client has retried what came before the head.
        let is_within_body = matches!(error, RequestError::Odd(_) | RequestError::Client(Error::Http(_)));
        if !is_within_body || !error.may_pass() || self.tries > self.api.retries() {
            return Err(self.failure(error));
        }
        self.tries += 1;
        let event = Event::Retry {
            server: self.api.server(),
            reason: error.words(),
            pause: self.pause,
            attempt: self.tries,
            limit: self.api.retries() + 1,
        };
        reporter.notice(&event.to_string());
        sleep(self.pause).await;
        self.pause *= 2;
        Ok(true)
    }

    fn failure(&self, error: RequestError) -> Failure {
        let is_gone = error.is_missing() || error.status() == Some(410);
        let may_pass = error.may_pass();
        let failure = self.api.failure(error);
        if is_gone {
            let message = format!("file '{}' is gone: {}", self.file, failure.message);
            return Failure::new(Exit::Protocol, message);
        }
        match may_pass {
            true => failure.hint("run the same command again: it continues where this one stopped"),
            false => failure,
        }
    }
}

/// Returns the address that an answer names in the place of the content, as a JSON object that is no result.
fn link(chunk: &[u8]) -> Option<String> {
    let Ok(Value::Object(members)) = serde_json::from_slice(chunk) else {
        return None;
    };
    if members.contains_key("custom_id") {
        return None;
    }
    let mut texts = members.values().filter_map(Value::as_str);
    let link = texts.find(|text| text.starts_with("https://") || text.starts_with("http://"))?;
    Some(link.to_owned())
}
