//! `config.json`: what the programs say of a file and what `qwen-auth check` says agree, and a change leaves all else as it is.
#![no_main]

#[path = "../properties/place.rs"]
mod place;
#[path = "../properties/config.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
