//! Requests to qwen-proxy: a body passes a rule only where every reader of JSON finds an allowed model in it, what is changed in
//! it is one value, and a stream passes the same however it is cut.
//!
//! The first line of an input is a method and a path, the second one the content type; the rest is the body.

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

use super::head_scan::HeadScan;
use super::members::Members;
use super::reading::{Reading, Task};
use super::route::{Pattern, Route, Service, find};
use super::rules::Rules;
use super::usage::Tap;

/// Judges a request by several rules, and passes its body on as an answer.
pub(crate) fn holds(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let (first, content_type) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let body = parts.next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let (method, path) = first.split_once(' ').unwrap_or((&first, ""));
    paths(method, path);
    heads(data);
    members(body);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    for service in [
        Service::Chat,
        Service::Completions,
        Service::Embeddings,
        Service::Media,
    ] {
        bodies(service, &headers, body);
    }
    answers(body);
}

/// A path that passes is one that every server reads in the same way.
fn paths(method: &str, path: &str) {
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return;
    };
    let allowed: Vec<Pattern> = ["files", "responses/{id}", "batches/*/cancel"]
        .iter()
        .filter_map(|text| Pattern::parse(text).ok())
        .collect();
    assert_eq!(allowed.len(), 3);
    let Ok(route) = find(&method, path, &allowed) else {
        return;
    };
    assert_eq!(format!("/v1{}", route.path), path);
    assert!(
        path.split('/')
            .skip(1)
            .all(|name| !matches!(name, "" | "." | "..")),
        "{path:?}"
    );
    assert!(
        !path.to_ascii_lowercase().contains("%2e%2e") || !path.contains("/%2e%2e/"),
        "{path:?}"
    );
    assert!(
        !path.contains('\\') && path.bytes().all(|byte| !byte.is_ascii_control()),
        "{path:?}"
    );
}

/// The end of a body that is told twice is seen however the head is cut.
fn heads(head: &[u8]) {
    let scan = |length: usize| {
        let mut scan = HeadScan::default();
        head.chunks(length).for_each(|piece| scan.scan(piece));
        scan.is_ambiguous()
    };
    assert_eq!(scan(1), scan(head.len().max(1)));
    assert_eq!(scan(3), scan(7));
}

/// The members stand where they are said to stand.
fn members(body: &[u8]) {
    let Ok(members) = Members::read(body) else {
        let parsed = serde_json::from_slice::<Map<String, Value>>(body);
        // A lone half of a surrogate pair is no text, whoever reads it.
        assert!(parsed.is_err(), "an object is not read");
        return;
    };
    for member in members.iter() {
        let value = body.get(member.value.clone()).expect("a value of the text");
        assert!(
            serde_json::from_slice::<&serde_json::value::RawValue>(value).is_ok(),
            "{member:?}"
        );
    }
    if let Ok(parsed) = serde_json::from_slice::<Map<String, Value>>(body) {
        for (name, value) in parsed {
            let found = members.text(body, &name).expect("a member");
            assert_eq!(
                serde_json::from_slice::<Value>(found).ok().as_ref(),
                Some(&value),
                "{name:?}"
            );
        }
    }
}

/// Judges one body by rules.
fn bodies(service: Service, headers: &HeaderMap, body: &[u8]) {
    let route = Route {
        method: "POST",
        path: "/chat/completions".to_owned(),
        service,
    };
    let added = json!({ "top_k": 5, "extra": { "a": [1] } });
    let added = added.as_object().expect("an object");
    let none = Map::new();
    let rules = |allowed: &[&str], replacement: Option<&str>| Rules {
        allowed: allowed.iter().map(|name| (*name).to_owned()).collect(),
        replacement: replacement.map(str::to_owned),
    };
    for (rules, counts, added) in [
        (rules(&["good"], None), false, &none),
        (rules(&[], Some("other")), false, added),
        (rules(&["good"], Some("other")), true, added),
        (rules(&[], None), true, &none),
        (rules(&[], None), false, added),
    ] {
        let task = Task {
            rules: &rules,
            counts,
            added,
        };
        let Ok(reading) = task.read(&route, headers, body) else {
            continue;
        };
        let sent = reading.changed.as_deref().unwrap_or(body);
        for sent in [Some(sent), reading.counting.as_deref()].into_iter().flatten() {
            if serde_json::from_slice::<Value>(body).is_ok() {
                judged(&rules, sent, body);
            }
        }
        lowered(reading.clone(), body);
        if let Some(counting) = &reading.counting {
            let value: Value = serde_json::from_slice(counting).expect("JSON");
            assert_eq!(value["stream_options"]["include_usage"], Value::Bool(true));
        }
    }
}

/// Where less is left than a request allows its answer, no body that may be sent says more than that.
fn lowered(mut reading: Reading, body: &[u8]) {
    const LEFT: u64 = 3;
    if reading.max_output.is_none() {
        return;
    }
    reading.lower(body, LEFT);
    let sent = reading.changed.as_deref().unwrap_or(body);
    for sent in [Some(sent), reading.counting.as_deref()].into_iter().flatten() {
        let value: Value = serde_json::from_slice(sent).expect("JSON");
        for name in ["max_tokens", "max_completion_tokens", "max_output_tokens"] {
            assert!(value[name].as_u64().is_none_or(|limit| limit <= LEFT), "{value}");
        }
    }
}

/// What is sent names one model, the right one; all that the client wrote besides is there.
fn judged(rules: &Rules, sent: &[u8], body: &[u8]) {
    let Ok(sent) = serde_json::from_slice::<Value>(sent) else {
        panic!("what is sent is no JSON: {}", String::from_utf8_lossy(sent));
    };
    if let Some(model) = &rules.replacement {
        assert_eq!(sent["model"], Value::from(model.as_str()));
    } else if !rules.allowed.is_empty() {
        let names: Vec<&str> = sent
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| name.to_lowercase() == "model")
            .filter_map(|(_, model)| model.as_str())
            .collect();
        assert_eq!(names, ["good"]);
    }
    let Ok(Value::Object(asked)) = serde_json::from_slice(body) else {
        return;
    };
    for (name, value) in asked {
        if !matches!(name.as_str(), "model" | "stream_options" | "extra") {
            assert_eq!(sent[&name], value, "{name:?} was changed");
        }
    }
}

/// An answer passes the same, and its tokens are counted the same, however it is cut.
fn answers(body: &[u8]) {
    let pass = |mut tap: Tap, length: usize| {
        let mut passed = Vec::new();
        for piece in body.chunks(length) {
            passed.extend_from_slice(&tap.push(Bytes::copy_from_slice(piece)));
        }
        passed.extend_from_slice(&tap.finish());
        let streamed = tap.streamed();
        (passed, tap.usage(), streamed.events, streamed.text)
    };
    for make in [Tap::document, || Tap::events(false), || Tap::events(true)] {
        let whole = pass(make(), body.len().max(1));
        for length in [1, 2, 5, 64] {
            assert_eq!(pass(make(), length), whole, "in pieces of {length}");
        }
        if !make().cuts() {
            assert_eq!(whole.0, body, "an answer was changed");
        }
    }
}

#[cfg(test)]
#[test]
fn every_input_that_a_fuzzer_kept_is_judged_the_same_by_every_reader() {
    crate::played::play("proxy", holds);
}
