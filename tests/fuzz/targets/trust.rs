//! The answers about files: a store is kept when it is changed, and a damaged one is left as it is.
#![no_main]

#[path = "../properties/place.rs"]
mod place;
#[path = "../properties/trust.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
