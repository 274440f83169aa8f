//! Refusals: whatever a server answers, it is one harmless line, an exit code of the table, and the same each time.
#![no_main]

#[path = "../properties/refusal.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
