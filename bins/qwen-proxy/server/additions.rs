//! What is added to a body: the members of the profile, and the wish for the count of tokens.

use serde_json::{Map, Value};

use super::members::{Edit, Members};

/// Returns the edits that add the profile's members to an object of the body that begins at `offset`: what is there stays, and
/// objects are merged.
pub(super) fn added_members(object: &[u8], offset: usize, added: &Map<String, Value>) -> Vec<Edit> {
    let Ok(members) = Members::read(object) else {
        return Vec::new();
    };
    let (mut edits, mut missing) = (Vec::new(), Vec::new());
    for (name, value) in added.iter().filter(|(_, value)| !value.is_null()) {
        match (members.find(name), value) {
            (None, value) => missing.push(format!("{}:{value}", Value::from(name.as_str()))),
            (Some(member), Value::Object(inner)) => {
                let below = &object[member.value.clone()];
                edits.extend(added_members(below, offset + member.value.start, inner));
            }
            (Some(_), _) => {}
        }
    }
    if !missing.is_empty() {
        let mut edit = members.addition(&missing.join(","));
        edit.place = edit.place.start + offset..edit.place.end + offset;
        edits.push(edit);
    }
    edits
}

/// Returns the edit that asks a stream for the count of its tokens; `None` where the request says something about that itself.
pub(super) fn usage_edit(body: &[u8], members: &Members) -> Option<Edit> {
    const WANTED: &str = r#""include_usage":true"#;
    let Some(options) = members.find("stream_options") else {
        return Some(members.addition(&format!("\"stream_options\":{{{WANTED}}}")));
    };
    let place = options.value.clone();
    let text = body.get(place.clone())?;
    if text == b"null" {
        return Some(Edit {
            place,
            text: format!("{{{WANTED}}}").into_bytes(),
        });
    }
    let inner = Members::read(text).ok()?;
    match inner.find("include_usage") {
        Some(member) if text.get(member.value.clone()) == Some(b"true") => None,
        Some(member) => Some(Edit {
            place: place.start + member.value.start..place.start + member.value.end,
            text: b"true".to_vec(),
        }),
        None => {
            let mut edit = inner.addition(WANTED);
            edit.place = edit.place.start + place.start..edit.place.end + place.start;
            Some(edit)
        }
    }
}
