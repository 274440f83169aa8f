//! How the programs are linked on Linux, so that they are there at once.
//!
//! `qwen NAME` may cost no more than `/bin/true` on top of the tool, and `qwen-env` runs at every prompt; finding, mapping
//! and relocating libc is most of what `/bin/true` does. These two resolve no host name, which a static glibc is bad at,
//! and look up the user only where `HOME` is not set, so they get no shared library where the C library's archive is there.
//! The others need libc alone: the unwinder's library is linked in. Where an archive is not there, nothing is changed. rustc
//! can do this for a whole build only; for one program there is a linker script under each library's name, in a directory
//! that its link alone searches.
//!
//! What runs at each start of a program that is started often is put together (`bins/start.ld`): a page of code that is
//! touched for the first time costs some microseconds, and these functions would lie in fifty places.

use std::env;
use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs that are linked without a shared library, as cargo calls them.
const STATIC: [&str; 2] = ["bin=qwen", "bin=qwen-env"];

/// The programs that are started often, and do little each time.
const OFTEN: [&str; 3] = ["bin=qwen", "bin=qwen-env", "bin=qwen-token"];

/// All programs.
const ALL: [&str; 1] = ["bins"];

/// Where the functions are named that run at each start of those that are started often.
const START: &str = "bins/start.ld";

fn main() {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|set| set == value);
    let mut said = format!("cargo::rerun-if-changed=bins/build.rs\ncargo::rerun-if-changed={START}\n");
    let mut link = |programs: &[&str], argument: &str| {
        for program in programs {
            said.push_str(&format!("cargo::rustc-link-arg-{program}={argument}\n"));
        }
    };
    let is_own = env::var("TARGET").is_ok_and(|target| is("HOST", &target));
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") && is_own {
        if let Some(directory) = without_libraries() {
            link(&STATIC, "-static-pie");
            link(&STATIC, &format!("-L{}", directory.display()));
        }
        if let Some(directory) = without_unwinder() {
            link(&ALL, &format!("-L{}", directory.display()));
        }
        if is("PROFILE", "release")
            && let Some(script) = start_script()
        {
            link(&OFTEN, &format!("-Wl,-T,{}", script.display()));
        }
    }
    let _ = stdout().write_all(said.as_bytes());
}

/// Writes the scripts that link no shared library, and returns their directory; `None` where an archive is missing.
fn without_libraries() -> Option<PathBuf> {
    // What a static program that may lie anywhere in memory begins with; not every distribution has it.
    archive("rcrt1.o")?;
    let [libc, libm] = ["libc.a", "libm.a"].map(archive);
    let (libc, libm, [libgcc, unwinder]) = (libc?, libm?, unwinder()?);
    let all = group(&[&libc, &libgcc, &unwinder]);
    scripts(
        "static",
        &[
            ("libc.so", &all),
            ("libgcc_s.so", &all),
            ("libm.so", &group(&[&libm])),
        ],
    )
}

/// Writes the script that links the unwinder in, and returns its directory; `None` where its archive is missing.
fn without_unwinder() -> Option<PathBuf> {
    let [libgcc, unwinder] = unwinder()?;
    scripts("unwinder", &[("libgcc_s.so", &group(&[&unwinder, &libgcc]))])
}

/// Returns the archives that stand for the shared library of the unwinder.
fn unwinder() -> Option<[PathBuf; 2]> {
    Some([archive("libgcc.a")?, archive("libgcc_eh.a")?])
}

/// Returns a linker script that stands for archives which need each other.
fn group(members: &[&Path]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|member| member.display().to_string())
        .collect();
    format!("GROUP ( {} )\n", members.join(" "))
}

/// Writes linker scripts into a directory of their own.
fn scripts(name: &str, texts: &[(&str, &String)]) -> Option<PathBuf> {
    let directory = PathBuf::from(env::var_os("OUT_DIR")?).join(name);
    fs::create_dir_all(&directory).ok()?;
    for (library, text) in texts {
        fs::write(directory.join(library), text).ok()?;
    }
    Some(directory)
}

/// Returns the script that puts the functions of a start together; `None` where the linker is not the usual one, or takes no
/// script.
fn start_script() -> Option<PathBuf> {
    let is_chosen = env::var_os("RUSTC_LINKER").is_some()
        || env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link"));
    if is_chosen {
        return None;
    }
    let script = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?).join(START);
    let trial = PathBuf::from(env::var_os("OUT_DIR")?).join("trial");
    let source = trial.with_extension("c");
    fs::write(&source, "int main(void) { return 0; }\n").ok()?;
    let linked = Command::new("cc")
        .arg(&source)
        .arg(format!("-Wl,-T,{}", script.display()))
        .arg("-o")
        .arg(&trial)
        .output();
    let is_taken = linked.is_ok_and(|output| output.status.success())
        && Command::new(&trial).status().is_ok_and(|status| status.success());
    is_taken.then_some(script)
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
