//! The answer as JSON.

use std::time::Duration;

use qwen_shared::api::Told;
use qwen_shared::chat::Summary;
use qwen_shared::failure::Failure;
use qwen_shared::pace::Word;
use qwen_shared::text::escape_json;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What is known at the end, beside the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) summary: &'a Summary,
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
    pub(crate) error: Option<&'a Failure>,
}

impl Report<'_> {
    /// Appends the object of `--json`.
    pub(super) fn add_json(&self, text: Option<&str>, thought: Option<&str>, buffer: &mut Vec<u8>) {
        let mut object = Map::new();
        object.insert("text".into(), text.unwrap_or_default().into());
        self.add_members(&mut object);
        let thought = thought.filter(|thought| !thought.is_empty());
        object.insert("reasoning".into(), thought.into());
        self.add_times(&mut object);
        add_line(&object, buffer);
    }

    /// Appends the last event of `--events`: `end`, or `error`.
    pub(super) fn add_event(&self, buffer: &mut Vec<u8>) {
        let mut object = Map::new();
        object.insert(
            "type".into(),
            if self.error.is_some() { "error" } else { "end" }.into(),
        );
        self.add_members(&mut object);
        self.add_times(&mut object);
        add_line(&object, buffer);
    }

    fn add_members(&self, object: &mut Map<String, Value>) {
        let summary = self.summary;
        let reason = summary.finish_reason.as_ref().map(|reason| reason.word());
        let named = |text: &str| (!text.is_empty()).then(|| Value::from(text));
        object.insert("finish_reason".into(), reason.into());
        object.insert("model".into(), named(&summary.model).into());
        object.insert("id".into(), named(&summary.id).into());
        let usage = summary.usage.as_ref().map(|usage| usage.sent.clone());
        object.insert("usage".into(), usage.into());
        if !summary.tool_calls.is_empty() {
            object.insert("tool_calls".into(), json!(summary.tool_calls));
        }
    }

    fn add_times(&self, object: &mut Map<String, Value>) {
        object.insert("attempts".into(), self.attempts.into());
        let elapsed = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX);
        object.insert("elapsed_ms".into(), elapsed.into());
        if let Some(failure) = self.error {
            object.insert("error".into(), error_json(failure));
        }
    }
}

/// Returns a failure as JSON: how the program exits, the message, the hints.
fn error_json(failure: &Failure) -> Value {
    let hints: Vec<&str> = failure.hints.iter().map(|hint| hint.0.as_str()).collect();
    json!({
        "exit": failure.exit.code(),
        "name": failure.exit.name(),
        "message": failure.message,
        "hints": hints,
    })
}

/// Appends an event that carries text.
pub(super) fn text_event(kind: &str, text: &str, buffer: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct TextEvent<'a> {
        r#type: &'a str,
        text: &'a str,
    }
    add_line(&TextEvent { r#type: kind, text }, buffer);
}

/// Appends the event of a pause: before another try, or for the quota.
pub(super) fn wait_event(told: &Told, buffer: &mut Vec<u8>) {
    let millis = |pause: Duration| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    let event = match told {
        Told::Again(wait) => json!({
            "type": "retry",
            "reason": wait.reason,
            "attempt": wait.attempt,
            "wait_ms": millis(wait.pause),
        }),
        Told::Quota(Word::Wait(pause, reason)) => json!({
            "type": "wait",
            "reason": reason,
            "wait_ms": millis(*pause),
        }),
        Told::Quota(Word::Notice(_)) => return,
    };
    add_line(&event, buffer);
}

/// Appends one line of JSON. Characters that would act on a terminal are written as escapes: JSON is for programs, but
/// people look at it.
fn add_line(value: &impl Serialize, buffer: &mut Vec<u8>) {
    // Only a key that is no text, or a failing writer, could make this fail: there is neither.
    let json = serde_json::to_string(value).unwrap_or_default();
    buffer.extend_from_slice(escape_json(&json).as_bytes());
    buffer.push(b'\n');
}
