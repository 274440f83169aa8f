//! What every program does alike: help, version, usage errors, full disks, missing directories.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::Sandbox;

const TOOLS: [&str; 7] = [
    "qwen",
    "qwen-auth",
    "qwen-batch",
    "qwen-chat",
    "qwen-env",
    "qwen-login",
    "qwen-token",
];

/// What a failing tool leaves on stdout: nothing, but for the one whose output is evaluated.
fn last_words(name: &str) -> &'static str {
    match name {
        "qwen-env" => "false;\n",
        _ => "",
    }
}

#[test]
fn help_and_version_need_no_home_no_network_and_no_files() {
    let sandbox = Sandbox::new();
    for name in TOOLS {
        let help = sandbox.tool(name).arg("--help").env_remove("HOME").run().exits(0);
        assert!(help.text().contains(&format!("Usage: {name}")), "{help:#?}");
        assert_eq!(help.stderr, "");
        let version = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        sandbox
            .tool(name)
            .arg("-V")
            .env_remove("HOME")
            .run()
            .gives(0, version, "");
    }
}

#[test]
fn an_unknown_flag_is_a_usage_error_with_a_hint() {
    let sandbox = Sandbox::new();
    for name in TOOLS.into_iter().filter(|name| *name != "qwen") {
        sandbox.tool(name).arg("--no-such-flag").run().gives(
            64,
            last_words(name),
            &format!(
                "{name}: unexpected argument '--no-such-flag' found\n{name}: hint: run '{name} --help'\n"
            ),
        );
    }
}

#[test]
fn a_full_disk_on_stdout_is_an_io_error() {
    let sandbox = Sandbox::new();
    for name in TOOLS {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = sandbox.tool(name).arg("--help").into_command();
        let output = command.stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(74), "{name}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            format!("{name}: cannot write to standard output: no space left on device\n")
        );
    }
}

#[test]
fn a_reader_that_went_away_ends_the_program_silently_by_sigpipe() {
    use std::os::unix::process::ExitStatusExt;
    let sandbox = Sandbox::new();
    for name in TOOLS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = sandbox
            .tool(name)
            .arg("--help")
            .into_command()
            .stdout(writer)
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(13), "{name}: {output:?}");
        assert!(output.stderr.is_empty(), "{name}: {output:?}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    for name in TOOLS.into_iter().filter(|name| *name != "qwen") {
        let said = format!("{name}: cannot enter '/no/such/place': no such file or directory\n");
        let run = sandbox.tool(name).args(["-C", "/no/such/place"]).run();
        run.gives(66, last_words(name), &said);
    }
}
