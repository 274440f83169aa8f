//! Files of sessions: one is kept when the conversation goes on, and a step that is taken back leaves what was there.

use qwen_shared::net::http::BaseUrl;

use super::message::{Message, Role};
use super::session_document::Document;

const ENDPOINT: &str = "https://llm.example/v1?key=0123456789abcdef";

/// Reads an input as the file, and goes on with the conversation.
pub(crate) fn holds(data: &[u8]) {
    let Ok(before) = Document::from_json(data) else {
        return;
    };
    assert_eq!(again(&before), before, "what was written is not read");
    let mut document = again(&before);
    let endpoint = BaseUrl::parse(ENDPOINT).expect("an address");
    let message = Message::with_images("ä?".into(), vec!["data:image/png;base64,AA==".into()]);
    document.add(None, message.clone(), "answer\n".into(), &endpoint);
    let mut document = again(&document);
    let [kept @ .., asked, answer] = document.messages.as_slice() else {
        panic!("the message is not kept");
    };
    assert_eq!(kept, before.messages, "another message was changed");
    assert_eq!(
        (asked, answer),
        (&message, &Message::text(Role::Assistant, "answer\n"))
    );
    let named = document.endpoint.as_deref().expect("an endpoint");
    assert!(!named.contains("0123456789abcdef"), "{named}");
    assert_eq!(document.model, before.model);

    document.take_back(&message);
    assert_eq!(document.messages, before.messages, "more was taken back");
    document.set_system(Some("system".into()));
    let (system, messages) = again(&document).parts();
    assert_eq!(system.as_deref(), Some("system"));
    let others = |messages: &[Message]| -> Vec<Message> {
        let others = messages.iter().filter(|message| message.role != Role::System);
        others.cloned().collect()
    };
    assert_eq!(messages, others(&before.messages), "another message was changed");
    document.set_system(None);
    assert_eq!(document.messages, messages);
}

/// Writes a document and reads it.
fn again(document: &Document) -> Document {
    let written = document.to_json().expect("text");
    Document::from_json(&written).expect("what was written")
}

#[cfg(test)]
#[test]
fn every_input_that_a_fuzzer_kept_is_a_session_that_is_kept() {
    crate::played::play("session", holds);
}
