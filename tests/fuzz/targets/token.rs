//! Answers of a token endpoint: a token that a header can carry, for an address that is the provider's, or an error.
#![no_main]

#[path = "../properties/token.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
