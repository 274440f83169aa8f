//! Members of a request's body.

use serde_json::{Map, Value};

use crate::exit::{Exit, Failure};

/// Merges JSON objects much as RFC 7396 does: objects member by member, `null` deletes, anything else replaces.
///
/// Unlike there, an object that meets none is copied whole: a `null` within a JSON schema means something.
pub fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.shift_remove(name);
            }
            Value::Object(inner) => match target.get_mut(name) {
                Some(Value::Object(below)) => merge(below, inner),
                _ => {
                    target.insert(name.clone(), value.clone());
                }
            },
            other => {
                target.insert(name.clone(), other.clone());
            }
        }
    }
}

/// Reads the values of `--param NAME=JSON` into members of a request's body.
///
/// # Errors
/// 64 for a value that is not `NAME=JSON`, and for a member that is set in another way.
pub fn parse_params(params: &[String]) -> Result<Map<String, Value>, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, format!("--param: {message}"));
    let mut members = Map::new();
    for param in params {
        let (name, json) = param
            .split_once('=')
            .filter(|(name, _)| !name.trim().is_empty())
            .ok_or_else(|| usage(format!("'{param}' is not NAME=JSON")))?;
        if matches!(name, "messages" | "model" | "stream") {
            return Err(usage(format!("'{name}' cannot be set this way")));
        }
        let value = serde_json::from_str(json).map_err(|error| {
            usage(format!("the value of '{name}' is not JSON: {error}"))
                .hint(format!("quote text twice: --param '{name}=\"text\"'"))
        })?;
        members.insert(name.to_owned(), value);
    }
    Ok(members)
}
