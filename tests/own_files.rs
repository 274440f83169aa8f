//! Files that decide where secrets go or what is run: used only where nobody else can have written them.
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use crate::support::chat::chat;
use crate::support::{Sandbox, Server, Terminal, peers, unwrapped};

/// A profile whose key needs no store.
const CONFIG: &str = r#"{"profiles": {"a": {"key": {"command": ["echo", "k"]}}}}"#;

/// What the key command of [`CONFIG`] prints.
const KEY: &str = "k\n";

/// The number of a user who is nobody's.
const STRANGER: u32 = 65534;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// True where files can be given away.
fn is_root() -> bool {
    peers::present("root", rustix::process::geteuid().is_root())
}

#[test]
fn a_configuration_that_others_can_change_is_refused_by_name() {
    let sandbox = Sandbox::new();
    let file = sandbox.config(CONFIG);
    let directory = file.parent().unwrap().to_owned();
    let (named, place) = (file.display(), directory.display());
    for (file_mode, directory_mode, told) in [
        (0o600, 0o700, String::new()),
        (0o644, 0o755, String::new()),
        (0o444, 0o555, String::new()),
        (
            0o666,
            0o755,
            format!(
                "qwen-token: '{named}' is not used: it is writable by all (mode 0666)\n\
                 qwen-token: hint: run 'chmod go-w {named}'\n"
            ),
        ),
        (
            0o602,
            0o755,
            format!(
                "qwen-token: '{named}' is not used: it is writable by all (mode 0602)\n\
                 qwen-token: hint: run 'chmod go-w {named}'\n"
            ),
        ),
        (
            0o600,
            0o777,
            format!(
                "qwen-token: '{named}' is not used: its directory '{place}' is writable by all (mode 0777)\n\
                 qwen-token: hint: run 'chmod go-w {place}'\n"
            ),
        ),
        (
            0o600,
            0o1777,
            format!(
                "qwen-token: '{named}' is not used: its directory '{place}' is writable by all (mode 1777)\n\
                 qwen-token: hint: keep the file in a directory that only you can write to\n"
            ),
        ),
    ] {
        set_mode(&file, file_mode);
        set_mode(&directory, directory_mode);
        let run = sandbox.tool("qwen-token").run();
        match told.as_str() {
            "" => run.gives(0, KEY, ""),
            told => run.gives(78, "", told),
        };
    }
}

#[test]
fn every_tool_refuses_a_configuration_that_others_can_change() {
    let sandbox = Sandbox::new();
    let file = sandbox.config(CONFIG);
    set_mode(&file, 0o666);
    let text = sandbox.read(&file);
    sandbox.write("work/in.jsonl", "{\"prompt\": \"hello\"}\n");
    for words in [
        &["qwen-token"][..],
        &["qwen-token", "--check"],
        &["qwen-chat", "hello"],
        &["qwen-chat", "--dry-run", "hello"],
        &["qwen-batch", "run", "-o", "out.jsonl", "in.jsonl"],
        &["qwen-auth", "status"],
        &["qwen-auth", "list"],
        &["qwen-auth", "use", "a"],
        &["qwen-auth", "logout", "a"],
        &["qwen-login", "--with-key", "--provider", "openai"],
    ] {
        let run = sandbox.detached(words[0]).args(&words[1..]).stdin("sk-1").run();
        run.fails(
            78,
            &[
                "is not used: it is writable by all (mode 0666)",
                "hint: run 'chmod go-w ",
            ],
        );
        assert_eq!(sandbox.read(&file), text, "{words:?}");
    }
}

