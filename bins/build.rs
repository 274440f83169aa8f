//! Links the programs without a network without a shared library on Linux.
//!
//! `qwen NAME` may cost no more than `/bin/true` on top of the tool, and `qwen-env` runs at every prompt; finding, mapping
//! and relocating libc is most of what `/bin/true` does. These two resolve no host name, which a static glibc is bad at,
//! and look up the user only where `HOME` is not set, so they get one where the C library's archive is there. Where it is
//! not, nothing is changed. rustc can do this for a whole build only; for one program there is a linker script under each
//! library's name, in a directory that its link alone searches.

use std::env;
use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs that are linked without a shared library.
const STATIC: [&str; 2] = ["qwen", "qwen-env"];

fn main() {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|set| set == value);
    let mut said = String::from("cargo::rerun-if-changed=bins/build.rs\n");
    if is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && let Some(directory) = archives()
    {
        for program in STATIC {
            for argument in ["-static-pie", &format!("-L{}", directory.display())] {
                said.push_str(&format!("cargo::rustc-link-arg-bin={program}={argument}\n"));
            }
        }
    }
    let _ = stdout().write_all(said.as_bytes());
}

/// Writes the linker scripts and returns their directory; `None` where an archive is missing, or for another machine.
fn archives() -> Option<PathBuf> {
    if env::var("TARGET").ok()? != env::var("HOST").ok()? {
        return None;
    }
    // What a static program that may lie anywhere in memory begins with; not every distribution has it.
    archive("rcrt1.o")?;
    let [libc, libm, libgcc] = ["libc.a", "libm.a", "libgcc.a"].map(archive);
    let (libc, libm, libgcc) = (libc?, libm?, libgcc?);
    let unwinder = libgcc.with_file_name("libgcc_eh.a");
    if !unwinder.is_file() {
        return None;
    }
    let directory = PathBuf::from(env::var_os("OUT_DIR")?).join("static");
    fs::create_dir_all(&directory).ok()?;
    let group = |members: &[&Path]| {
        let members: Vec<String> = members
            .iter()
            .map(|member| member.display().to_string())
            .collect();
        format!("GROUP ( {} )\n", members.join(" "))
    };
    let all = group(&[&libc, &libgcc, &unwinder]);
    fs::write(directory.join("libc.so"), &all).ok()?;
    fs::write(directory.join("libgcc_s.so"), &all).ok()?;
    fs::write(directory.join("libm.so"), group(&[&libm])).ok()?;
    Some(directory)
}

/// Asks the compiler where it has an archive. It answers with the bare name when it has none.
fn archive(name: &str) -> Option<PathBuf> {
    let output = Command::new("cc")
        .arg(format!("-print-file-name={name}"))
        .output()
        .ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    (path.is_absolute() && path.is_file()).then_some(path)
}
