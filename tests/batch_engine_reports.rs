//! What people have reported of Batch APIs, each report as data: what the server said, and what is right.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::support::batch::{batch, line, results_in};
use crate::support::{Reply, Sandbox, Server};
use serde_json::Value;

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|text| text.as_str().unwrap())
        .collect()
}

/// The reply that a report describes.
fn reply(value: &Value) -> Reply {
    let status = value["status"]
        .as_u64()
        .map_or(200, |status| u16::try_from(status).unwrap());
    if let Some(cut) = value["cut"].as_str() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n";
        return Reply::default().send(head).send(cut).close();
    }
    if let Some(text) = value["text"].as_str() {
        return Reply::new(status, "application/octet-stream", text);
    }
    if let Some(lines) = value["lines"].as_array() {
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        return Reply::new(status, "application/octet-stream", lines);
    }
    Reply::json(status, &value["json"].to_string())
}

/// A server that says what the report says; the last reply to a kind of request stays.
fn server(report: &Value) -> Server {
    let kinds = report["replies"].as_object().unwrap().iter();
    let replies: BTreeMap<String, Vec<Reply>> = kinds
        .map(|(kind, list)| (kind.clone(), list.as_array().unwrap().iter().map(reply).collect()))
        .collect();
    let replies = Mutex::new(replies);
    Server::answering(move |_, request| {
        let path = request.target.split('?').next().unwrap();
        let kind = format!("{} {path}", request.method);
        match replies.lock().unwrap().get_mut(&kind) {
            Some(list) if list.len() > 1 => list.remove(0),
            Some(list) => list[0].clone(),
            None => Reply::json(404, &format!(r#"{{"error":{{"message":"unexpected: {kind}"}}}}"#)),
        }
    })
}

#[test]
fn reports_end_as_is_right() {
    let reports: Vec<Value> = serde_json::from_str(include_str!("data/batch_engine/reports.json")).unwrap();
    assert!(reports.len() >= 25);
    for report in &reports {
        let source = &report["source"];
        let (sandbox, server) = (Sandbox::new(), server(report));
        sandbox.write("work/in.jsonl", line("a", "x"));
        let run = batch(&sandbox, &server).args(texts(&report["args"])).run();
        assert_eq!(
            Some(u64::try_from(run.code()).unwrap()),
            report["exit"].as_u64(),
            "{source}: {run:#?}"
        );
        for words in texts(&report["stderr"]) {
            assert!(run.stderr.contains(words), "{source}: no {words:?} in {run:#?}");
        }
        for words in texts(&report["stdout"]) {
            assert!(run.text().contains(words), "{source}: no {words:?} in {run:#?}");
        }
        if report["stderr"].is_null() {
            assert_eq!(run.stderr, "", "{source}");
        }
        if let Some(kept) = report["kept"].as_array() {
            let names: Vec<String> = results_in(&sandbox.work().join("out.jsonl"))
                .into_keys()
                .collect();
            assert_eq!(&names, kept, "{source}");
        }
    }
}
