//! Bad input: a clear message or the documented behaviour, never a panic, never a wait.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::{Run, Sandbox, peers};

const LIMIT: usize = 1024 * 1024;

/// Runs `--get A`, which must not wait.
fn get(sandbox: &Sandbox) -> Run {
    sandbox.tool("qwen-env").args(["--all", "--get", "A"]).run()
}

/// A sandbox whose home file is what is left when the project's is passed over.
fn with_home_file() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("home/.env", "A=home\n");
    sandbox
}

#[test]
fn what_is_no_file_is_passed_over_with_a_notice() {
    for (kind, make) in [
        ("is a directory, not a file", "mkdir .env"),
        ("is a device, not a file", "ln -s /dev/zero .env"),
        ("is a symbolic link that leads to itself", "ln -s .env .env"),
        (
            "is a symbolic link that leads to itself",
            "ln -s b .env; ln -s .env b",
        ),
    ] {
        let sandbox = with_home_file();
        sandbox.command("/bin/sh").args(["-c", make]).run().exits(0);
        let run = get(&sandbox).exits(0);
        assert_eq!(run.text(), "home\n");
        assert_eq!(
            run.stderr,
            format!(
                "qwen-env: {}/.env: {kind}; passed over\n",
                sandbox.work().display()
            ),
            "{make}"
        );
    }
    let sandbox = with_home_file();
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.work().join(".env")).unwrap();
    let run = get(&sandbox).exits(0);
    assert!(
        run.stderr.contains("is a socket, not a file; passed over"),
        "{run:#?}"
    );
}

#[test]
fn a_link_that_leads_nowhere_is_no_file_and_is_named() {
    let sandbox = with_home_file();
    let link = sandbox.work().join(".env");
    symlink("nowhere", &link).unwrap();
    let said = format!(
        "qwen-env: {}: is a symbolic link to nothing; passed over\n",
        link.display()
    );
    symlink("plain/below", sandbox.work().join(".qwen")).unwrap();
    fs::write(sandbox.work().join("plain"), "").unwrap();
    get(&sandbox).gives(0, "home\n", &said);
    fs::remove_file(sandbox.work().join(".qwen")).unwrap();
    fs::write(sandbox.work().join(".qwen"), "a file in the directory's place").unwrap();
    get(&sandbox).gives(0, "home\n", &said);
}

#[test]
fn a_link_to_a_file_is_followed() {
    let sandbox = with_home_file();
    sandbox.write("shared.env", "A=shared\n");
    symlink("../shared.env", sandbox.work().join(".env")).unwrap();
    get(&sandbox).gives(0, "shared\n", "");
}

#[test]
fn a_named_file_must_be_there_and_hold_something_to_read() {
    let sandbox = with_home_file();
    fs::create_dir(sandbox.work().join("dir")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.work().join("socket")).unwrap();
    for (file, fault) in [
        ("nope", "nope: no such file"),
        ("nope/nope", "no such file"),
        ("dir", "dir: is a directory, not a file"),
        ("socket", "socket: is a socket, not a file"),
        ("/dev/zero", "/dev/zero: is larger than 1 MiB"),
    ] {
        let tool = sandbox.tool("qwen-env").args(["--file", file, "--get", "A"]);
        tool.run().fails(66, &[fault]);
    }
}

#[test]
fn a_named_file_is_read_whatever_it_is() {
    let sandbox = with_home_file();
    let loose = sandbox.write("work/loose", "A=loose\n");
    fs::set_permissions(loose, fs::Permissions::from_mode(0o602)).unwrap();
    symlink("loose", sandbox.work().join("link")).unwrap();
    let fifo = sandbox.work().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
    let get = |file: &str| sandbox.tool("qwen-env").args(["--file", file, "--get", "A"]);
    get("loose").run().gives(0, "loose\n", "");
    get("link").run().gives(0, "loose\n", "");
    get("-").stdin("A=typed\n").run().gives(0, "typed\n", "");
    get("/dev/stdin").stdin("A=typed\n").run().gives(0, "typed\n", "");
    let run = get("/dev/null").run().exits(1);
    assert_eq!(run.stderr, "qwen-env: /dev/null: sets no variable\n");
    let writer = std::thread::spawn(move || fs::write(fifo, "A=fifo\n").unwrap());
    get("fifo").run().gives(0, "fifo\n", "");
    writer.join().unwrap();
    let script = "qwen-env --get A --file <(printf 'A=%s\\n' shell)";
    let run = sandbox.command("/bin/bash").args(["-c", script]).run();
    run.gives(0, "shell\n", "");
    let script = "eval $(printf 'A=%s\\nB=2\\n' piped | qwen-env --file -); echo $A $B; qwen-env --get C --file - </dev/null";
    let run = sandbox.command("/bin/sh").args(["-c", script]).run();
    run.gives(1, "piped 2\n", "qwen-env: /dev/stdin: sets no variable\n");
}

