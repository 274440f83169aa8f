//! Links the programs at a fixed address on Linux.
//!
//! A position-independent program of this size has thousands of pointers that the loader corrects at each start,
//! touching every page they are on: some 0.2 ms, as much again as all that `qwen-token` does with a live credential.
//! Stack, heap and libraries keep their random addresses.

use std::env;
use std::io::{Write, stdout};

fn main() {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|set| set == value);
    let fixed = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    let argument = if fixed {
        "cargo::rustc-link-arg-bins=-no-pie\n"
    } else {
        ""
    };
    let _ = stdout().write_all(format!("cargo::rerun-if-changed=bins/build.rs\n{argument}").as_bytes());
}
