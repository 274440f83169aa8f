//! The requests of a batch, from the file of which the provider made it: they tell what a result answers.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use qwen_shared::exit::Exit;
use qwen_shared::output::Reporter;

use super::api::BatchApi;
use super::batch::Batch;
use super::download::{Download, Interrupted};
use super::line_cutter::{CutLine, LineCutter};
use crate::digest::RequestDigest;
use crate::request::submitted_request;

/// The digests of a batch's requests by their names, in 24 bytes each.
#[derive(Debug, Default)]
pub(crate) struct SubmittedRequests {
    hasher: RandomState,
    /// Sorted by the name's hash, each once.
    digests: Vec<(u64, RequestDigest)>,
}

impl SubmittedRequests {
    /// Returns the digest of the request with that name; `None` where it is not known.
    pub(crate) fn digest(&self, name: &str) -> Option<RequestDigest> {
        let name = self.hasher.hash_one(name);
        let found = self.digests.binary_search_by_key(&name, |(name, _)| *name).ok()?;
        Some(self.digests[found].1)
    }

    fn add(&mut self, line: &CutLine<'_>) {
        if let Some((name, digest)) = line.content.and_then(submitted_request) {
            self.digests.push((self.hasher.hash_one(&name), digest));
        }
    }

    /// Ends the reading. A name that several requests have tells nothing.
    fn seal(mut self) -> Self {
        self.digests.sort_by_key(|(name, _)| *name);
        let same_name = |one: &&[(u64, RequestDigest)]| one.iter().all(|(_, digest)| *digest == one[0].1);
        let groups = self.digests.chunk_by(|one, next| one.0 == next.0);
        self.digests = groups.filter(same_name).map(|group| group[0]).collect();
        self
    }
}

/// The requests of several batches, each input read once.
#[derive(Debug, Default)]
pub(crate) struct SubmittedInputs(HashMap<String, SubmittedRequests>);

impl SubmittedInputs {
    /// Returns the requests of a batch. Where its input cannot be read there are none: providers delete it after a while,
    /// and some never show it.
    pub(crate) async fn of(
        &mut self,
        batch: &Batch,
        api: &BatchApi,
        reporter: &Reporter,
    ) -> &SubmittedRequests {
        let file = batch.input_file();
        if !self.0.contains_key(file) {
            let requests = match file {
                "" => SubmittedRequests::default(),
                file => read(file, api, reporter).await,
            };
            self.0.insert(file.to_owned(), requests);
        }
        self.0.entry(file.to_owned()).or_default()
    }
}

async fn read(file: &str, api: &BatchApi, reporter: &Reporter) -> SubmittedRequests {
    let mut download = Download::new(api, file);
    loop {
        let (mut cutter, mut requests) = (LineCutter::new(), SubmittedRequests::default());
        let mut take = |line: CutLine<'_>| {
            requests.add(&line);
            Ok(())
        };
        let result = match download.attempt(|chunk| cutter.push(chunk, &mut take)).await {
            Ok(()) => cutter.end(&mut take).map_err(Interrupted::Local),
            Err(interrupted) => Err(interrupted),
        };
        let failure = match result {
            Ok(()) => return requests.seal(),
            Err(Interrupted::Local(failure)) => failure,
            Err(Interrupted::Remote(error)) => match download.retry(error, reporter).await {
                Ok(true) => continue,
                Ok(false) => return SubmittedRequests::default(),
                Err(failure) => failure,
            },
        };
        let message = format!("results are not compared with their requests: {failure}");
        match failure.exit {
            Exit::TryAgain => reporter.notice(&message),
            _ => reporter.detail(&message),
        }
        return SubmittedRequests::default();
    }
}

#[cfg(test)]
mod tests {
    use super::{CutLine, SubmittedRequests};

    #[test]
    fn a_name_that_two_requests_have_tells_nothing() {
        let line = |name: &str, text: &str| {
            format!(
                r#"{{"custom_id":"{name}","body":{{"messages":[{{"role":"user","content":"{text}"}}]}}}}"#
            )
        };
        let mut requests = SubmittedRequests::default();
        for line in [
            line("a", "x"),
            line("b", "x"),
            line("a", "y"),
            line("c", "y"),
            line("c", "y"),
            "nonsense".to_owned(),
        ] {
            requests.add(&CutLine {
                number: 1,
                content: Some(line.as_bytes()),
            });
        }
        let requests = requests.seal();
        let known = |name| requests.digest(name).is_some();
        assert!(!known("a") && known("b") && known("c") && !known("nonsense"));
        assert_ne!(requests.digest("b"), requests.digest("c"));
    }
}
