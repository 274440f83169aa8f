//! The body of a chat completion request.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::exit::{Exit, Failure};

/// A request's body, built in layers: each later one wins, member by member.
#[derive(Clone, Debug)]
pub struct Body {
    members: Map<String, Value>,
}

impl Body {
    /// Starts a body. A stream is asked to include the count of tokens.
    #[must_use]
    pub fn new(model: &str, stream: bool) -> Self {
        let mut members = Map::new();
        members.insert("model".into(), model.into());
        members.insert("stream".into(), stream.into());
        if stream {
            members.insert(
                "stream_options".into(),
                serde_json::json!({ "include_usage": true }),
            );
        }
        Self { members }
    }

    /// Merges a layer in: the provider's, then the profile's, then the command line's. `null` removes a member.
    pub fn merge(&mut self, layer: &Map<String, Value>) {
        merge(&mut self.members, layer);
    }

    /// Sets one member.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.to_owned(), value.into());
    }

    /// Returns a member.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// Writes the body as JSON, the messages in their place after the model.
    ///
    /// The messages are written from where they are, not copied first: a prompt may have many megabytes.
    ///
    /// # Errors
    /// None in practice: every part of it is JSON already.
    pub fn to_json(&self, messages: &[Message]) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&WithMessages(&self.members, messages))
    }
}

struct WithMessages<'a>(&'a Map<String, Value>, &'a [Message]);

impl Serialize for WithMessages<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let Self(members, messages) = self;
        let mut map = serializer.serialize_map(None)?;
        if let Some(model) = members.get("model") {
            map.serialize_entry("model", model)?;
        }
        map.serialize_entry("messages", messages)?;
        let streams = members.get("stream").and_then(Value::as_bool) == Some(true);
        for (name, value) in *members {
            match name.as_str() {
                "model" | "messages" => {}
                // Servers refuse stream options without a stream; a layer may have turned it off.
                "stream_options" if !streams => {}
                _ => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

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

/// The role of a message's author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who wrote it.
    pub role: Role,
    /// Text and images.
    pub content: Content,
}

/// The content of a message: plain text wherever possible, because some servers take nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Text alone.
    Text(String),
    /// Text and images.
    Parts(Vec<Part>),
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// An image.
    ImageUrl {
        /// Where it is.
        image_url: ImageUrl,
    },
}

/// Where an image is: an `https:` URL that the server fetches, or a `data:` URL that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageUrl {
    /// The URL.
    pub url: String,
}

impl Message {
    /// Makes a message of text alone.
    #[must_use]
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            content: Content::Text(text.into()),
        }
    }

    /// Returns the text of a message that is text alone.
    #[must_use]
    pub fn into_text(self) -> Option<String> {
        match self.content {
            Content::Text(text) => Some(text),
            Content::Parts(_) => None,
        }
    }

    /// Makes the user's message of a text and the URLs of images, in that order.
    #[must_use]
    pub fn with_images(text: String, images: Vec<String>) -> Self {
        if images.is_empty() {
            return Self::text(Role::User, text);
        }
        let images = images.into_iter().map(|url| Part::ImageUrl {
            image_url: ImageUrl { url },
        });
        let words = (!text.is_empty()).then_some(Part::Text { text });
        Self {
            role: Role::User,
            content: Content::Parts(words.into_iter().chain(images).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Body;
    use super::Message;
    use super::Role;
    use serde_json::Map;
    use serde_json::Value;

    fn layer(json: &str) -> Map<String, Value> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn layers_are_merged_in_order_and_null_takes_away() {
        let mut body = Body::new("m", true);
        body.merge(&layer(
            r#"{"metadata":{"a":1,"b":2},"temperature":0.3,"messages":"never"}"#,
        ));
        body.merge(&layer(r#"{"metadata":{"b":3},"stream_options":null}"#));
        body.set("temperature", 1);
        let json = body.to_json(&[Message::text(Role::User, "hi")]).unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"metadata":{"a":1,"b":3},"temperature":1}"#
        );
    }

    #[test]
    fn an_object_that_meets_none_is_taken_as_it_is() {
        let mut body = Body::new("m", false);
        body.merge(&layer(r#"{"schema":{"const":null},"metadata":{"a":1}}"#));
        body.merge(&layer(r#"{"metadata":{"a":null,"b":{"c":null}}}"#));
        let json = body.to_json(&[]).unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"model":"m","messages":[],"stream":false,"schema":{"const":null},"metadata":{"b":{"c":null}}}"#
        );
    }

    #[test]
    fn an_answer_in_one_piece_is_asked_for_without_stream_options() {
        let mut unmade = Body::new("m", true);
        unmade.merge(&layer(r#"{"stream":false}"#));
        for body in [Body::new("m", false), unmade] {
            assert_eq!(
                String::from_utf8(body.to_json(&[]).unwrap()).unwrap(),
                r#"{"model":"m","messages":[],"stream":false}"#
            );
        }
    }
}

#[cfg(test)]
mod message_tests {
    use super::Message;
    use super::Role;

    #[test]
    fn text_alone_stays_a_string_and_images_make_parts() {
        for (message, json) in [
            (
                Message::text(Role::System, "s"),
                r#"{"role":"system","content":"s"}"#,
            ),
            (
                Message::with_images("t".into(), vec![]),
                r#"{"role":"user","content":"t"}"#,
            ),
            (
                Message::with_images("t".into(), vec!["data:image/png;base64,AA==".into()]),
                r#"{"role":"user","content":[{"type":"text","text":"t"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&message).unwrap(), json);
            assert_eq!(serde_json::from_str::<Message>(json).unwrap(), message);
        }
    }
}
