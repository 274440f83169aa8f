//! The list of models that an endpoint offers.

use serde_json::Value;

/// Reads a list of models: in `data` (OpenAI), in `models` (Ollama), or the whole; `None` for anything else. A list that is
/// `null` is one without models.
#[must_use]
pub fn read_models(body: &[u8]) -> Option<Vec<Value>> {
    let text = String::from_utf8_lossy(body);
    match serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()? {
        Value::Array(list) => Some(list),
        Value::Object(mut members) => {
            let lists = ["data", "models"].map(|name| members.remove(name));
            let is_empty = lists.iter().flatten().any(Value::is_null);
            let list = lists.into_iter().flatten().find_map(|list| match list {
                Value::Array(list) => Some(list),
                _ => None,
            });
            list.or_else(|| is_empty.then(Vec::new))
        }
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

#[cfg(test)]
mod tests {
    use super::read_models;

    #[test]
    fn a_list_of_models_is_read_in_every_form() {
        for (body, count) in [
            (r#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#, Some(2)),
            (r#"{"models":[{"name":"a"}],"data":null}"#, Some(1)),
            (r#"["a"]"#, Some(1)),
            (r#"{"object":"list","data":null}"#, Some(0)),
            (r#"{"error":{"message":"no"}}"#, None),
            (r#"{"data":{}}"#, None),
            ("<html>", None),
        ] {
            let models = read_models(body.as_bytes());
            assert_eq!(models.map(|models| models.len()), count, "{body}");
        }
    }
}
