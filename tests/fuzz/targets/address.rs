//! Addresses: what is plain means the same server to another reader of URLs, and what is secret in an address is not shown.
#![no_main]

#[path = "../properties/address.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
