//! Files of CA certificates: the same certificates with a byte-order mark or other line ends, and each as long as it says.
#![no_main]

#[path = "../../../shared/src/net/http/ca_bundle.rs"]
mod ca_bundle;
#[path = "../properties/ca_bundle.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
