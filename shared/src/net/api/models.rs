//! The list of models that an endpoint offers.

use serde_json::Value;

/// Reads a list of models: in `data` (OpenAI), in `models` (Ollama), or the whole; `None` for anything else.
#[must_use]
pub fn read_models(body: &[u8]) -> Option<Vec<Value>> {
    let text = String::from_utf8_lossy(body);
    match serde_json::from_str(&text).ok()? {
        Value::Array(list) => Some(list),
        Value::Object(mut members) => match members.remove("data").or_else(|| members.remove("models"))? {
            Value::Array(list) => Some(list),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the name of one of its models, as the server wrote it.
#[must_use]
pub fn model_name(model: &Value) -> Option<&str> {
    let name = ["id", "name", "model"]
        .iter()
        .find_map(|member| model[*member].as_str());
    name.or_else(|| model.as_str())
}
