//! A provider's Batch API: `/files` and `/batches` as OpenAI documents them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Reply, Request, Server};

/// The files and batches of the API.
#[derive(Debug, Default)]
pub struct State {
    /// Content by file ID.
    pub files: BTreeMap<String, Vec<u8>>,
    pub batches: BTreeMap<String, Value>,
    /// Members that each request for a batch lays over it, in order; the last stay.
    pub updates: Vec<Value>,
    /// Replies to the first requests, whatever they are.
    pub first: Vec<Reply>,
    /// Replies to the first requests of a kind, such as `GET /v1/batches/`, before it is answered as usual.
    pub instead: Vec<(&'static str, Reply)>,
    /// The states of an uploaded file, in order; the last stays. Without any it is processed at once.
    pub file_states: Vec<&'static str>,
    /// The state of each file as it was shown last.
    shown_states: BTreeMap<String, &'static str>,
    pub metadata: Metadata,
    /// How many batches are created without an answer.
    pub lost_creations: usize,
}

/// What an engine does with metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metadata {
    #[default]
    Kept,
    /// Refused, as by engines that know no such member.
    Refused,
    /// Taken, and not shown again.
    Dropped,
}

pub struct BatchApi {
    pub server: Server,
    pub state: Arc<Mutex<State>>,
}

impl BatchApi {
    /// An API whose batches change at each request for them; members are laid over the batch.
    pub fn new(updates: impl IntoIterator<Item = Value>) -> Self {
        let state = Arc::new(Mutex::new(State {
            updates: updates.into_iter().collect(),
            ..State::default()
        }));
        let held = Arc::clone(&state);
        let server = Server::answering(move |_, request| {
            let mut state = held.lock().unwrap();
            if !state.first.is_empty() {
                return state.first.remove(0);
            }
            let call = format!("{} {}", request.method, request.target);
            if let Some(at) = state.instead.iter().position(|(kind, _)| call.starts_with(kind)) {
                return state.instead.remove(at).1;
            }
            answer(&mut state, request)
        });
        Self { server, state }
    }

    /// Changes how the API behaves.
    pub fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// Replies so, once, to a request of that kind.
    pub fn reply_once(&self, kind: &'static str, reply: Reply) {
        self.set(|state| state.instead.push((kind, reply)));
    }

    /// Adds a file, for example of results.
    pub fn add_file(&self, id: &str, content: impl AsRef<[u8]>) {
        let mut state = self.state.lock().unwrap();
        state.files.insert(id.to_owned(), content.as_ref().to_vec());
    }

    /// Adds a batch.
    pub fn add_batch(&self, id: &str) {
        let mut state = self.state.lock().unwrap();
        state
            .batches
            .insert(id.to_owned(), batch(id, "file-in", "/v1/chat/completions"));
    }

    /// The requests so far, as `METHOD target`.
    pub fn calls(&self) -> Vec<String> {
        let requests = self.server.requests();
        requests
            .iter()
            .map(|request| format!("{} {}", request.method, request.target))
            .collect()
    }
}

fn batch(id: &str, file: &str, endpoint: &str) -> Value {
    json!({
        "id": id, "object": "batch", "endpoint": endpoint, "errors": null, "input_file_id": file,
        "completion_window": "24h", "status": "validating", "output_file_id": null, "error_file_id": null,
        "created_at": 1_795_478_400_u64, "expires_at": 1_795_564_800_u64,
        "request_counts": {"total": 0, "completed": 0, "failed": 0}, "metadata": null,
    })
}

fn answer(state: &mut State, request: &Request) -> Reply {
    // What comes by a proxy has the whole address.
    let target = match request.target.strip_prefix("http://") {
        Some(address) => &address[address.find('/').unwrap()..],
        None => &request.target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("POST", ["v1", "files"]) => take_file(state, request),
        ("GET", ["v1", "files", id, "content"]) => match state.files.get(*id) {
            Some(content) => Reply::new(200, "application/octet-stream", content),
            None => missing("No such File object"),
        },
        ("GET", ["v1", "files", id]) => show_file(state, id),
        ("DELETE", ["v1", "files", id]) => {
            state.files.remove(*id);
            Reply::json(
                200,
                &json!({"id": id, "object": "file", "deleted": true}).to_string(),
            )
        }
        ("POST", ["v1", "batches"]) => {
            let count = state.batches.len();
            let reply = make_batch(state, &request.json());
            if state.batches.len() == count || state.lost_creations == 0 {
                return reply;
            }
            state.lost_creations -= 1;
            Reply::default().reset()
        }
        ("GET", ["v1", "batches"]) => list(state, query),
        ("GET", ["v1", "batches", id]) => look(state, id),
        ("POST", ["v1", "batches", id, "cancel"]) => {
            state.updates = vec![json!({"status": "cancelling"})];
            look(state, id)
        }
        _ => missing("Invalid URL"),
    }
}

