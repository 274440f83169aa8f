//! What the file of a session holds.

use qwen_shared::net::http::BaseUrl;
use serde::{Deserialize, Serialize};

use super::message::{Message, Role};

/// A conversation, and whom it was held with.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Document {
    /// The endpoint that the conversation was last held with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    /// The model that was asked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    pub(crate) messages: Vec<Message>,
}

impl Document {
    /// Parses a file.
    ///
    /// # Errors
    /// Where it is not a session.
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// Returns the file's content.
    ///
    /// # Errors
    /// None in practice: it holds nothing but text.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Returns the system prompt, and the messages without it.
    pub(crate) fn parts(&self) -> (Option<String>, Vec<Message>) {
        let mut messages = self.messages.clone();
        let system = messages.iter().position(|message| message.role == Role::System);
        let system = system
            .map(|place| messages.remove(place))
            .and_then(Message::into_text);
        (system, messages)
    }

    /// Adds a message and its answer, and replaces the system prompt where there is one.
    pub(crate) fn add(
        &mut self,
        system: Option<String>,
        message: Message,
        answer: String,
        endpoint: &BaseUrl,
    ) {
        self.messages = with_system(system, std::mem::take(&mut self.messages));
        self.messages.push(message);
        self.messages.push(Message::text(Role::Assistant, answer));
        self.endpoint = Some(name_of(endpoint));
    }

    /// Puts another system prompt before the messages, or none.
    pub(crate) fn set_system(&mut self, system: Option<String>) {
        self.messages.retain(|message| message.role != Role::System);
        self.messages = with_system(system, std::mem::take(&mut self.messages));
    }

    /// Takes a message and its answer back, where they are the last ones.
    pub(crate) fn take_back(&mut self, message: &Message) {
        if let [.., asked, answer] = self.messages.as_slice()
            && asked == message
            && answer.role == Role::Assistant
        {
            self.messages.truncate(self.messages.len() - 2);
        }
    }
}

/// An endpoint as it is kept: without its query, which may hold a secret.
pub(crate) fn name_of(endpoint: &BaseUrl) -> String {
    let mut url = url::Url::clone(endpoint);
    url.set_query(None);
    url.into()
}

/// Puts the system prompt, if any, before the messages.
pub(crate) fn with_system(system: Option<String>, mut messages: Vec<Message>) -> Vec<Message> {
    if let Some(system) = system.filter(|system| !system.trim().is_empty()) {
        messages.retain(|message| message.role != Role::System);
        messages.insert(0, Message::text(Role::System, system));
    }
    messages
}