#[test]
fn a_configuration_is_not_written_where_others_could_replace_it() {
    let sandbox = Sandbox::new();
    let directory = sandbox.root().join("shared");
    fs::create_dir(&directory).unwrap();
    set_mode(&directory, 0o1777);
    let login = sandbox
        .detached("qwen-login")
        .env("QWEN_CONFIG", directory.join("x.json"));
    let login = login.args([
        "--with-key",
        "--provider",
        "openai",
        "--no-verify",
        "--store",
        "file",
    ]);
    login.stdin("sk-1").run().fails(
        78,
        &[
            "x.json' is not used: its directory '",
            "writable by all (mode 1777)",
        ],
    );
    assert_eq!(fs::read_dir(directory).unwrap().count(), 0);
}

#[test]
fn a_link_to_a_configuration_is_followed_through_directories_of_ones_own() {
    let sandbox = Sandbox::new();
    let file = sandbox.config(CONFIG);
    let elsewhere = sandbox.root().join("dotfiles/deep");
    fs::create_dir_all(&elsewhere).unwrap();
    let target = elsewhere.join("qwen.json");
    fs::rename(&file, &target).unwrap();
    symlink("../../../dotfiles/hop", &file).unwrap();
    symlink("deep/qwen.json", sandbox.root().join("dotfiles/hop")).unwrap();
    let token = || sandbox.tool("qwen-token").run();
    token().gives(0, KEY, "");
    for (path, mode) in [
        (elsewhere.clone(), 0o757),
        (sandbox.root().join("dotfiles"), 0o757),
        (target.clone(), 0o646),
    ] {
        let before = sandbox.mode(&path);
        set_mode(&path, mode);
        let fault = format!("is writable by all (mode {mode:04o})");
        let mended = format!("hint: run 'chmod go-w {}", path.display());
        token().fails(78, &["config.json' is not used: it", &fault, &mended]);
        set_mode(&path, before);
    }
    // It may be kept on a file system that is not mounted now.
    fs::rename(sandbox.root().join("dotfiles/deep"), sandbox.root().join("away")).unwrap();
    for tool in [
        sandbox.tool("qwen-token"),
        sandbox.detached("qwen-auth").arg("list"),
        sandbox
            .detached("qwen-auth")
            .args(["set", "--new", "a", "model=m"]),
        sandbox
            .detached("qwen-login")
            .args(["--provider", "ollama", "--no-verify", "--model", "m"]),
    ] {
        let said = "config.json': it is a symbolic link into '";
        tool.run()
            .fails(66, &[said, "dotfiles/deep', which is no directory"]);
    }
    fs::rename(sandbox.root().join("away"), sandbox.root().join("dotfiles/deep")).unwrap();
    fs::remove_file(&target).unwrap();
    symlink("qwen.json", &target).unwrap();
    token().fails(
        66,
        &["cannot read '", "config.json': too many levels of symbolic links"],
    );
}

#[test]
fn a_configuration_of_another_user_is_refused_by_name() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let file = sandbox.config(CONFIG);
    let token = || sandbox.tool("qwen-token").run();
    let hint = format!(
        "hint: if you know what it holds, run 'chown 0 {}'",
        file.display()
    );
    chown(&file, Some(STRANGER), None).unwrap();
    token().fails(
        78,
        &["is not used: it belongs to another user (uid 65534)", &hint],
    );
    // Also where it cannot be read.
    set_mode(&file, 0);
    token().fails(
        78,
        &["is not used: it belongs to another user (uid 65534)", &hint],
    );
    chown(&file, Some(0), None).unwrap();
    set_mode(&file, 0o600);
    chown(file.parent().unwrap(), Some(STRANGER), None).unwrap();
    token().fails(
        78,
        &[
            "is not used: its directory '",
            "belongs to another user (uid 65534)",
        ],
    );
    chown(file.parent().unwrap(), Some(0), None).unwrap();
    token().gives(0, KEY, "");
    let target = sandbox.write("own.json", CONFIG);
    fs::remove_file(&file).unwrap();
    symlink(&target, &file).unwrap();
    token().gives(0, KEY, "");
    lchown(&file, Some(STRANGER), None).unwrap();
    let hint = format!("hint: if you made it, run 'chown -h 0 {}'", file.display());
    token().fails(
        78,
        &[
            "is not used: the symbolic link '",
            "belongs to another user",
            &hint,
        ],
    );
}

