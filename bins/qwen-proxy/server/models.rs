//! Which models a client is shown.

use serde_json::Value;

/// Removes from a list of models those that may not be asked; `None` for what is no list.
pub(super) fn allowed_models(body: &[u8], allows: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    let list = match &mut value {
        Value::Array(list) => list,
        Value::Object(members) => ["data", "models"]
            .iter()
            .find(|name| members.get(**name).is_some_and(Value::is_array))
            .and_then(|name| members.get_mut(*name))?
            .as_array_mut()?,
        _ => return None,
    };
    list.retain(|model| {
        let name = ["id", "name", "model"]
            .iter()
            .find_map(|name| model.get(name)?.as_str());
        name.or_else(|| model.as_str()).is_some_and(&allows)
    });
    // Another list beside it would name the same models.
    if let Value::Object(members) = &mut value
        && members.contains_key("data")
    {
        members.shift_remove("models");
    }
    Some(value.to_string().into_bytes())
}

/// Returns the name of a model as it stands in a path, without its codes.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digit = |digit: Option<u8>| char::from(digit?).to_digit(16);
        decoded.push(match byte {
            b'%' => {
                let code = digit(bytes.next()).zip(digit(bytes.next()));
                code.and_then(|(high, low)| u8::try_from(high << 4 | low).ok())
                    .unwrap_or(b'%')
            }
            plain => plain,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{allowed_models, percent_decoded};

    #[test]
    fn a_list_of_models_shows_what_may_be_asked() {
        let only = |body: &str| {
            let list = allowed_models(body.as_bytes(), |name| name == "a/b");
            list.map(|list| String::from_utf8(list).unwrap())
        };
        for (body, list) in [
            (
                r#"{"object":"list","data":[{"id":"x"},{"id":"a/b","n":1.5},{"no":"id"}],"models":[{"name":"x"}]}"#,
                Some(r#"{"object":"list","data":[{"id":"a/b","n":1.5}]}"#),
            ),
            (
                r#"{"models":[{"name":"a/b"},{"name":"y"}]}"#,
                Some(r#"{"models":[{"name":"a/b"}]}"#),
            ),
            (r#"["a/b","y"]"#, Some(r#"["a/b"]"#)),
            (r#"{"data":{}}"#, None),
            ("<html>", None),
        ] {
            assert_eq!(only(body).as_deref(), list, "{body}");
        }
        assert_eq!(percent_decoded("a%2Fb%c3%a4"), "a/bä");
    }
}
