//! The encoders of the shells: a real shell that evaluates the statements has every value, whatever it is.
#![no_main]

#[path = "../properties/shell.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