#[test]
fn a_group_that_others_may_be_in_is_others() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let file = sandbox.config(CONFIG);
    set_mode(&file, 0o664);
    for (group, refused) in [(0, false), (100, true), (54321, true)] {
        chown(&file, None, Some(group)).unwrap();
        let run = sandbox.tool("qwen-token").run();
        match refused {
            true => run.fails(78, &["it is writable by its group (mode 0664)"]),
            false => run.gives(0, KEY, ""),
        };
    }
}

#[test]
fn a_credential_that_others_can_change_is_refused_by_name() {
    let sandbox = Sandbox::new();
    sandbox.config(r#"{"profiles": {"a": {"key": {"store": "file"}, "base_url": "http://127.0.0.1:9/v1"}}}"#);
    let file = sandbox.write(
        "home/.config/qwen/credentials/a.json",
        r#"{"method": "api-key", "api_key": "sk-stored"}"#,
    );
    let directory = file.parent().unwrap();
    let token = || sandbox.tool("qwen-token").run();
    set_mode(directory, 0o700);
    token().gives(0, "sk-stored\n", "");
    set_mode(directory, 0o1777);
    let run = token().fails(78, &["credentials/a.json' is not used: its directory '"]);
    assert!(!run.stderr.contains("sk-stored"), "{run:#?}");
    set_mode(directory, 0o700);
    set_mode(&file, 0o620);
    let run = token();
    match run.code() {
        // The group is the user's own: it is told as readable by others.
        0 => assert!(
            run.stderr.contains("is readable by others (mode 0620)"),
            "{run:#?}"
        ),
        _ => drop(run.fails(78, &["it is writable by its group (mode 0620)"])),
    }
    set_mode(&file, 0o622);
    token().fails(
        78,
        &["credentials/a.json' is not used: it is writable by all (mode 0622)"],
    );
}

#[test]
fn a_session_that_others_can_change_is_refused_by_name() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("home/.local/state/qwen/sessions/a.json", r#"{"messages": []}"#);
    set_mode(&file, 0o666);
    let chat = sandbox.tool("qwen-chat").env("OPENAI_API_KEY", "k");
    let run = chat.args(["--session", "a", "--dry-run", "hello"]).run();
    run.fails(
        78,
        &["sessions/a.json' is not used: it is writable by all (mode 0666)"],
    );
}

#[test]
fn a_directory_that_depends_on_where_one_stands_is_refused_by_every_tool() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.qwen/.env",
        "OPENAI_API_KEY=sk-clone\nOPENAI_BASE_URL=http://127.0.0.1:9/v1\n",
    );
    sandbox.write("work/x.json", CONFIG);
    for (name, value) in [
        ("QWEN_HOME", ".qwen"),
        ("QWEN_HOME", "./.qwen"),
        ("QWEN_HOME", "."),
        ("QWEN_CONFIG", "x.json"),
        ("QWEN_CONFIG", "~nobody/x.json"),
        ("QWEN_CODE_SYSTEM_SETTINGS_PATH", "x.json"),
        ("QWEN_CODE_SYSTEM_SETTINGS_PATH", "~/x.json"),
        ("QWEN_CODE_SYSTEM_DEFAULTS_PATH", "../work/x.json"),
    ] {
        for words in [
            &["qwen-token"][..],
            &["qwen-env", "--all"],
            &["qwen-chat", "hello"],
            &["qwen-batch", "run", "in.jsonl"],
            &["qwen-auth", "status"],
            &["qwen-auth", "logout"],
            &["qwen-login", "--with-key"],
        ] {
            let run = sandbox
                .detached(words[0])
                .args(&words[1..])
                .env(name, value)
                .run();
            assert_eq!(run.code(), 78, "{run:#?}");
            let (message, hint) = (
                format!("{name}: '{value}' is not an absolute path\n"),
                format!("hint: set {name} to a path from / on, or unset it\n"),
            );
            assert!(
                run.stderr.contains(&message) && run.stderr.contains(&hint),
                "{run:#?}"
            );
        }
    }
    let help = sandbox.tool("qwen-token").arg("--version").env("QWEN_HOME", ".");
    help.run().exits(0);
}

