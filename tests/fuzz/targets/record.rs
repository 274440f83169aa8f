//! `QWEN_ENV_EXPORTED`: a text is a record that can be written again as it was read, or it names nothing.
#![no_main]

#[path = "../properties/record.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
