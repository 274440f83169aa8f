use std::collections::HashMap;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;

use super::{Refusal, RefusalHead};
use crate::net::chat::{ApiError, ErrorKind, Verdict};
use crate::provider::named;
use crate::text::one_line;

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
fn a_body_cut_or_broken_anywhere_is_one_harmless_line() {
    let cases = recorded();
    let head = RefusalHead {
        status: 500,
        ..RefusalHead::default()
    };
    for case in cases.iter().step_by(9) {
        let body = case.raw_body().into_bytes();
        for at in (0..body.len()).step_by(17) {
            let mut broken = body.clone();
            broken[at] = b"\x1b\xff{]\"\\<>"[at % 8];
            for bytes in [&body[..at], &body[at..], &broken] {
                let shown = Refusal::read(&head, bytes, "custom").describe();
                assert_eq!(one_line(&shown), shown, "{}", String::from_utf8_lossy(bytes));
                assert!(shown.chars().count() < 500, "{shown}");
            }
        }
    }
}

fn recorded() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../../../tests/data/refusals.json")).unwrap()
}

#[test]
fn recorded_refusals_are_understood() {
    let cases = recorded();
    let faults: Vec<String> = cases.iter().filter_map(Case::faults).collect();
    assert!(
        faults.is_empty(),
        "{} of {} wrong:\n{}",
        faults.len(),
        cases.len(),
        faults.join("\n")
    );
}

#[test]
fn a_401_is_never_about_what_the_request_holds() {
    for case in recorded().iter().filter(|case| case.exit == 65) {
        let head = RefusalHead {
            status: 401,
            ..RefusalHead::default()
        };
        let body = case.raw_body();
        let verdict = Refusal::read(&head, body.as_bytes(), "custom").verdict;
        assert_ne!(verdict.exit().code(), 65, "{body}");
    }
}

fn refusal(status: u16, content_type: &str, body: &str) -> Refusal {
    let head = RefusalHead::read(
        status,
        [("content-type", content_type)].into_iter(),
        SystemTime::now(),
    );
    Refusal::read(&head, body.as_bytes(), "custom")
}

#[test]
fn a_status_counts_where_the_words_say_nothing() {
    for (status, exit, is_retried) in [
        (400, 65, false),
        (401, 77, false),
        (402, 69, false),
        (403, 77, false),
        (404, 69, false),
        (405, 69, false),
        (406, 69, false),
        (407, 69, false),
        (408, 75, true),
        (409, 75, true),
        (410, 69, false),
        (411, 65, false),
        (413, 65, false),
        (414, 65, false),
        (415, 65, false),
        (418, 65, false),
        (421, 75, true),
        (422, 65, false),
        (423, 75, true),
        (424, 75, true),
        (425, 75, true),
        (426, 69, false),
        (429, 75, true),
        (431, 65, false),
        (449, 75, true),
        (451, 69, false),
        (460, 75, true),
        (500, 75, true),
        (502, 75, true),
        (503, 75, true),
        (511, 76, false),
        (529, 75, true),
        (599, 75, true),
        (307, 76, false),
        (204, 76, false),
        (600, 76, false),
    ] {
        for body in ["", "{}", r#"{"error":{}}"#] {
            let verdict = refusal(status, "application/json", body).verdict;
            assert_eq!(
                (verdict.exit().code(), verdict.retry),
                (exit, is_retried),
                "{status} {body}"
            );
        }
    }
}

#[test]
fn of_every_body_one_harmless_line_is_shown() {
    for (content_type, body, words) in [
        (
            "text/html",
            "<h1>Bad gateway</h1>",
            ": the answer is an HTML page, 'Bad gateway'",
        ),
        ("", "\n <!DOCTYPE html>", ": the answer is an HTML page"),
        (
            "text/html",
            "<html><head><TITLE lang=en>Tom &amp; <b>Jerry</b>\n\x1b[2J</TITLE>",
            ": the answer is an HTML page, 'Tom & Jerry [2J'",
        ),
        ("text/plain", "oops <b>x</b>", ": the answer is 'text/plain'"),
        (
            "text/plain",
            "upstream\x1b[2J is down.\n",
            ": upstream[2J is down",
        ),
        ("application/json", "{\"half", ": {\"half"),
        (
            "application/json",
            r#"{"weird":{"thing":[1,2]}}"#,
            r#": {"weird":{"thing":[1,2]}}"#,
        ),
        ("application/json", "\"a text\"", ": a text"),
        (
            "application/octet-stream",
            "\0\u{1}\u{2}",
            ": the answer is 'application/octet-stream'",
        ),
        ("", "", ""),
        ("application/json", r#"{"error":{"message":"told"}}"#, ": told"),
        (
            "application/xml",
            "<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>",
            ": Reduce your rate",
        ),
        ("application/xml", "<odd><thing/></odd>", ": <odd><thing/></odd>"),
    ] {
        let refusal = refusal(500, content_type, body);
        assert!(
            refusal.describe().ends_with(&format!("(500){words}")),
            "{} {body}",
            refusal.describe()
        );
    }
    let long = refusal(500, "text/plain", &"y".repeat(10_000));
    assert!(long.describe().chars().count() < 260);
}

#[test]
fn a_redirect_names_where_it_leads() {
    let headers = [("location", "https://elsewhere.example/v1\u{202e}")];
    let head = RefusalHead::read(308, headers.into_iter(), SystemTime::now());
    let refusal = Refusal::read(&head, b"<html>moved</html>", "custom");
    assert_eq!(
        refusal.describe(),
        "refused to follow a redirect (308) to 'https://elsewhere.example/v1'"
    );
    let nowhere = self::refusal(302, "text/plain", "moved");
    assert_eq!(nowhere.describe(), "refused to follow a redirect (302): moved");
}
