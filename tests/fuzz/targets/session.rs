//! Files of sessions: one is kept when the conversation goes on.
#![no_main]
#![allow(dead_code)]

#[path = "../../../bins/qwen-chat/message.rs"]
mod message;
#[path = "../properties/session.rs"]
mod property;
#[path = "../../../bins/qwen-chat/session_document.rs"]
mod session_document;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
