//! A file that was uploaded: some providers process it before a batch can be made of it.

use std::time::{Duration, Instant};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::text::{clip, one_line};
use serde_json::Value;
use tokio::time::sleep;

use super::api::{ApiRequest, BatchApi, Odd, is_id};

/// How long a file is waited for.
const LIMIT: Duration = Duration::from_secs(600);

/// How long one is waited for of which it is not known whether it is ready: with some engines it stays so.
const DOUBTFUL_LIMIT: Duration = Duration::from_secs(10);

/// How long one is waited for that is not found though it was just taken: some engines' stores lag behind each other.
const MISSING_LIMIT: Duration = Duration::from_secs(60);

/// The pauses: the first one, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The words for each state, in small letters without anything between them.
const READY: [&str; 13] = [
    "",
    "processed",
    "succeeded",
    "success",
    "successful",
    "completed",
    "complete",
    "done",
    "finished",
    "active",
    "ready",
    "available",
    "ok",
];
const NOT_YET: [&str; 7] = [
    "pending",
    "queued",
    "inqueue",
    "inprogress",
    "notrunning",
    "created",
    "submitted",
];
const REJECTED: [&str; 6] = [
    "invalid",
    "rejected",
    "deleted",
    "cancelled",
    "canceled",
    "expired",
];

/// A file, as the provider describes it.
#[derive(Debug)]
pub(crate) struct UploadedFile {
    pub(crate) id: String,
    status: String,
    details: String,
    uploaded: Instant,
    is_announced: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Ready,
    NotYet,
    /// `uploaded` comes before processing with some, and is the last word of others; and words that are not known.
    Doubtful,
    Rejected,
}

impl UploadedFile {
    pub(crate) fn read(mut value: Value) -> Result<Self, Odd> {
        for name in ["data", "file"] {
            if value["id"].is_null() && value[name].is_object() {
                value = value[name].take();
            }
        }
        let text = |name: &str| value[name].as_str().unwrap_or_default();
        let id = [text("id"), text("file_id")].into_iter().find(|id| is_id(id));
        Ok(Self {
            id: id.ok_or(Odd::Not("file"))?.to_owned(),
            status: text("status").to_owned(),
            details: text("status_details").to_owned(),
            uploaded: Instant::now(),
            is_announced: false,
        })
    }

    fn readiness(&self) -> Readiness {
        let mut word: String = self.status.chars().filter(|c| c.is_alphanumeric()).collect();
        word.make_ascii_lowercase();
        // As in FILE_STATE_ACTIVE.
        let bare = ["filestate", "filestatus", "state"];
        let word = bare
            .iter()
            .find_map(|start| word.strip_prefix(start))
            .unwrap_or(&word);
        match word {
            word if READY.contains(&word) => Readiness::Ready,
            word if NOT_YET.contains(&word) || word.ends_with("ing") => Readiness::NotYet,
            word if REJECTED.contains(&word) || word.contains("error") || word.contains("fail") => {
                Readiness::Rejected
            }
            _ => Readiness::Doubtful,
        }
    }

    /// Waits until the provider has processed the file.
    ///
    /// # Errors
    /// 65 when it rejects it, 75 when it takes too long; those of [`BatchApi::ask`].
    pub(crate) async fn wait_until_processed(&mut self, api: &BatchApi) -> Result<(), Failure> {
        let mut pause = FIRST_PAUSE;
        loop {
            let limit = match self.readiness() {
                Readiness::Ready => return Ok(()),
                Readiness::Rejected => return Err(self.rejection()),
                Readiness::NotYet => LIMIT,
                Readiness::Doubtful => DOUBTFUL_LIMIT,
            };
            if self.uploaded.elapsed() >= limit {
                return match self.readiness() {
                    Readiness::Doubtful => Ok(()),
                    _ => Err(self.still_unprocessed()),
                };
            }
            self.announce(api);
            sleep(pause).await;
            pause = pause.mul_f64(1.5).min(LONGEST_PAUSE);
            let request = ApiRequest::get(format!("/files/{}", self.id));
            match api.ask(&request, Self::read).await {
                Ok(now) => (self.status, self.details) = (now.status, now.details),
                // An engine that does not show its files says no more than this.
                Err(error) if matches!(error.status(), Some(404 | 405 | 501)) => return Ok(()),
                Err(error) => return Err(api.failure(error)),
            }
        }
    }

    /// Waits after a refusal that says that the file is not processed yet, though its state did not say so.
    ///
    /// # Errors
    /// As [`UploadedFile::wait_until_processed`].
    pub(crate) async fn wait_after_refusal(&mut self, api: &BatchApi) -> Result<(), Failure> {
        if self.uploaded.elapsed() >= LIMIT {
            return Err(self.still_unprocessed());
        }
        self.announce(api);
        sleep(FIRST_PAUSE).await;
        Ok(())
    }