#[test]
fn a_program_in_the_working_directory_is_not_run_in_the_place_of_one_on_path() {
    let sandbox = Sandbox::new();
    let touch = format!(
        "#!/bin/sh\necho planted >>{}\n",
        sandbox.root().join("ran").display()
    );
    sandbox.program("work/planted", &touch);
    sandbox.program("work/bin/planted", &touch);
    let profile = |word: &str| format!(r#"{{"profiles": {{"a": {{"key": {{"command": ["{word}"]}}}}}}}}"#);
    for (word, path, said) in [
        ("planted", "/usr/bin:/bin", "not found"),
        ("planted", ":/usr/bin:/bin", "an empty entry of PATH leads to it"),
        ("planted", "/usr/bin::/bin", "an empty entry of PATH leads to it"),
        ("planted", "/bin:", "an empty entry of PATH leads to it"),
        ("planted", "/bin:.", "only in '.' of PATH"),
        ("planted", "bin:/bin", "only in 'bin' of PATH"),
        ("./planted", "/bin", "name it by a path from / on"),
        ("bin/planted", "/bin", "name it by a path from / on"),
    ] {
        sandbox.config(&profile(word));
        let run = sandbox.tool("qwen-token").env("PATH", path).run();
        run.fails(
            78,
            &[&format!("key command '{word}': cannot run: not found"), said],
        );
    }
    for tool in ["qwen-env", "qwen-token"] {
        let run = sandbox.tool(tool).env("PATH", ":/bin").env("OPENAI_API_KEY", "k");
        let run = run.args(["--", "planted"]).run();
        run.fails(
            127,
            &["'planted': command not found (an empty entry of PATH leads to it"],
        );
    }
    assert!(!sandbox.root().join("ran").exists());
    // Who types a path means it.
    sandbox.tool("qwen-env").args(["--", "./planted"]).run().exits(0);
    assert_eq!(sandbox.read("ran"), "planted\n");
}

#[test]
fn a_history_that_others_can_change_is_not_used_and_one_that_they_can_read_is_closed() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let file = sandbox.write("home/.local/state/qwen/history", "\"planted\"\n");
    for (mode, refused, after) in [(0o666, true, 0o666), (0o644, false, 0o600), (0o600, false, 0o600)] {
        set_mode(&file, mode);
        let mut terminal = Terminal::start(chat(&sandbox, &server).env("NO_COLOR", "1"));
        terminal.shows("/help lists the commands");
        let notice = "history' is not used: it is writable by all (mode 0666)";
        let shown = unwrapped(&terminal.plain());
        assert_eq!(shown.contains(notice), refused, "{mode:o}: {shown}");
        terminal.types("/quit\r");
        assert_eq!(terminal.ends(), 0);
        assert_eq!(sandbox.mode(&file), after);
        let kept = if refused {
            "\"planted\"\n"
        } else {
            "\"planted\"\n\"/quit\"\n"
        };
        assert!(
            sandbox.read(&file).starts_with(kept),
            "{mode:o}: {}",
            sandbox.read(&file)
        );
    }
}

