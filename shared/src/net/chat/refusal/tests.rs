use std::collections::HashMap;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;

use super::{Refusal, RefusalHead};
use crate::net::chat::{ApiError, ErrorKind, Verdict};
use crate::provider::named;

/// A recorded refusal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Who sent it.
    make: String,
    /// The provider in the catalogue; `custom` unless said.
    #[serde(default)]
    provider: String,
    status: u16,
    #[serde(default)]
    headers: HashMap<String, String>,
    /// The body as JSON.
    #[serde(default)]
    body: Value,
    /// The body as it stands, where it is no JSON.
    text: Option<String>,
    exit: u8,
    kind: Option<ErrorKind>,
    /// Seconds.
    wait: Option<f64>,
    /// The member that it refuses.
    option: Option<String>,
    retry: Option<bool>,
    /// What of the server's words is shown.
    words: Option<String>,
    /// Where it was seen.
    #[serde(default)]
    #[expect(dead_code, reason = "for people")]
    seen: String,
    #[serde(default)]
    #[expect(dead_code, reason = "for people")]
    about: String,
}

impl Case {
    fn raw_body(&self) -> String {
        self.text.clone().unwrap_or_else(|| match &self.body {
            Value::Null => String::new(),
            body => body.to_string(),
        })
    }

    fn verdict(&self) -> Verdict {
        let name = if self.provider.is_empty() {
            "custom"
        } else {
            &self.provider
        };
        let provider = &named(name).unwrap().name;
        if self.status == 200 {
            let error = ApiError::parse(&self.raw_body()).unwrap().sent_by(provider);
            let mut verdict = error.verdict();
            verdict.words = error.describe();
            return verdict;
        }
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let head = RefusalHead::read(self.status, headers, SystemTime::now());
        Refusal::read(&head, self.raw_body().as_bytes(), provider).verdict
    }

    /// Returns what is wrong with the verdict.
    fn faults(&self) -> Option<String> {
        let verdict = self.verdict();
        let is_wrong = verdict.exit().code() != self.exit
            || self.kind.is_some_and(|kind| verdict.kind != kind)
            || self.wait.is_some_and(|wait| {
                verdict
                    .wait
                    .is_none_or(|seen| (seen.as_secs_f64() - wait).abs() > 1.0)
            })
            || self.retry.is_some_and(|retry| retry != verdict.retry)
            || self
                .option
                .as_ref()
                .is_some_and(|option| !verdict.refuses(option))
            || self
                .words
                .as_ref()
                .is_some_and(|words| !verdict.words.contains(words.as_str()));
        is_wrong.then(|| {
            format!(
                "{} {}: exit {} wanted, {} seen: {verdict:?}\n  {}",
                self.make,
                self.status,
                self.exit,
                verdict.exit().code(),
                self.raw_body()
            )
        })
    }
}

#[test]
fn recorded_refusals_are_understood() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../../../../tests/data/refusals.json")).unwrap();
    let faults: Vec<String> = cases.iter().filter_map(Case::faults).collect();
    assert!(
        faults.is_empty(),
        "{} of {} wrong:\n{}",
        faults.len(),
        cases.len(),
        faults.join("\n")
    );
}
