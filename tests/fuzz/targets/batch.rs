//! Files of `qwen-batch`: lines are requests or reasons, and records that are known again or none.
#![no_main]
#![allow(dead_code)]

#[path = "../../../bins/qwen-batch/answer_body.rs"]
mod answer_body;
#[path = "../../../bins/qwen-batch/digest.rs"]
mod digest;
#[path = "../../../bins/qwen-batch/input_format.rs"]
mod input_format;
#[path = "../../../bins/qwen-batch/parameters.rs"]
mod parameters;
#[path = "../properties/batch.rs"]
mod property;
#[path = "../../../bins/qwen-batch/record.rs"]
mod record;
#[path = "../../../bins/qwen-batch/request.rs"]
mod request;

/// The part of the command line that makes requests, without its grammar.
mod args {
    use std::ffi::OsString;

    pub(crate) struct RequestArgs {
        pub(crate) model: Option<String>,
        pub(crate) system: Option<OsString>,
        pub(crate) template: Option<OsString>,
        pub(crate) param: Vec<String>,
    }
}

/// A line of the input, without what reads it.
mod input {
    pub(crate) const LINE_LIMIT: usize = 32 << 20;

    pub(crate) struct InputLine {
        pub(crate) number: u64,
        pub(crate) content: Vec<u8>,
        pub(crate) is_whole: bool,
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
