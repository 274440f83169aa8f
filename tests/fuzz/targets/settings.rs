//! Qwen Code's `settings.json`: what is read of it is an endpoint with its key or a reason, and no notice shows a key.
#![no_main]

#[path = "../properties/place.rs"]
mod place;
#[path = "../properties/settings.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
