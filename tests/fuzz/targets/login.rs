//! Documents of an authorization server: endpoints and codes that are safe to use and to show, or an error.
#![no_main]
#![allow(dead_code)]

#[path = "../../../bins/qwen-login/device_authorization.rs"]
mod device_authorization;
#[path = "../../../bins/qwen-login/pkce.rs"]
mod pkce;
#[path = "../properties/login.rs"]
mod property;
#[path = "../../../bins/qwen-login/verification_uri.rs"]
mod verification_uri;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
