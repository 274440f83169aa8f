//! Links the unwinder into the programs instead of loading it at each start.
//!
//! On Linux with glibc the standard library asks for `libgcc_s.so`, which the loader has to find, map and relocate:
//! about a fifth of a millisecond, a quarter of what a program that prints one line takes. GCC ships the same code
//! as an archive. A linker script under the library's name, in a directory that is searched first, points to it.
//! Where the compiler or the archive is not found nothing is changed.

use std::env;
use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let said = match archives() {
        Some(directory) => format!("cargo::rustc-link-search=native={}\n", directory.display()),
        None => String::new(),
    };
    let _ = stdout().write_all(format!("cargo::rerun-if-changed=build.rs\n{said}").as_bytes());
}

/// Writes the linker script and returns its directory.
fn archives() -> Option<PathBuf> {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|set| set == value);
    let native = env::var("TARGET").ok()? == env::var("HOST").ok()?;
    if !(native && is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu")) {
        return None;
    }
    let output = Command::new("cc").arg("-print-libgcc-file-name").output().ok()?;
    let libgcc = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    let unwinder = libgcc.with_file_name("libgcc_eh.a");
    if !(is_archive(&libgcc) && is_archive(&unwinder)) {
        return None;
    }
    let directory = PathBuf::from(env::var_os("OUT_DIR")?);
    let script = format!("GROUP ( {} {} )\n", unwinder.display(), libgcc.display());
    fs::write(directory.join("libgcc_s.so"), script).ok()?;
    Some(directory)
}

fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "a") && path.is_file()
}
