//! What people reported of other programs that send many requests, each rebuilt from its public report.
use std::collections::BTreeMap;

use crate::support::batch::{batch, lines, prompt, results_in, text, whole};
use crate::support::{Reply, Sandbox, Server};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    source: String,
    #[serde(rename = "report")]
    _report: String,
    /// What the output holds before.
    out: Option<String>,
    #[serde(default)]
    server: Vec<Rule>,
    runs: Vec<BatchRun>,
    /// By ID, or by prompt where there is none: the answer, or nothing for a failure.
    #[serde(default)]
    answers: BTreeMap<String, Option<String>>,
    /// How many of the numbered lines have their own answer.
    answered: Option<usize>,
}

/// Which requests get another reply than their prompt.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    from: Option<usize>,
    until: Option<usize>,
    every: Option<usize>,
    prompt: Option<String>,
    status: u16,
    body: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchRun {
    input: Option<String>,
    /// In the place of an input: so many numbered lines.
    lines: Option<usize>,
    encoding: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    key: Option<String>,
    exit: i32,
    /// How many requests the server has had by then.
    asked: Option<usize>,
    #[serde(default)]
    says: Vec<String>,
}

impl Rule {
    fn fits(&self, number: usize, asked: &str) -> bool {
        self.from.is_none_or(|from| number >= from)
            && self.until.is_none_or(|until| number < until)
            && self.every.is_none_or(|every| number % every == every - 1)
            && self.prompt.as_ref().is_none_or(|prompt| prompt == asked)
    }
}

impl BatchRun {
    fn input(&self) -> Vec<u8> {
        let input = match (&self.input, self.lines) {
            (Some(input), _) => input.clone(),
            (None, count) => lines(count.unwrap()),
        };
        match self.encoding.as_deref() {
            Some("utf-16") => std::iter::once(0xfeff)
                .chain(input.encode_utf16())
                .flat_map(u16::to_le_bytes)
                .collect(),
            None => input.into_bytes(),
            other => panic!("unknown encoding {other:?}"),
        }
    }
}

#[test]
fn reports_of_other_programs_are_none_of_this_one() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("data/batch/reports.json")).unwrap();
    assert!(cases.len() >= 20);
    for case in cases {
        println!("{}", case.source);
        let rules = case.server.clone();
        let server = Server::answering(move |number, request| {
            let asked = prompt(request);
            match rules.iter().find(|rule| rule.fits(number, &asked)) {
                Some(rule) => Reply::json(rule.status, &rule.body.to_string()),
                None => whole(&asked),
            }
        });
        let sandbox = Sandbox::new();
        if let Some(out) = &case.out {
            sandbox.write("work/out.jsonl", out);
        }
        for run in &case.runs {
            sandbox.write("work/in", run.input());
            let mut tool = batch(&sandbox, &server)
                .args(["run", "in", "-o", "out.jsonl"])
                .args(&run.args);
            if let Some(key) = &run.key {
                tool = tool.env("OPENAI_API_KEY", key);
            }
            let ended = tool.run().exits(run.exit);
            for words in &run.says {
                assert!(
                    ended.stderr.contains(words),
                    "{}: no {words:?} in {ended:#?}",
                    case.source
                );
            }
            if let Some(asked) = run.asked {
                assert_eq!(server.count(), asked, "{}", case.source);
            }
        }
        let results = results_in(&sandbox.work().join("out.jsonl"));
        if let Some(count) = case.answered {
            assert_eq!(results.len(), count, "{}", case.source);
            assert!(
                results.iter().all(|(name, result)| text(result) == name),
                "{}",
                case.source
            );
        }
        for (name, answer) in &case.answers {
            let result = results.get(name).or_else(|| {
                results
                    .values()
                    .find(|result| result["error"].is_null() && text(result) == name)
            });
            let result = result.unwrap_or_else(|| panic!("{}: no '{name}'", case.source));
            match answer {
                Some(answer) => assert_eq!(text(result), answer, "{}", case.source),
                None => assert!(!result["error"].is_null(), "{}: {result}", case.source),
            }
        }
    }
}