#[test]
fn what_never_ends_is_given_up() {
    let sandbox = with_home_file();
    let fifo = sandbox.work().join(".env");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
    // The writer says something, or nothing, and stays.
    for script in [
        "exec 3<>.env; exec qwen-env --all",
        "exec 3<>.env; echo A=1 >&3; exec qwen-env --all",
    ] {
        let run = sandbox.command("/bin/sh").args(["-c", script]).run();
        assert_eq!((run.code(), run.text().as_str()), (66, "false;\n"), "{run:#?}");
        assert!(
            run.stderr.contains("/.env: did not come to an end within 10 s"),
            "{run:#?}"
        );
    }
}

#[test]
fn a_fifo_of_a_password_manager_is_opened_once_and_read_to_its_end() {
    let sandbox = with_home_file();
    let fifo = sandbox.work().join(".env");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
    // The writer comes late, writes in parts, and would notice a second reader by an open that ends.
    let serve = |parts: &'static [&'static str]| {
        let fifo = fifo.clone();
        std::thread::spawn(move || {
            let mut file = fs::OpenOptions::new().write(true).open(fifo).unwrap();
            for part in parts {
                std::io::Write::write_all(&mut file, part.as_bytes()).unwrap();
                std::thread::yield_now();
            }
        })
    };
    for (parts, value) in [
        (&["A=", "on", "e\nB=", "2\n"][..], "one\n"),
        (&["A='long'\n", "#"][..], "long\n"),
    ] {
        let writer = serve(parts);
        get(&sandbox).gives(0, value, "");
        writer.join().unwrap();
    }
    let writer = serve(&[]);
    let run = get(&sandbox).exits(1);
    assert!(run.stderr.contains("/work/.env: sets no variable"), "{run:#?}");
    writer.join().unwrap();
    // Its content can be consented to like any other.
    let writer = serve(&["GIT_PAGER=x\n"]);
    sandbox.tool("qwen-env").args(["--trust", "--yes"]).run().exits(0);
    writer.join().unwrap();
    for (content, code) in [(&["GIT_PAGER=x\n"][..], 0), (&["GIT_PAGER=y\n"][..], 1)] {
        let writer = serve(content);
        let run = sandbox.tool("qwen-env").args(["-q", "--get", "GIT_PAGER"]).run();
        assert_eq!(run.code(), code, "{run:#?}");
        writer.join().unwrap();
    }
}

/// Runs the tool as a user who is not root, where the tests run as root.
fn as_nobody(sandbox: &Sandbox, arguments: &[&str]) -> Option<Run> {
    let root = rustix::process::geteuid().is_root();
    let setpriv = peers::command("setpriv");
    if !root {
        return Some(sandbox.tool("qwen-env").args(arguments).run());
    }
    if !peers::present("setpriv", setpriv.is_some()) {
        return None;
    }
    let done = sandbox
        .command("/bin/chown")
        .args(["-R", "65534:65534"])
        .arg(sandbox.root())
        .run();
    done.exits(0);
    let tool =
        sandbox
            .command(setpriv.unwrap())
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    Some(tool.arg(crate::support::binary("qwen-env")).args(arguments).run())
}

#[test]
fn an_unreadable_first_file_stops_the_search_with_a_failure() {
    let sandbox = with_home_file();
    let file = sandbox.write("work/.env", "A=secret\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    let Some(run) = as_nobody(&sandbox, &["--shell", "sh"]) else {
        return;
    };
    assert_eq!((run.code(), run.text().as_str()), (66, "false;\n"));
    assert_eq!(
        run.stderr,
        format!("qwen-env: cannot read '{}': permission denied\n", file.display())
    );
    let merged = as_nobody(&sandbox, &["--chain", "merge", "--get", "A"]).unwrap();
    assert_eq!(
        (merged.code(), merged.text().as_str()),
        (0, "home\n"),
        "{merged:#?}"
    );
    assert_eq!(
        merged.stderr,
        format!(
            "qwen-env: cannot read '{}': permission denied; passed over\n",
            file.display()
        )
    );
    let told = as_nobody(&sandbox, &["--explain"]).unwrap().exits(0);
    assert!(
        told.text()
            .contains("passed over: cannot be read: permission denied"),
        "{told:#?}"
    );
}

