//! Answers: the same text, the same end, however the bytes are cut.
#![no_main]

#[path = "../properties/answer.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
