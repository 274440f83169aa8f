//! What stands in the place of a `.env` file: links, devices, pipes, and places that change while they are looked at.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{Sandbox, Terminal, wait_until};

fn fifo(sandbox: &Sandbox, path: &str) {
    let path = sandbox.root().join(path);
    rustix::fs::mkfifoat(rustix::fs::CWD, path, 0o600.into()).unwrap();
}

/// Links that lead to what a process has open, by every name for it.
const OPEN_FILES: [&str; 6] = [
    "/dev/stdin",
    "/proc/self/fd/0",
    "/dev/fd/0",
    "/proc/thread-self/fd/0",
    "../link/stdin",
    "/proc/self/environ",
];

#[test]
fn a_link_to_standard_input_leaves_it_to_who_it_is_for() {
    for target in OPEN_FILES {
        let sandbox = Sandbox::new();
        symlink("/dev", sandbox.root().join("link")).unwrap();
        symlink(target, sandbox.work().join(".env")).unwrap();
        sandbox.write("home/.env", "A=home\n");
        let script = "printf 'A=piped\\n' | qwen-env -- sh -c 'cat; echo \"$A\"'";
        let run = sandbox.command("/bin/sh").args(["-c", script]).run();
        assert_eq!(run.text(), "A=piped\nhome\n", "{target}: {run:#?}");
        assert!(
            run.stderr.contains("leads into /dev or /proc, not to a file"),
            "{target}: {run:#?}"
        );
        sandbox.write("input", "A=file\n");
        let script = "qwen-env --get A <../input";
        let run = sandbox.command("/bin/sh").args(["-c", script]).run().exits(0);
        assert_eq!(run.text(), "home\n", "{target}: {run:#?}");
    }
}

#[test]
fn a_link_to_a_terminal_or_a_device_is_no_file() {
    for target in ["/dev/tty", "/dev/zero", "/dev/null", "/dev/stdin"] {
        let sandbox = Sandbox::new();
        symlink(target, sandbox.work().join(".env")).unwrap();
        sandbox.write("home/.env", "A=home\n");
        let terminal =
            Terminal::start(
                sandbox
                    .tool("qwen-env")
                    .args(["--", "/bin/sh", "-c", "echo \"has $A.\""]),
            );
        terminal.shows("has home.");
        assert_eq!(terminal.ends(), 0, "{target}");
    }
}

#[test]
fn a_link_of_the_directory_to_where_processes_are_shown_gives_no_file() {
    let sandbox = Sandbox::new();
    sandbox.write("open/.env", "A=open\n");
    symlink("/proc/self/cwd/../open", sandbox.work().join(".qwen")).unwrap();
    sandbox.write("home/.env", "A=home\n");
    let run = sandbox.tool("qwen-env").args(["--get", "A"]).run().exits(0);
    assert_eq!(run.text(), "home\n", "{run:#?}");
}

#[test]
fn a_file_that_is_named_is_read_whatever_it_is() {
    let sandbox = Sandbox::new();
    for file in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "-"] {
        let get = sandbox.tool("qwen-env").args(["--file", file, "--get", "A"]);
        get.stdin("A=typed\n").run().gives(0, "typed\n", "");
    }
    symlink("/dev/stdin", sandbox.work().join("link")).unwrap();
    let get = sandbox.tool("qwen-env").args(["--file", "link", "--get", "A"]);
    get.stdin("A=typed\n").run().gives(0, "typed\n", "");
}

#[test]
fn a_fifo_to_which_nobody_writes_is_named_and_not_waited_for_to_the_end() {
    let sandbox = Sandbox::new();
    fifo(&sandbox, "work/.env");
    sandbox.write("home/.env", "A=home\n");
    let run = sandbox.tool("qwen-env").run();
    assert_eq!((run.code(), run.text().as_str()), (66, "false;\n"), "{run:#?}");
    assert!(
        run.stderr.contains("/.env: is a fifo that nobody writes to"),
        "{run:#?}"
    );
    let hook = ["--at-prompt", "--shell", "bash"];
    let run = sandbox.tool("qwen-env").args(hook).run();
    assert!(run.stderr.contains("is a fifo that nobody writes to"), "{run:#?}");
}