    /// Waits after a refusal that says that the file is not there; false once it has been waited for long enough.
    pub(crate) async fn wait_until_found(&mut self, api: &BatchApi) -> bool {
        if self.uploaded.elapsed() >= MISSING_LIMIT {
            return false;
        }
        if !std::mem::replace(&mut self.is_announced, true) {
            let (server, id) = (api.server(), &self.id);
            api.reporter().notice(&format!(
                "'{server}': it does not find the file '{id}' yet; asking again"
            ));
        }
        sleep(FIRST_PAUSE).await;
        true
    }

    /// True for the words of a refusal that does not find this file.
    pub(crate) fn is_said_missing(&self, words: &str) -> bool {
        let words = words.to_lowercase();
        let says = |any: &[&str]| any.iter().any(|said| words.contains(said));
        (words.contains("file") || words.contains(&self.id.to_lowercase()))
            && says(&[
                "cannot find",
                "can't find",
                "could not find",
                "couldn't find",
                "not found",
                "no such",
                "does not exist",
                "doesn't exist",
                "does not have access",
            ])
    }

    fn announce(&mut self, api: &BatchApi) {
        if !std::mem::replace(&mut self.is_announced, true) {
            api.reporter().notice(&format!(
                "'{}': the file is '{}'; waiting until it is processed",
                api.server(),
                self.shown_status()
            ));
        }
    }

    fn shown_status(&self) -> String {
        match self.status.as_str() {
            "" => "not processed".to_owned(),
            status => clip(&one_line(status), 40),
        }
    }

    fn rejection(&self) -> Failure {
        let why = match self.details.trim() {
            "" => String::new(),
            details => format!(": {}", clip(one_line(details).trim_end_matches('.'), 400)),
        };
        Failure::new(
            Exit::Data,
            format!("file '{}' was rejected ('{}'){why}", self.id, self.shown_status()),
        )
    }

    fn still_unprocessed(&self) -> Failure {
        let seconds = LIMIT.as_secs();
        let message = format!(
            "file '{}' is still '{}' after {seconds} s; no batch was created",
            self.id,
            self.shown_status()
        );
        Failure::new(Exit::TryAgain, message)
    }
}

/// True for the words of a refusal that is about a file which is not processed yet.
pub(crate) fn says_not_processed(words: &str) -> bool {
    let words = words.to_lowercase();
    words.contains("file")
        && [
            "not in the processed state",
            "not processed",
            "not been processed",
            "not yet processed",
            "being processed",
            "still processing",
            "not ready",
            "is pending",
            "status: pending",
            "status: running",
        ]
        .iter()
        .any(|said| words.contains(said))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Readiness, UploadedFile, says_not_processed};

    #[test]
    fn a_file_is_ready_when_its_state_says_so_or_says_nothing() {
        for (status, readiness) in [
            ("processed", Readiness::Ready),
            ("Processed", Readiness::Ready),
            ("", Readiness::Ready),
            ("pending", Readiness::NotYet),
            ("running", Readiness::NotYet),
            ("uploaded", Readiness::Doubtful),
            ("parked", Readiness::Doubtful),
            ("error", Readiness::Rejected),
            ("Failed", Readiness::Rejected),
            ("ok", Readiness::Ready),
            ("FILE_STATE_ACTIVE", Readiness::Ready),
            ("STATE_PROCESSING", Readiness::NotYet),
            ("parse_failed", Readiness::Rejected),
        ] {
            let file = UploadedFile::read(json!({"id": "file-1", "status": status})).unwrap();
            assert_eq!(file.readiness(), readiness, "{status}");
        }
        assert!(UploadedFile::read(json!({"status": "processed"})).is_err());
        assert!(UploadedFile::read(json!({"id": "../x"})).is_err());
    }

    #[test]
    fn a_refusal_does_not_find_the_file() {
        let file = UploadedFile::read(json!({"id": "file-Ab1"})).unwrap();
        for words in [
            "Cannot find file file-Ab1, or project proj_1 does not have access to it.",
            "No such File object: file-Ab1",
            "file-ab1 does not exist",
        ] {
            assert!(file.is_said_missing(words), "{words}");
        }
        for words in [
            "the model does not exist",
            "file is too large",
            "no such batch endpoint",
        ] {
            assert!(!file.is_said_missing(words), "{words}");
        }
    }

    #[test]
    fn a_refusal_says_that_the_file_is_not_processed_yet() {
        assert!(says_not_processed(
            "File 'file-in' is not in the processed state. Current status: pending"
        ));
        assert!(says_not_processed("the input file has not been processed yet"));
        assert!(!says_not_processed("the request could not be processed"));
        assert!(!says_not_processed("file is too large"));
    }
}
