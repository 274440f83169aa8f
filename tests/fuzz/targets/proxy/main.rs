//! Requests to qwen-proxy, judged as by its server.
#![no_main]
#![allow(dead_code, unused_imports)]

mod server;

libfuzzer_sys::fuzz_target!(|data: &[u8]| server::property::holds(data));
