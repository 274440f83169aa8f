//! Stored credentials: what is read of a file, of ours and of Qwen Code's, is written so that it is read again as the same.
#![no_main]

#[path = "../properties/place.rs"]
mod place;
#[path = "../properties/credential.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
