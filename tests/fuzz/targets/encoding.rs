//! Compressed bodies: the same bytes and the same end, however the body is cut.
#![no_main]
#![allow(dead_code)]

#[path = "../../../shared/src/net/http/decode.rs"]
mod decode;
#[path = "../properties/encoding.rs"]
mod property;

/// What can be wrong with a body, without what else can be wrong with an answer.
mod error {
    #[derive(Debug)]
    pub(super) enum HttpError {
        Encoded(String),
        Malformed(String),
        Cut(String),
    }

    impl std::fmt::Display for HttpError {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            std::fmt::Debug::fmt(self, f)
        }
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
