//! The state of a quota: no more requests start than the limits allow, whatever the file holds.
#![no_main]
#![allow(dead_code)]

#[path = "../properties/quota.rs"]
mod property;
#[path = "../../../shared/src/net/ratelimit/state/mod.rs"]
mod state;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
