//! The messages of a conversation.

use serde::{Deserialize, Serialize};

/// The role of a message's author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    System,
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) role: Role,
    pub(crate) content: Content,
}

/// The content of a message: plain text wherever possible, because some servers take nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Part {
    Text { text: String },
    ImageUrl { image_url: ImageUrl },
}

/// Where an image is: an `https:` URL that the server fetches, or a `data:` URL that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageUrl {
    pub(crate) url: String,
}

impl Part {
    fn words(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            Self::ImageUrl { .. } => None,
        }
    }
}

impl Message {
    /// Makes a message of text alone.
    pub(crate) fn text(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            content: Content::Text(text.into()),
        }
    }

    /// Returns the text of a message that is text alone.
    pub(crate) fn into_text(self) -> Option<String> {
        match self.content {
            Content::Text(text) => Some(text),
            Content::Parts(_) => None,
        }
    }

    /// Returns its words without what goes with them.
    pub(crate) fn words(&self) -> &str {
        match &self.content {
            Content::Text(text) => text,
            Content::Parts(parts) => parts.iter().find_map(Part::words).unwrap_or_default(),
        }
    }

    /// Makes the user's message of a text and the URLs of images, in that order.
    pub(crate) fn with_images(text: String, images: Vec<String>) -> Self {
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
