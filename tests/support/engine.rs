//! A provider's batch engine, by script: `/files` and `/batches` as OpenAI documents them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Reply, Request, Server};

/// What the engine holds.
#[derive(Debug, Default)]
pub struct Shelf {
    /// Content by file ID.
    pub files: BTreeMap<String, Vec<u8>>,
    pub batches: BTreeMap<String, Value>,
    /// What a batch becomes at each look, first to last; the last stays.
    pub fate: Vec<Value>,
    /// Answers that go before the engine's own, to any request.
    pub first: Vec<Reply>,
}

/// The engine: a server, and what it holds.
pub struct Engine {
    pub server: Server,
    pub shelf: Arc<Mutex<Shelf>>,
}

impl Engine {
    /// An engine whose batches go through these states, one at each look; members are laid over the batch.
    pub fn new(fate: impl IntoIterator<Item = Value>) -> Self {
        let shelf = Arc::new(Mutex::new(Shelf {
            fate: fate.into_iter().collect(),
            ..Shelf::default()
        }));
        let held = Arc::clone(&shelf);
        let server = Server::answering(move |_, request| {
            let mut shelf = held.lock().unwrap();
            if !shelf.first.is_empty() {
                return shelf.first.remove(0);
            }
            answer(&mut shelf, request)
        });
        Self { server, shelf }
    }

    /// Puts a file on the shelf, as the engine's results are.
    pub fn keep(&self, id: &str, content: impl AsRef<[u8]>) {
        let mut shelf = self.shelf.lock().unwrap();
        shelf.files.insert(id.to_owned(), content.as_ref().to_vec());
    }

    /// Puts a batch on the shelf.
    pub fn make(&self, id: &str) {
        let mut shelf = self.shelf.lock().unwrap();
        shelf
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

fn answer(shelf: &mut Shelf, request: &Request) -> Reply {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("POST", ["v1", "files"]) => take_file(shelf, request),
        ("GET", ["v1", "files", id, "content"]) => match shelf.files.get(*id) {
            Some(content) => Reply::new(200, "application/octet-stream", content),
            None => missing("No such File object"),
        },
        ("DELETE", ["v1", "files", id]) => {
            shelf.files.remove(*id);
            Reply::json(
                200,
                &json!({"id": id, "object": "file", "deleted": true}).to_string(),
            )
        }
        ("POST", ["v1", "batches"]) => make_batch(shelf, &request.json()),
        ("GET", ["v1", "batches"]) => list(shelf, query),
        ("GET", ["v1", "batches", id]) => look(shelf, id),
        ("POST", ["v1", "batches", id, "cancel"]) => {
            shelf.fate = vec![json!({"status": "cancelling"})];
            look(shelf, id)
        }
        _ => missing("Invalid URL"),
    }
}

fn missing(message: &str) -> Reply {
    let error =
        json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": null}});
    Reply::json(404, &error.to_string())
}

fn take_file(shelf: &mut Shelf, request: &Request) -> Reply {
    let form = Form::read(request);
    assert_eq!(form.fields, [("purpose".to_owned(), "batch".to_owned())]);
    let id = format!("file-{}", shelf.files.len() + 1);
    let file = json!({"id": id, "object": "file", "bytes": form.file.len(), "filename": form.name, "purpose": "batch"});
    shelf.files.insert(id, form.file);
    Reply::json(200, &file.to_string())
}

fn make_batch(shelf: &mut Shelf, order: &Value) -> Reply {
    assert_eq!(order["completion_window"], "24h");
    let file = order["input_file_id"].as_str().unwrap();
    if !shelf.files.contains_key(file) {
        return missing("No such File object");
    }
    let id = format!("batch_{}", shelf.batches.len() + 1);
    let mut batch = batch(&id, file, order["endpoint"].as_str().unwrap());
    batch["metadata"] = order["metadata"].clone();
    shelf.batches.insert(id, batch.clone());
    Reply::json(200, &batch.to_string())
}

fn look(shelf: &mut Shelf, id: &str) -> Reply {
    let Some(batch) = shelf.batches.get_mut(id) else {
        return missing("No batch found");
    };
    let next = match shelf.fate.len() {
        0 => json!({}),
        1 => shelf.fate[0].clone(),
        _ => shelf.fate.remove(0),
    };
    let members = batch.as_object_mut().unwrap();
    members.extend(next.as_object().unwrap().clone());
    Reply::json(200, &batch.to_string())
}

/// A page of the list: newest, that is last made, first.
fn list(shelf: &Shelf, query: &str) -> Reply {
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    };
    let limit: usize = value("limit").map_or(20, |limit| limit.parse().unwrap());
    let all: Vec<&Value> = shelf.batches.values().rev().collect();
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