pub fn refusal(status: u16, code: &str, message: &str) -> Reply {
    let error = json!({"error": {"message": message, "type": "invalid_request_error", "code": code}});
    Reply::json(status, &error.to_string())
}

fn missing(message: &str) -> Reply {
    let error =
        json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": null}});
    Reply::json(404, &error.to_string())
}

fn take_file(state: &mut State, request: &Request) -> Reply {
    let form = Form::read(request);
    assert_eq!(form.fields, [("purpose".to_owned(), "batch".to_owned())]);
    let id = format!("file-{}", state.files.len() + 1);
    state.files.insert(id.clone(), form.file);
    show_file(state, &id)
}

fn show_file(state: &mut State, id: &str) -> Reply {
    let Some(content) = state.files.get(id) else {
        return missing("No such File object");
    };
    let status = match state.file_states.len() {
        0 => "processed",
        1 => state.file_states[0],
        _ => state.file_states.remove(0),
    };
    state.shown_states.insert(id.to_owned(), status);
    let file = json!({"id": id, "object": "file", "bytes": content.len(), "created_at": 1_795_478_400_u64, "filename": "in.jsonl", "purpose": "batch", "status": status});
    Reply::json(200, &file.to_string())
}

fn make_batch(state: &mut State, order: &Value) -> Reply {
    assert_eq!(order["completion_window"], "24h");
    let file = order["input_file_id"].as_str().unwrap();
    if !state.files.contains_key(file) {
        return missing("No such File object");
    }
    if let Some(status @ ("pending" | "uploaded" | "running")) = state.shown_states.get(file).copied() {
        let words = format!("File '{file}' is not in the processed state. Current status: {status}");
        return refusal(400, "invalidPayload", &words);
    }
    if state.metadata == Metadata::Refused && order.get("metadata").is_some() {
        return refusal(400, "unknown_parameter", "Unknown parameter: 'metadata'.");
    }
    let id = format!("batch_{}", state.batches.len() + 1);
    let mut batch = batch(&id, file, order["endpoint"].as_str().unwrap());
    if state.metadata == Metadata::Kept {
        batch["metadata"] = order["metadata"].clone();
    }
    state.batches.insert(id, batch.clone());
    Reply::json(200, &batch.to_string())
}

fn look(state: &mut State, id: &str) -> Reply {
    let Some(batch) = state.batches.get_mut(id) else {
        return missing("No batch found");
    };
    let next = match state.updates.len() {
        0 => json!({}),
        1 => state.updates[0].clone(),
        _ => state.updates.remove(0),
    };
    let members = batch.as_object_mut().unwrap();
    members.extend(next.as_object().unwrap().clone());
    Reply::json(200, &batch.to_string())
}

/// A page of the list: newest, that is last made, first.
fn list(state: &State, query: &str) -> Reply {
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    };
    let limit: usize = value("limit").map_or(20, |limit| limit.parse().unwrap());
    let all: Vec<&Value> = state.batches.values().rev().collect();
    let start = value("after").map_or(0, |after| {
        1 + all
            .iter()
            .position(|batch| batch["id"] == after.as_str())
            .unwrap()
    });
    let page = &all[start..all.len().min(start + limit)];
    let has_more = start + page.len() < all.len();
    Reply::json(
        200,
        &json!({"object": "list", "data": page, "has_more": has_more}).to_string(),
    )
}

/// A form with one file, read strictly.
pub struct Form {
    pub fields: Vec<(String, String)>,
    pub name: String,
    pub file: Vec<u8>,
}

impl Form {
    pub fn read(request: &Request) -> Self {
        let kind = request.header("content-type").unwrap();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let length: usize = request
            .header("content-length")
            .expect("a length")
            .parse()
            .unwrap();
        assert_eq!(length, request.body.len());
        let mut form = Self {
            fields: Vec::new(),
            name: String::new(),
            file: Vec::new(),
        };
        let end = format!("--{boundary}--\r\n");
        let body = request
            .body
            .strip_suffix(end.as_bytes())
            .expect("the closing boundary");
        let separator = format!("--{boundary}\r\n");
        for part in split(body, separator.as_bytes()).into_iter().skip(1) {
            form.add(
                part.strip_suffix(b"\r\n")
                    .expect("a line end before the boundary"),
            );
        }
        form
    }

    fn add(&mut self, part: &[u8]) {
        let at = part.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(part[..at].to_vec()).unwrap();
        let content = part[at + 4..].to_vec();
        let quoted = |name: &str| {
            let (_, rest) = head.split_once(&format!("{name}=\""))?;
            rest.split('"').next().map(str::to_owned)
        };
        match quoted("; filename") {
            Some(name) => {
                assert_eq!(quoted("; name").as_deref(), Some("file"));
                (self.name, self.file) = (name, content);
            }
            None => self
                .fields
                .push((quoted("; name").unwrap(), String::from_utf8(content).unwrap())),
        }
    }
}

fn split<'a>(bytes: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(separator.len()).position(|part| part == separator) {
        parts.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    parts.push(rest);
    parts
}
