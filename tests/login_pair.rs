//! A login changes the credential and its profile together: where one of the two cannot be written, the old pair works on.
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use crate::support::login::OWN_FILE;
use crate::support::{Run, Sandbox, peers};

const LOGIN: &str = "qwen-login --profile work --with-key --no-verify --store file --model m2 --base-url http://127.0.0.1:1/new";

/// A profile with the key `sk-old`, as an earlier version stored it, or as this one does.
fn with_old_key(sandbox: &Sandbox, is_ours: bool) {
    let login = LOGIN.replace("m2", "m1").replace("/new", "/old");
    let words = login.split(' ').skip(1);
    sandbox
        .detached("qwen-login")
        .args(words)
        .stdin("sk-old\n")
        .run()
        .exits(0);
    if !is_ours {
        sandbox.write(OWN_FILE, r#"{"method":"api-key","api_key":"sk-old"}"#);
    }
}

fn is_old(sandbox: &Sandbox) {
    sandbox
        .tool("qwen-token")
        .args(["--profile", "work"])
        .run()
        .gives(0, "sk-old\n", "");
    assert!(sandbox.read(sandbox.config_file()).contains("/old"));
}

/// Logs in by a script in the directory of the configuration, in a mount namespace of its own.
fn in_a_namespace(sandbox: &Sandbox, before: &str) -> Option<Run> {
    let unshare = ["--user", "--map-root-user", "--mount", "sh", "-ec"];
    let run = |script: &str| {
        let tool = sandbox.command("/usr/bin/unshare").args(unshare);
        tool.args([script]).stdin("sk-new\n").run()
    };
    if !peers::present("unshare", run("true").code() == 0) {
        return None;
    }
    Some(run(&format!("cd \"$HOME/.config/qwen\"\n{before}\n{LOGIN}")))
}

#[test]
fn a_config_json_that_is_a_mount_of_its_own_is_written_in_place() {
    let sandbox = Sandbox::new();
    with_old_key(&sandbox, false);
    let Some(run) = in_a_namespace(&sandbox, "mount --bind config.json config.json") else {
        return;
    };
    let run = run.exits(0);
    assert!(run.stderr.contains("http://127.0.0.1:1/new"), "{run:#?}");
    sandbox
        .tool("qwen-token")
        .args(["--profile", "work"])
        .run()
        .gives(0, "sk-new\n", "");
    assert!(sandbox.read(sandbox.config_file()).contains("/new"));
    let odd = |name: &String| name.contains(".whole") || name.contains(".tmp.");
    assert!(!sandbox.files("home/.config/qwen").iter().any(odd));
}

#[test]
fn a_config_json_that_cannot_be_written_leaves_the_old_key() {
    for is_ours in [true, false] {
        let sandbox = Sandbox::new();
        with_old_key(&sandbox, is_ours);
        let before = "mount --bind config.json config.json\nmount -o remount,bind,ro config.json";
        let Some(run) = in_a_namespace(&sandbox, before) else {
            return;
        };
        let run = run.exits(74);
        assert!(run.stderr.contains("config.json"), "{run:#?}");
        is_old(&sandbox);
    }
}

/// Logs in under strace, which does something at the call that puts config.json in its place: the last rename of a login.
fn at_the_last_step(make: &dyn Fn(&Sandbox), what: &str) -> Option<(Sandbox, Run)> {
    let strace: Option<PathBuf> = peers::command("strace");
    if !peers::present("strace", strace.is_some()) {
        return None;
    }
    let strace = strace?;
    let traced = |options: &[&str]| {
        let sandbox = Sandbox::new();
        make(&sandbox);
        let calls = ["-f", "-o", "calls", "-e", "trace=rename,renameat,renameat2"];
        let tool = sandbox.command(&strace).args(calls).args(options);
        let run = tool.args(LOGIN.split(' ')).stdin("sk-new\n").run();
        (sandbox, run)
    };
    let (sandbox, run) = traced(&[]);
    run.exits(0);
    let calls = sandbox.read("work/calls");
    let renames: Vec<&str> = calls.lines().filter(|line| line.contains("rename")).collect();
    assert!(renames.last()?.contains("/config.json\""), "{calls}");
    let inject = format!("inject=rename,renameat,renameat2:{what}:when={}", renames.len());
    Some(traced(&["-e", &inject]))
}

#[test]
fn a_fault_of_the_disk_between_the_two_takes_the_new_key_back() {
    for is_ours in [true, false] {
        let make = |sandbox: &Sandbox| with_old_key(sandbox, is_ours);
        let Some((sandbox, run)) = at_the_last_step(&make, "error=EIO") else {
            return;
        };
        run.exits(74);
        is_old(&sandbox);
    }
    // Where there was nothing, there is nothing.
    if let Some((sandbox, run)) = at_the_last_step(&|_| {}, "error=EIO") {
        run.exits(74);
        assert!(!sandbox.root().join(OWN_FILE).exists());
    }
}

#[test]
fn the_next_program_completes_a_login_that_was_killed_between_the_two() {
    let make = |sandbox: &Sandbox| with_old_key(sandbox, true);
    let Some((sandbox, run)) = at_the_last_step(&make, "signal=KILL") else {
        return;
    };
    assert!(run.status.signal() == Some(9) || run.code() == 137, "{run:#?}");
    let token = || sandbox.tool("qwen-token").args(["--profile", "work"]).run();
    let run = token().exits(0);
    assert_eq!(run.text(), "sk-new\n");
    let said = "the new key of profile 'work', given before qwen-login was cut short, is stored in";
    assert!(run.stderr.contains(said), "{run:#?}");
    assert!(sandbox.read(sandbox.config_file()).contains("/new"));
    token().gives(0, "sk-new\n", "");
}

#[test]
fn a_write_in_place_that_was_cut_short_is_read_whole() {
    let sandbox = Sandbox::new();
    with_old_key(&sandbox, true);
    let whole = sandbox.read(sandbox.config_file());
    sandbox.write("home/.config/qwen/config.json.whole", &whole);
    sandbox.config(&whole[..whole.len() / 2]);
    let token = || sandbox.tool("qwen-token").args(["--profile", "work"]);
    token().run().gives(0, "sk-old\n", "");
    let set = ["set", "work", "model=m3"];
    sandbox.detached("qwen-auth").args(set).run().exits(0);
    assert!(sandbox.read(sandbox.config_file()).contains("m3"));
    token().run().gives(0, "sk-old\n", "");
}