#[test]
fn a_directory_that_may_not_be_searched_hides_its_file() {
    let sandbox = with_home_file();
    sandbox.write("work/.qwen/.env", "A=secret\n");
    let hidden = sandbox.work().join(".qwen");
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o000)).unwrap();
    if let Some(run) = as_nobody(&sandbox, &["--get", "A"]) {
        run.gives(0, "home\n", "");
    }
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_file_over_one_mebibyte_is_passed_over_and_one_of_that_size_read() {
    let sandbox = with_home_file();
    let mut text = "A=1\n#".to_owned();
    text.push_str(&"x".repeat(LIMIT - text.len()));
    let file = sandbox.write("work/.env", &text);
    get(&sandbox).gives(0, "1\n", "");
    fs::write(&file, text + "x").unwrap();
    let run = get(&sandbox).exits(0);
    assert_eq!(run.text(), "home\n");
    assert!(
        run.stderr
            .contains("/work/.env: is larger than 1 MiB; passed over"),
        "{run:#?}"
    );
    sandbox
        .tool("qwen-env")
        .args(["--file", ".env", "--get", "A"])
        .run()
        .fails(66, &["is larger than 1 MiB"]);
    // A file that grows when it is decoded, and one of no size at all that never ends.
    fs::write(&file, vec![0xff; LIMIT]).unwrap();
    assert!(
        get(&sandbox)
            .exits(0)
            .stderr
            .contains("is larger than 1 MiB; passed over")
    );
}

#[test]
fn a_value_as_long_as_the_kernel_takes_is_exported_and_one_byte_more_refused() {
    let sandbox = Sandbox::new();
    let (fits, over) = ("x".repeat(131_071 - 2), "y".repeat(131_071 - 1));
    sandbox.write("work/.env", format!("A={fits}\nB={over}\nC=1\n"));
    let script = "eval $(qwen-env --all); /bin/echo ${#A} ${B-unset} $C";
    let run = sandbox.command("/bin/bash").args(["-c", script]).run().exits(0);
    assert_eq!(run.text(), "131069 unset 1\n");
    assert!(
        run.stderr
            .contains(".env:2: refused 'B': with its value it is longer than 131071 bytes"),
        "{run:#?}"
    );
    let run = sandbox
        .tool("qwen-env")
        .args(["--all", "--", "sh", "-c", "echo ${#A}"])
        .run()
        .exits(0);
    assert_eq!(run.text(), "131069\n");
}

#[test]
fn more_than_the_environment_can_hold_is_refused_by_name() {
    let sandbox = Sandbox::new();
    for (file, name) in [("work/.env", "P"), ("home/.qwen/.env", "Q"), ("home/.env", "R")] {
        let lines = (0..10).map(|number| format!("{name}{number}={}\n", "x".repeat(100_000)));
        sandbox.write(file, lines.collect::<String>());
    }
    let run = sandbox
        .tool("qwen-env")
        .args(["--all", "--chain", "merge", "--", "/bin/true"])
        .run()
        .exits(0);
    assert!(
        run.stderr
            .contains("is not exported: the environment has no room for more"),
        "{run:#?}"
    );
}

#[test]
fn a_clone_full_of_names_does_not_hold_the_shell_up() {
    let sandbox = Sandbox::new();
    let excluded: Vec<String> = (0..90_000).map(|number| format!("zz{number}")).collect();
    let settings = serde_json::json!({ "excludedProjectEnvVars": excluded });
    sandbox.write("work/.qwen/settings.json", settings.to_string());
    let names = (0..60_000).map(|number| format!("Z{number}_BASE_URL=\n"));
    sandbox.write("work/.env", names.collect::<String>());
    // Each takes minutes where every name is compared with every other.
    for arguments in [
        ["--format", "json"],
        ["--explain", "--color=never"],
        ["--check", "--color=never"],
    ] {
        let run = sandbox.tool("qwen-env").arg("-q").args(arguments).run();
        assert!(matches!(run.code(), 0 | 65), "{arguments:?}: {}", run.code());
    }
}

#[test]
fn a_nul_is_refused_by_name_and_the_rest_used() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", b"# \0\nA=a\0b\nB=1\n\0\n");
    let run = sandbox
        .tool("qwen-env")
        .args(["--all", "--format", "null"])
        .run()
        .exits(0);
    assert_eq!(run.text(), "B=1\0");
    assert!(
        run.stderr.contains(".env:2: refused 'A': its value holds a NUL"),
        "{run:#?}"
    );
}

#[test]
fn encodings_and_line_ends_are_qwen_codes() {
    for (bytes, value) in [
        (&b"\xef\xbb\xbfA=bom\n"[..], "bom"),
        (b"A=\"cr\r\nlf\"\r\nB=1\r\n", "cr\nlf"),
        (b"B=1\rA=mac\r", "mac"),
        (b"A=caf\xe9\n", "caf\u{fffd}"),
        (b"A=\xf0\x9f\x92\n", "\u{fffd}"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("work/.env", bytes);
        get(&sandbox).gives(0, format!("{value}\n"), "");
    }
}

#[test]
fn without_home_the_password_database_tells_it() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "A=1\n");
    for home in [None, Some(""), Some("relative")] {
        let tool = sandbox
            .tool("qwen-env")
            .args(["--all", "--get", "A"])
            .env_remove("HOME");
        let tool = home.map_or(tool.into(), |home| {
            Some(
                sandbox
                    .tool("qwen-env")
                    .args(["--all", "--get", "A"])
                    .env("HOME", home),
            )
        });
        tool.unwrap().run().gives(0, "1\n", "");
    }
}