#[test]
fn a_prompt_reads_a_fifo_whose_writer_waits() {
    let sandbox = Sandbox::new();
    fifo(&sandbox, "work/.env");
    let script =
        "(printf 'OPENAI_MODEL=piped\\n' >.env) & qwen-env --at-prompt --shell sh >../out; wait; cat ../out";
    for _ in 0..8 {
        let run = sandbox.command("/bin/sh").args(["-c", script]).run().exits(0);
        assert!(run.text().contains("OPENAI_MODEL=piped"), "{run:#?}");
    }
}

/// A directory whose link leads to the home directory's and to the clone's in turn, while tools look at it.
#[test]
fn whose_a_file_is_is_decided_of_the_file_that_is_read() {
    let sandbox = Sandbox::new();
    sandbox.write("home/.qwen/.env", "OPENAI_MODEL=home\n");
    sandbox.write(
        "evil/.env",
        "GREETING=evil\nOPENAI_BASE_URL=https://evil.example/v1\n",
    );
    let link = sandbox.work().join(".qwen");
    let (home, evil) = (sandbox.home().join(".qwen"), sandbox.root().join("evil"));
    let other = sandbox.work().join("next");
    let ends = Arc::new(AtomicBool::new(false));
    let swaps = {
        let ends = Arc::clone(&ends);
        symlink(&home, &link).unwrap();
        thread::spawn(move || {
            let mut count = 0_u32;
            while !ends.load(Ordering::Relaxed) {
                for target in [&evil, &home] {
                    symlink(target, &other).unwrap();
                    fs::rename(&other, &link).unwrap();
                }
                count += 1;
            }
            count
        })
    };
    let mut seen = [false; 2];
    wait_until("both files were read", || {
        let run = sandbox.tool("qwen-env").args(["--format", "null"]).run();
        let text = run.text();
        assert!(!text.contains("evil"), "{run:#?}");
        seen[0] |= text.contains("OPENAI_MODEL=home");
        seen[1] |= run.stderr.contains("GREETING");
        seen == [true, true]
    });
    for _ in 0..300 {
        let run = sandbox.tool("qwen-env").args(["--format", "null"]).run();
        assert!(!run.text().contains("evil"), "{run:#?}");
    }
    ends.store(true, Ordering::Relaxed);
    assert!(swaps.join().unwrap() > 0);
}

#[test]
fn a_link_in_the_place_of_the_directory_lifts_no_rule_for_a_plain_file() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "DEBUG=*\nGREETING=hi\n");
    for target in [".", "../work", "real"] {
        fs::create_dir_all(sandbox.work().join("real")).unwrap();
        sandbox.write("work/real/.env", "DEBUG=*\nGREETING=hi\n");
        symlink(target, sandbox.work().join(".qwen")).unwrap();
        let run = sandbox
            .tool("qwen-env")
            .args(["--all", "--format", "null"])
            .run()
            .exits(0);
        assert_eq!(run.text(), "GREETING=hi\0", "{target}");
        fs::remove_file(sandbox.work().join(".qwen")).unwrap();
    }
    sandbox.write("work/.qwen/.env", "DEBUG=*\n");
    let run = sandbox.tool("qwen-env").args(["--all", "--format", "null"]).run();
    run.gives(0, "DEBUG=*\0", "");
}

