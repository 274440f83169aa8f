//! Answers on a terminal: what a streamed one shows is what it shows in one piece.
#![no_main]
#![allow(dead_code)]

#[path = "../../../bins/qwen-chat/markdown/mod.rs"]
mod markdown;
#[path = "../properties/markdown.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
