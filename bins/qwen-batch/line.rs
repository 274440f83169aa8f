//! One line of the input: what it asks, or why it cannot be asked.

use serde_json::{Map, Value};

use super::template::Shape;

/// How every path begins; a line may leave it out.
const VERSION: &str = "/v1/";
/// The path of a line that names none.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// A request, ready but for the endpoint.
#[derive(Debug)]
pub(crate) struct Task {
    /// The name by which the result is found.
    pub(crate) custom_id: String,
    /// The path as OpenAI's batch files have it, `/v1/…`.
    pub(crate) path: String,
    pub(crate) body: Map<String, Value>,
}

impl Task {
    /// True for a chat completion, whose answer we can judge.
    pub(crate) fn is_chat(&self) -> bool {
        self.path == CHAT
    }

    /// Returns the model that is asked.
    pub(crate) fn model(&self) -> &str {
        self.body.get("model").and_then(Value::as_str).unwrap_or_default()
    }

    /// Writes the task as a line of OpenAI's batch files.
    pub(crate) fn to_line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = serde_json::to_vec(&serde_json::json!({
            "custom_id": self.custom_id,
            "method": "POST",
            "url": self.path,
            "body": self.body,
        }))?;
        line.push(b'\n');
        Ok(line)
    }
}

/// A line that cannot be asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// The name that the line gives itself, where it could be read.
    pub(crate) custom_id: Option<String>,
    /// What is wrong with it.
    pub(crate) reason: String,
}

impl BadLine {
    /// A line of which not even the name can be read.
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            custom_id: None,
            reason: reason.into(),
        }
    }
}

/// Returns the name of a line that has none: the same in every run over the same file.
pub(crate) fn name_of(number: u64) -> String {
    format!("line-{number}")
}

/// True for a line that says nothing.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

/// Reads the line of that number, counted from 1.
///
/// # Errors
/// The line is malformed.
pub(crate) fn read(line: &[u8], number: u64, shape: &Shape) -> Result<Task, BadLine> {
    let text = std::str::from_utf8(line).map_err(|error| {
        BadLine::new(format!(
            "invalid UTF-8 at byte {} of the line",
            error.valid_up_to()
        ))
    })?;
    if shape.takes_text() {
        let own = shape.ask(&shape.fill(text), None);
        return Ok(chat(name_of(number), &own, shape));
    }
    let value: Value = serde_json::from_str(text)
        .map_err(|error| BadLine::new(format!("not valid JSON: {}", words(&error))))?;
    let Value::Object(members) = value else {
        return Err(BadLine::new("not a JSON object".to_owned()));
    };
    let custom_id = own_name(&members).map_err(BadLine::new)?;
    let named = custom_id.clone();
    object(&members, custom_id.unwrap_or_else(|| name_of(number)), shape).map_err(|reason| BadLine {
        custom_id: named,
        reason,
    })
}

/// Says what serde found, without its line number, which is always 1.
fn words(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

fn chat(custom_id: String, own: &Map<String, Value>, shape: &Shape) -> Task {
    Task {
        custom_id,
        path: CHAT.to_owned(),
        body: shape.chat_body(own),
    }
}

/// Returns the line's `custom_id`; for a prompt `id` will do.
fn own_name(members: &Map<String, Value>) -> Result<Option<String>, String> {
    let name = match members.get("custom_id") {
        None | Some(Value::Null) if !members.contains_key("body") => members.get("id"),
        other => other,
    };
    match name {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) if !name.is_empty() => Ok(Some(name.clone())),
        Some(Value::String(_)) => Err("'custom_id' is empty".to_owned()),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err("'custom_id' is not a string".to_owned()),
    }
}

fn object(members: &Map<String, Value>, custom_id: String, shape: &Shape) -> Result<Task, String> {
    let Some(body) = members.get("body") else {
        return prompt(members, custom_id, shape);
    };
    let Value::Object(body) = body else {
        return Err("'body' is not an object".to_owned());
    };
    match members.get("method") {
        None | Some(Value::Null) => {}
        Some(Value::String(method)) if method.eq_ignore_ascii_case("POST") => {}
        Some(_) => return Err("'method' is not POST".to_owned()),
    }
    let path = match members.get("url") {
        None | Some(Value::Null) => CHAT.to_owned(),
        Some(Value::String(path)) if path.starts_with(VERSION) => path.clone(),
        // As in files for Azure's deployments.
        Some(Value::String(path)) => format!("/v1{path}"),
        Some(_) => return Err("'url' is not a string".to_owned()),
    };
    check_path(&path)?;
    if path != CHAT {
        return Ok(Task {
            custom_id,
            path,
            body: shape.other_body(body),
        });
    }
    match body.get("messages") {
        Some(Value::Array(messages)) if !messages.is_empty() => Ok(chat(custom_id, body, shape)),
        Some(Value::Array(_)) => Err("'messages' is empty".to_owned()),
        Some(_) => Err("'messages' is not a list".to_owned()),
        None => Err("the body has no 'messages'".to_owned()),
    }
}

/// Refuses what is not a plain path below `/v1/`: the key goes with the request.
fn check_path(path: &str) -> Result<(), String> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match path.strip_prefix(VERSION) {
        Some(rest) if rest.split('/').all(plain) => Ok(()),
        _ => Err("'url' is not a path such as /v1/chat/completions".to_owned()),
    }
}

fn prompt(members: &Map<String, Value>, custom_id: String, shape: &Shape) -> Result<Task, String> {
    let system = match members.get("system") {
        None | Some(Value::Null) => None,
        Some(Value::String(system)) => Some(system.as_str()),
        Some(_) => return Err("'system' is not a string".to_owned()),
    };
    match members.get("prompt") {
        Some(Value::String(prompt)) if !prompt.trim().is_empty() => {
            Ok(chat(custom_id, &shape.ask(prompt, system), shape))
        }
        Some(Value::String(_)) => Err("'prompt' is empty".to_owned()),
        Some(_) => Err("'prompt' is not a string".to_owned()),
        None => Err("neither 'body' nor 'prompt' is there".to_owned()),
    }
}