#[test]
fn in_a_directory_that_is_gone_the_home_files_count() {
    let sandbox = with_home_file();
    let said = "qwen-env: the current directory is gone; only the files in the home directory are searched\n";
    for (words, stdout) in [
        ("--get A", Some("home\n")),
        ("--check", Some("")),
        ("--explain", None),
    ] {
        let script = format!("mkdir gone; cd gone; rmdir ../gone; qwen-env {words}");
        let run = sandbox.command("/bin/bash").args(["-c", &script]).run();
        assert_eq!(run.stderr, said, "{words}");
        let text = run.exits(0).text();
        assert_eq!(text, stdout.unwrap_or(&text), "{words}");
    }
}

#[test]
fn hostile_names_in_messages_do_not_reach_the_terminal() {
    let sandbox = Sandbox::new();
    let directory = "work/\u{1b}[31mred\u{202e}\n";
    let file = sandbox.write(
        format!("{directory}/.env"),
        "LD_PRELOAD=x\nA=\u{1b}]52;c;x\u{7}\n",
    );
    for arguments in [
        vec!["--shell", "sh"],
        vec!["--explain", "--show-secrets"],
        vec!["--check"],
        vec!["-v"],
    ] {
        let tool = sandbox
            .tool("qwen-env")
            .args(&arguments)
            .current_dir(file.parent().unwrap());
        let run = tool.run();
        let shown = run.text() + &run.stderr;
        assert!(
            !shown.contains(['\u{1b}', '\u{7}', '\u{202e}']),
            "{arguments:?}: {run:#?}"
        );
    }
}

/// A mount in user space whose program has ended, a server that was replaced, a disk that fails: no mode would help.
#[test]
fn a_file_system_that_has_gone_is_told_from_a_mode() {
    let strace = peers::command("strace");
    if !peers::present("strace", strace.is_some()) {
        return;
    }
    for (error, reason) in [
        ("ENOTCONN", "not connected"),
        ("ESTALE", "tale"),
        ("EIO", "nput/output error"),
    ] {
        let sandbox = Sandbox::new();
        let file = sandbox.write("work/.env", "OPENAI_API_KEY=sk-1\n");
        sandbox.config(r#"{"profiles": {"a": {"key": {"command": ["echo", "k"]}}}}"#);
        let calls = "trace=read,pread64,statx,newfstatat,lstat";
        let fault = format!("inject=read,pread64,statx,newfstatat,lstat:error={error}");
        for (tool, code) in [("qwen-token", 74), ("qwen-env", 74)] {
            let run = sandbox
                .command(strace.clone().unwrap())
                .args(["-f", "-o", "/dev/null", "-P", file.to_str().unwrap()])
                .args(["-e", calls, "-e", &fault, tool])
                .run();
            assert_eq!(run.code(), code, "{run:#?}");
            let message = run.stderr.to_lowercase();
            assert!(message.contains(reason) && !message.contains("chmod"), "{run:#?}");
        }
    }
}

/// The C library would load what nsswitch.conf(5) names, which a static program does not survive.
#[test]
fn a_user_whom_the_password_database_does_not_know_needs_no_home() {
    let unshare = peers::command("unshare");
    if !peers::present("unshare", unshare.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "OPENAI_API_KEY=k\n");
    sandbox.write("config/qwen/config.json", r#"{"env": {"allow": ["GREETING"]}}"#);
    for (program, words, said) in [
        ("qwen-env", &["--get", "OPENAI_API_KEY"][..], "k\n"),
        ("qwen-env", &["--all", "--get", "OPENAI_API_KEY"], "k\n"),
        ("qwen-token", &[], "k\n"),
        ("qwen", &["token"], "k\n"),
    ] {
        let tool = sandbox.command(unshare.as_ref().unwrap());
        let tool = tool.args(["--map-user=4242", program]).args(words);
        let tool = tool.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
        tool.env_remove("HOME").run().gives(0, said, "");
    }
    // The directories that are named count all the same.
    sandbox.write("work/.env", "GREETING=hi\n");
    let tool = sandbox.command(unshare.unwrap());
    let tool = tool.args(["--map-user=4242", "qwen-env", "--get", "GREETING"]);
    let config = sandbox.root().join("config");
    let tool = tool.env("XDG_CONFIG_HOME", config).env_remove("HOME");
    tool.run().gives(0, "hi\n", "");
}