/// Every link on the way to a file chooses what is read, not the last one alone.
#[test]
fn a_link_of_another_user_is_refused_in_the_place_of_any_directory() {
    if !is_root() {
        return;
    }
    for depth in [".config/qwen", ".config"] {
        let sandbox = Sandbox::new();
        sandbox.config(CONFIG);
        let place = sandbox.home().join(depth);
        let real = sandbox.root().join("elsewhere");
        fs::rename(&place, &real).unwrap();
        symlink(&real, &place).unwrap();
        sandbox.tool("qwen-token").run().gives(0, KEY, "");
        lchown(&place, Some(STRANGER), None).unwrap();
        let run = sandbox.tool("qwen-token").run();
        run.fails(
            78,
            &[&format!(
                "the symbolic link '{}' belongs to another user",
                place.display()
            )],
        );
    }
}

/// The directory is a stranger's word, whoever owns the file.
#[test]
fn a_project_file_that_another_users_link_leads_to_is_passed_over() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("clone/.qwen/.env", "OPENAI_MODEL=theirs\n");
    let link = sandbox.work().join(".qwen");
    symlink(sandbox.root().join("clone/.qwen"), &link).unwrap();
    sandbox
        .tool("qwen-env")
        .args(["--get", "OPENAI_MODEL"])
        .run()
        .gives(0, "theirs\n", "");
    lchown(&link, Some(STRANGER), None).unwrap();
    let run = sandbox.tool("qwen-env").args(["--get", "OPENAI_MODEL"]).run();
    run.fails(1, &["belongs to another user"]);
}

/// `sudo -E qwen-login`, and older versions of sudo: it is root who stores the key in a user's home.
#[test]
fn what_root_left_in_a_users_home_is_named_with_its_owner_and_a_remedy() {
    let setpriv = peers::command("setpriv");
    if !is_root() || !peers::present("setpriv", setpriv.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    for place in [sandbox.root(), sandbox.home()] {
        chown(&place, Some(STRANGER), Some(STRANGER)).unwrap();
    }
    let words = "--with-key --no-verify --store file --model m --base-url http://127.0.0.1:1/v1";
    let run = sandbox
        .detached("qwen-login")
        .args(words.split(' '))
        .stdin("sk-root\n")
        .run()
        .exits(0);
    let said = "belongs to another user (uid 65534), who cannot read what root stores there";
    assert!(run.stderr.contains(said), "{run:#?}");
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let run = sandbox
        .command(setpriv.unwrap())
        .args(user)
        .args(["qwen-token"])
        .run();
    let place = sandbox.home().join(".config");
    run.fails(
        66,
        &[
            &format!("permission denied; '{}' belongs to root", place.display()),
            &format!("hint: run 'sudo chown -R 65534 {}'", place.display()),
        ],
    );
}

/// What is read twice in one start may be two contents.
#[test]
fn a_start_reads_each_file_once() {
    let strace = peers::command("strace");
    if !peers::present("strace", strace.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "OPENAI_API_KEY=sk-1\nOPENAI_BASE_URL=http://127.0.0.1:9/v1\nA=1\n",
    );
    sandbox.write("work/.qwen/settings.json", r#"{"model": {"name": "m"}}"#);
    sandbox.write("home/.config/qwen/config.json", "{}");
    sandbox
        .tool("qwen-env")
        .args(["--trust", "--yes", "-q"])
        .run()
        .exits(0);
    for words in [
        &["qwen-env"][..],
        &["qwen-token"],
        &["qwen-auth", "status"],
        &["qwen-chat", "--dry-run", "hi"],
    ] {
        let log = sandbox.root().join("calls");
        let run = sandbox.command(strace.clone().unwrap());
        let run = run.args(["-f", "-e", "trace=openat", "-o", log.to_str().unwrap()]);
        run.args(words).run().exits(0);
        let calls = sandbox.read("calls");
        for file in ["settings.json", "trust.json", "config.json"] {
            let opened = calls
                .lines()
                .filter(|call| call.contains(&format!("{file}\"")) && !call.contains("ENOENT"))
                .count();
            let expected = usize::from(words[0] != "qwen-env" || file != "config.json");
            assert_eq!(opened, expected, "{words:?} {file}\n{calls}");
        }
    }
}