/// 1 MiB with as many names as fit. Were the work quadratic in their number, the limit of a test's run would be reached.
#[test]
fn many_names_are_read_in_time_and_few_are_spoken_of() {
    let sandbox = Sandbox::new();
    let letters: Vec<char> = ('a'..='z').chain('0'..='9').collect();
    let mut content = String::new();
    'all: for one in &letters[..26] {
        for two in &letters {
            for three in &letters {
                for four in &letters {
                    content.extend([*one, *two, *three, *four]);
                    content.push_str(":\t\n");
                    if content.len() > (1 << 20) - 8 {
                        break 'all;
                    }
                }
            }
        }
    }
    let content = content.replace(":\t\n", "=\n");
    sandbox.write("work/.env", &content);
    let count = content.lines().count();
    let told = sandbox.tool("qwen-env").run().exits(0).stderr;
    assert!(
        told.contains(&format!("{count} variables wait for consent")),
        "{told}"
    );
    assert!(told.len() < 4096, "{told}");
    let wrong: String = (0..2000).map(|number| format!("N{number} = 'a'b\n")).collect();
    sandbox.write("work/.env", &wrong);
    let run = sandbox.tool("qwen-env").arg("--check").run().exits(65);
    assert_eq!(run.text().lines().count(), 100, "{run:#?}");
    assert!(
        run.stderr
            .contains("more; 'qwen-env --check --format json' lists all"),
        "{run:#?}"
    );
    let run = sandbox
        .tool("qwen-env")
        .args(["--check", "--format", "json"])
        .run()
        .exits(65);
    let all: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(all.as_array().unwrap().len() >= 2000);
}

#[test]
fn what_is_excluded_takes_its_pair_with_it() {
    let sandbox = Sandbox::new();
    let content = "OPENAI_API_KEY=sk-parent-0123456789\nOPENAI_BASE_URL=https://corp.example/v1\n\
                   ACME_API_KEY=sk-acme-0123456789\nACME_BASE_URL=https://acme.example\nACME_API_BASE=https://acme.example\nGREETING=hi\n";
    sandbox.write("work/.env", content);
    fs::create_dir_all(sandbox.work().join("clone")).unwrap();
    sandbox.tool("qwen-env").args(["--trust", "--yes"]).run().exits(0);
    for excluded in [
        &["OPENAI_BASE_URL", "ACME_BASE_URL"][..],
        &["OPENAI_API_KEY", "ACME_API_KEY"],
        &["OPENAI_BASE_URL", "OPENAI_API_KEY", "ACME_API_BASE"],
    ] {
        let settings = serde_json::json!({"advanced": {"excludedEnvVars": excluded}});
        sandbox.write("work/clone/.qwen/settings.json", settings.to_string());
        let tool = |name: &str| sandbox.tool(name).args(["-C", "clone"]);
        let run = tool("qwen-env").args(["--format", "null"]).run();
        run.gives(0, "GREETING=hi\0", "");
        let explained = tool("qwen-env").arg("--explain").run().exits(0).text();
        assert_eq!(explained.matches("  excluded: ").count(), 5, "{explained}");
        tool("qwen-token").run().fails(77, &["no credential"]);
    }
}

/// Secrets that are mounted elsewhere may not be there now: the next file counts, as for Qwen Code, and that is said.
#[test]
fn a_link_to_nothing_is_passed_over_by_name() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "home/.env",
        "OPENAI_API_KEY=k\nOPENAI_BASE_URL=https://a.example/v1\n",
    );
    let link = sandbox.work().join(".env");
    std::os::unix::fs::symlink("mounted/.env", &link).unwrap();
    let get = sandbox.tool("qwen-env").args(["--get", "OPENAI_API_KEY"]);
    let said = "is a symbolic link to nothing; passed over\n";
    let said = format!("qwen-env: {}: {said}", link.display());
    get.run().gives(0, "k\n", &said);
    let said = "' is passed over: it is a symbolic link to nothing\n";
    let said = format!("qwen-token: '{}{said}", link.display());
    sandbox.tool("qwen-token").run().gives(0, "k\n", &said);
    let named = sandbox
        .tool("qwen-env")
        .args(["--file", ".env", "--format", "json"]);
    named.run().fails(66, &["is a symbolic link to nothing"]);
    // What it leads to is there again.
    sandbox.write("work/mounted/.env", "OPENAI_API_KEY=mounted\n");
    let get = sandbox.tool("qwen-env").args(["--get", "OPENAI_API_KEY"]);
    get.run().gives(0, "mounted\n", "");
}
